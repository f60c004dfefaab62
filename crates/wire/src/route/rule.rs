//! Policy rules: `ip rule` (RTM_NEWRULE; linux/fib_rules.h).

use super::{AF_INET, AF_INET6, address_of, bytes_of};
use crate::message::{Attributes, Batch, Message, flag};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::{Family, PolicyRule, RuleAction};

const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;
/// All attributes that a [`PolicyRule`] can say, and the padding.
const KNOWN: [u16; 16] = [
    FRA_DST,
    FRA_SRC,
    FRA_IIFNAME,
    FRA_GOTO,
    FRA_PRIORITY,
    FRA_FWMARK,
    FRA_SUPPRESS_PREFIXLEN,
    FRA_TABLE,
    FRA_FWMASK,
    FRA_OIFNAME,
    18,
    FRA_UID_RANGE,
    FRA_PROTOCOL,
    FRA_IP_PROTO,
    FRA_SPORT_RANGE,
    FRA_DPORT_RANGE,
];
/// Beyond `FRA_MAX` of any kernel so far.
const MOST: u16 = 64;
const FR_ACT_TO_TBL: u8 = 1;
const FR_ACT_GOTO: u8 = 2;
const FR_ACT_NOP: u8 = 3;
const FR_ACT_BLACKHOLE: u8 = 6;
const FR_ACT_UNREACHABLE: u8 = 7;
const FR_ACT_PROHIBIT: u8 = 8;
const FIB_RULE_INVERT: u32 = 2;
/// No prefix is suppressed.
const ALL_COUNT: u32 = u32::MAX;
const HEADER: usize = 12;

/// `ip rule add` and `del`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(pub PolicyRule);

impl Rule {
    /// Appends `ip rule add`.
    pub fn encode(&self, batch: &mut Batch) {
        self.message(batch, RTM_NEWRULE, flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL);
    }

    /// Appends `ip rule del`.
    pub fn encode_delete(&self, batch: &mut Batch) {
        self.message(batch, RTM_DELRULE, flag::REQUEST | flag::ACK);
    }

    fn message(&self, batch: &mut Batch, kind: u16, flags: u16) {
        let rule = &self.0;
        batch.message(kind, flags, |b| {
            let (action, table) = match rule.action {
                RuleAction::Lookup(table) => (FR_ACT_TO_TBL, Some(table)),
                RuleAction::Goto(_) => (FR_ACT_GOTO, None),
                RuleAction::Nop => (FR_ACT_NOP, None),
                RuleAction::Blackhole => (FR_ACT_BLACKHOLE, None),
                RuleAction::Unreachable => (FR_ACT_UNREACHABLE, None),
                RuleAction::Prohibit => (FR_ACT_PROHIBIT, None),
            };
            let mut header = [0; HEADER];
            header[0] = if rule.ipv6 { AF_INET6 } else { AF_INET };
            header[1] = rule.to.map_or(0, |net| net.prefix_len());
            header[2] = rule.from.map_or(0, |net| net.prefix_len());
            header[3] = rule.tos;
            header[7] = action;
            if rule.inverted {
                header[8..12].copy_from_slice(&FIB_RULE_INVERT.to_ne_bytes());
            }
            b.header(&header);
            for (kind, net) in [(FRA_DST, rule.to), (FRA_SRC, rule.from)] {
                if let Some(net) = net {
                    b.attr(kind, &bytes_of(net.addr()));
                }
            }
            b.u32(FRA_PRIORITY, rule.priority);
            for (kind, device) in [(FRA_IIFNAME, &rule.from_device), (FRA_OIFNAME, &rule.to_device)] {
                if let Some(device) = device {
                    b.text(kind, device.as_str());
                }
            }
            if let Some((mark, mask)) = rule.mark {
                b.u32(FRA_FWMARK, mark);
                b.u32(FRA_FWMASK, mask);
            }
            if let RuleAction::Goto(target) = rule.action {
                b.u32(FRA_GOTO, target);
            }
            if let Some(table) = table {
                b.u32(FRA_TABLE, table);
            }
            if let Some(length) = rule.suppress_prefix {
                b.u32(FRA_SUPPRESS_PREFIXLEN, length);
            }
            if let Some((first, last)) = rule.users {
                b.attr(FRA_UID_RANGE, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
            }
            if rule.protocol != 0 {
                b.u8(FRA_PROTOCOL, rule.protocol);
            }
            if let Some(transport) = rule.transport {
                b.u8(FRA_IP_PROTO, transport);
            }
            for (kind, ports) in [(FRA_SPORT_RANGE, rule.source_ports), (FRA_DPORT_RANGE, rule.target_ports)] {
                if let Some((first, last)) = ports {
                    b.attr(kind, &[first.to_ne_bytes(), last.to_ne_bytes()].concat());
                }
            }
        });
    }

    /// The option of `ip` that selects the family.
    pub fn family_word(&self) -> &'static str {
        if self.0.ipv6 { "-6 " } else { "" }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = &self.0;
        if rule.inverted {
            f.write_str("not ")?;
        }
        write!(f, "pref {}", rule.priority)?;
        for (word, net) in [("from", rule.from), ("to", rule.to)] {
            if let Some(net) = net {
                write!(f, " {word} {net}")?;
            }
        }
        if rule.tos != 0 {
            write!(f, " tos {:#x}", rule.tos)?;
        }
        if let Some((mark, mask)) = rule.mark {
            write!(f, " fwmark {mark:#x}/{mask:#x}")?;
        }
        for (word, device) in [("iif", &rule.from_device), ("oif", &rule.to_device)] {
            if let Some(device) = device {
                write!(f, " {word} {device}")?;
            }
        }
        if let Some((first, last)) = rule.users {
            write!(f, " uidrange {first}-{last}")?;
        }
        if let Some(transport) = rule.transport {
            write!(f, " ipproto {transport}")?;
        }
        for (word, ports) in [("sport", rule.source_ports), ("dport", rule.target_ports)] {
            if let Some((first, last)) = ports {
                write!(f, " {word} {first}-{last}")?;
            }
        }
        if rule.protocol != 0 {
            write!(f, " protocol {}", rule.protocol)?;
        }
        match rule.action {
            RuleAction::Lookup(table) => write!(f, " lookup {table}")?,
            RuleAction::Goto(target) => write!(f, " goto {target}")?,
            RuleAction::Nop => f.write_str(" nop")?,
            RuleAction::Blackhole => f.write_str(" blackhole")?,
            RuleAction::Unreachable => f.write_str(" unreachable")?,
            RuleAction::Prohibit => f.write_str(" prohibit")?,
        }
        match rule.suppress_prefix {
            Some(length) => write!(f, " suppress_prefixlength {length}"),
            None => Ok(()),
        }
    }
}

