//! Policy rules: `ip rule` (RTM_NEWRULE; linux/fib_rules.h).

use super::{AF_INET, AF_INET6, address_of, af, bytes_of, family_word};
use crate::message::{Batch, Message, flag};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::{Family, IfName};

const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
const FRA_DST: u16 = 1;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_TABLE: u16 = 15;
const FRA_OIFNAME: u16 = 17;
const FR_ACT_TO_TBL: u8 = 1;
const FR_ACT_PROHIBIT: u8 = 8;
const HEADER: usize = 12;

/// What a matching rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAction {
    /// Look in this table.
    Lookup(u32),
    /// Refuse.
    Prohibit,
}

/// A rule that selects by destination and, when given, incoming device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its priority; smaller comes first.
    pub priority: u32,
    /// The destinations that it selects.
    pub to: IpNet,
    /// The incoming device that it selects, if any.
    pub from_device: Option<IfName>,
    /// What it does.
    pub action: RuleAction,
}

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
        batch.message(kind, flags, |b| {
            let (action, table) = match self.action {
                RuleAction::Lookup(table) => (FR_ACT_TO_TBL, Some(table)),
                RuleAction::Prohibit => (FR_ACT_PROHIBIT, None),
            };
            let mut header = [0; HEADER];
            header[0] = af(self.to.addr());
            header[1] = self.to.prefix_len();
            header[7] = action;
            b.header(&header);
            b.attr(FRA_DST, &bytes_of(self.to.addr()));
            b.u32(FRA_PRIORITY, self.priority);
            if let Some(table) = table {
                b.u32(FRA_TABLE, table);
            }
            if let Some(device) = &self.from_device {
                b.text(FRA_IIFNAME, device.as_str());
            }
        });
    }

    /// The option of `ip` that selects the family.
    pub fn family_word(&self) -> &'static str {
        family_word(self.to.addr())
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pref {} to {}", self.priority, self.to)?;
        if let Some(device) = &self.from_device {
            write!(f, " iif {device}")?;
        }
        match self.action {
            RuleAction::Lookup(table) => write!(f, " lookup {table}"),
            RuleAction::Prohibit => f.write_str(" prohibit"),
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
    /// The outgoing device that it selects, if any.
    #[serde(default)]
    pub to_device: Option<String>,
    /// The table that it looks in, if any.
    pub table: Option<u32>,
}

impl RuleSeen {
    /// Whether it selects by this device.
    pub fn names(&self, device: &str) -> bool {
        [&self.from_device, &self.to_device].into_iter().flatten().any(|name| name == device)
    }

    /// Reads an `RTM_NEWRULE`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let head = message.payload.get(..HEADER)?;
        if message.kind != RTM_NEWRULE {
            return None;
        }
        let a = message.attributes(HEADER);
        Some(RuleSeen {
            priority: a.u32(FRA_PRIORITY).unwrap_or(0),
            to: a.get(FRA_DST).and_then(address_of).and_then(|d| IpNet::new(d, head[1]).ok()),
            from_device: a.text(FRA_IIFNAME),
            to_device: a.text(FRA_OIFNAME),
            table: (head[7] == FR_ACT_TO_TBL).then(|| a.u32(FRA_TABLE).unwrap_or(u32::from(head[4]))),
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
        Rule {
            priority: 100,
            to: "10.1.0.0/24".parse().unwrap(),
            from_device: Some("zb-blue".parse().unwrap()),
            action: RuleAction::Lookup(1000),
        }
    }

    fn prohibit() -> Rule {
        Rule { priority: 101, to: "fd00:1::/64".parse().unwrap(), from_device: None, action: RuleAction::Prohibit }
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
    }
}