/// A rule as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSeen {
    /// Its priority.
    pub priority: u32,
    /// The destinations that it selects, if any.
    pub to: Option<IpNet>,
    /// The incoming device that it selects, if any.
    pub from_device: Option<String>,
    /// The table that it looks in, if any.
    pub table: Option<u32>,
}

impl RuleSeen {
    /// Reads an `RTM_NEWRULE`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let head = message.payload.get(..HEADER)?;
        if message.kind != RTM_NEWRULE {
            return None;
        }
        let a = message.attributes(HEADER);
        Some(RuleSeen {
            priority: a.u32(FRA_PRIORITY).unwrap_or(0),
            to: net(&a, FRA_DST, head[1]),
            from_device: a.text(FRA_IIFNAME),
            table: (head[7] == FR_ACT_TO_TBL).then(|| table(&a, head)),
        })
    }

    /// Appends a query for all rules of a family.
    pub fn dump(batch: &mut Batch, family: Family) {
        batch.message(RTM_GETRULE, flag::REQUEST | flag::DUMP, |b| {
            let mut header = [0; HEADER];
            header[0] = if family == Family::V4 { AF_INET } else { AF_INET6 };
            b.header(&header);
        });
    }
}

/// A rule with all that it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeRule {
    /// The rule.
    pub rule: PolicyRule,
    /// What a [`Rule`] cannot say of it, as words for an error.
    pub beyond: Option<String>,
}

impl WholeRule {
    /// Reads an `RTM_NEWRULE`. One that names a device with a name that no device can have is none.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let head = message.payload.get(..HEADER)?;
        if message.kind != RTM_NEWRULE {
            return None;
        }
        let a = message.attributes(HEADER);
        let device = |kind| a.text(kind).map(|name| name.parse()).transpose().ok();
        let pair = |kind| a.get(kind).filter(|bytes| bytes.len() == 8 || bytes.len() == 4);
        let ports = |kind| {
            let bytes = pair(kind)?;
            Some((u16::from_ne_bytes([bytes[0], bytes[1]]), u16::from_ne_bytes([bytes[2], bytes[3]])))
        };
        let number = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(u32::from_ne_bytes);
        let users = pair(FRA_UID_RANGE).filter(|bytes| bytes.len() == 8);
        let action = match head[7] {
            FR_ACT_TO_TBL => Some(RuleAction::Lookup(table(&a, head))),
            FR_ACT_GOTO => a.u32(FRA_GOTO).map(RuleAction::Goto),
            FR_ACT_NOP => Some(RuleAction::Nop),
            FR_ACT_BLACKHOLE => Some(RuleAction::Blackhole),
            FR_ACT_UNREACHABLE => Some(RuleAction::Unreachable),
            FR_ACT_PROHIBIT => Some(RuleAction::Prohibit),
            _ => None,
        };
        let byte = |kind| a.get(kind).and_then(|bytes| bytes.first().copied());
        let flags = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]);
        let other = (1..MOST).find(|kind| !KNOWN.contains(kind) && a.get(*kind).is_some());
        let beyond = match (action, other) {
            (None, _) => Some(format!("has the action number {} (FR_ACT_* in linux/fib_rules.h)", head[7])),
            (_, Some(kind)) => Some(format!("has the attribute number {kind} (FRA_* in linux/fib_rules.h)")),
            (Some(_), None) => None,
        };
        let family = if head[0] == AF_INET6 { Family::V6 } else { Family::V4 };
        let rule = PolicyRule {
            from: net(&a, FRA_SRC, head[2]),
            to: net(&a, FRA_DST, head[1]),
            tos: head[3],
            mark: a.u32(FRA_FWMARK).map(|mark| (mark, a.u32(FRA_FWMASK).unwrap_or(u32::MAX))),
            from_device: device(FRA_IIFNAME)?,
            to_device: device(FRA_OIFNAME)?,
            transport: byte(FRA_IP_PROTO),
            source_ports: ports(FRA_SPORT_RANGE),
            target_ports: ports(FRA_DPORT_RANGE),
            users: users.and_then(|bytes| Some((number(&bytes[..4])?, number(&bytes[4..])?))),
            suppress_prefix: a.u32(FRA_SUPPRESS_PREFIXLEN).filter(|length| *length != ALL_COUNT),
            inverted: flags & FIB_RULE_INVERT != 0,
            protocol: byte(FRA_PROTOCOL).unwrap_or(0),
            ..PolicyRule::new(family, a.u32(FRA_PRIORITY).unwrap_or(0), action.unwrap_or(RuleAction::Nop))
        };
        Some(WholeRule { rule, beyond })
    }
}

fn net(a: &Attributes<'_>, kind: u16, length: u8) -> Option<IpNet> {
    a.get(kind).and_then(address_of).and_then(|address| IpNet::new(address, length).ok())
}

fn table(a: &Attributes<'_>, head: &[u8]) -> u32 {
    a.u32(FRA_TABLE).unwrap_or(u32::from(head[4]))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, ours};

    const LOOKUP4: &str = "\
        400000002000050600000000000000000218000000000001000000000800060064000000080001000a0100000c000300 \
        7a622d626c75650008000f00e8030000";
    const PROHIBIT6: &str = "\
        380000002000050600000000000000000a4000000000000800000000080006006500000014000100fd00000100000000 \
        0000000000000000";

    fn lookup() -> Rule {
        Rule(PolicyRule {
            to: Some("10.1.0.0/24".parse().unwrap()),
            from_device: Some("zb-blue".parse().unwrap()),
            ..PolicyRule::new(Family::V4, 100, RuleAction::Lookup(1000))
        })
    }

    fn prohibit() -> Rule {
        let to = Some("fd00:1::/64".parse().unwrap());
        Rule(PolicyRule { to, ..PolicyRule::new(Family::V6, 101, RuleAction::Prohibit) })
    }

    fn whole() -> PolicyRule {
        PolicyRule {
            from: Some("10.2.0.0/16".parse().unwrap()),
            tos: 0x10,
            mark: Some((1, 0xff)),
            to_device: Some("eth0".parse().unwrap()),
            transport: Some(6),
            source_ports: Some((1, 2)),
            target_ports: Some((80, 90)),
            users: Some((0, 1000)),
            suppress_prefix: Some(0),
            inverted: true,
            protocol: 9,
            ..lookup().0
        }
    }

    #[test]
    fn says_what_ip_rule_says() {
        let said = |rule: Rule| lines(&ours(|b| rule.encode(b)), HEADER, &[]);
        assert_eq!(said(lookup()), lines(&bytes(LOOKUP4), HEADER, &[]));
        assert_eq!(said(prohibit()), lines(&bytes(PROHIBIT6), HEADER, &[]));
    }

    #[test]
    fn prints_the_words_of_ip_rule_add() {
        assert_eq!(lookup().to_string(), "pref 100 to 10.1.0.0/24 iif zb-blue lookup 1000");
        assert_eq!(prohibit().to_string(), "pref 101 to fd00:1::/64 prohibit");
        assert_eq!((lookup().family_word(), prohibit().family_word()), ("", "-6 "));
        assert_eq!(
            Rule(whole()).to_string(),
            "not pref 100 from 10.2.0.0/16 to 10.1.0.0/24 tos 0x10 fwmark 0x1/0xff iif zb-blue oif eth0 uidrange 0-1000 \
             ipproto 6 sport 1-2 dport 80-90 protocol 9 lookup 1000 suppress_prefixlength 0"
        );
    }

    #[test]
    fn a_rule_that_moves_keeps_all_it_says() {
        let read = |rule: &PolicyRule| {
            let bytes = ours(|b| Rule(rule.clone()).encode(b));
            WholeRule::parse(&crate::Messages::new(&bytes).next().unwrap()).unwrap()
        };
        let goto = PolicyRule { action: RuleAction::Goto(200), ..prohibit().0 };
        for rule in [whole(), lookup().0, prohibit().0, goto] {
            assert_eq!(read(&rule), WholeRule { rule, beyond: None });
        }
        let (old, new) = ("eth0".parse().unwrap(), "zb-lan".parse().unwrap());
        assert!(whole().names(&old) && !whole().names(&new));
        let moved = whole().moved(&old, &new);
        assert!(moved.names(&new) && !moved.names(&old));
        assert_eq!(moved.moved(&new, &old), whole());
    }
}
