//! Guest rules: rules of ours in a table of another program, which may save, flush and restore it at any time.
//!
//! # How it works
//! A guest rule has the same form as a rule by `iptables-nft`, otherwise that program would refuse to work with the
//! table: the name of a device, compared with its NUL, a counter, a verdict, and nothing after it. Its comment
//! distinguishes it from other rules.
//!
//! # Limits
//! `iptables-nft-save | iptables-nft-restore` gives the rule another handle, moves the comment to an `xt_comment`
//! match, and shortens the comparison to the bytes of the name: [`GuestRule::is`] recognises both forms. A table that
//! is deleted and made again counts its handles from the start: between reading a [`RuleAt`] and deleting the rule,
//! another rule may get that handle.

use super::rule::{CHAIN, EXPRESSIONS, NEWRULE, POSITION, TABLE, USERDATA, comment_data};
use super::words::words;
use super::{CREATE, CmpOp, Expr, LoadKey, Reg, RuleAt, RuleSeen, Table, Value, Verdict, change};
use crate::message::{Batch, flag};
use std::fmt;
use zubi_model::IfName;

/// linux/in.h.
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
/// The port of name servers.
const NAME_SERVER: u16 = 53;

/// Which packets of the device a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Packets that come in by the device.
    From,
    /// Packets that go out by the device.
    To,
    /// Packets that a bridge passes from port to port: they come in by it and go out by it.
    Within,
    /// Questions about names in datagrams, that come in by it.
    AskingByUdp,
    /// Those by connections.
    AskingByTcp,
}

impl Direction {
    const ALL: [Direction; 5] =
        [Direction::From, Direction::To, Direction::Within, Direction::AskingByUdp, Direction::AskingByTcp];

    fn keys(self) -> &'static [LoadKey] {
        match self {
            Direction::From => &[LoadKey::IifName],
            Direction::To => &[LoadKey::OifName],
            Direction::Within => &[LoadKey::IifName, LoadKey::OifName],
            Direction::AskingByUdp | Direction::AskingByTcp => &[LoadKey::IifName, LoadKey::L4Proto, LoadKey::DestPort],
        }
    }

    /// What a key is compared with.
    fn value(self, key: LoadKey, device: &IfName) -> Vec<u8> {
        match key {
            LoadKey::L4Proto if self == Direction::AskingByTcp => vec![IPPROTO_TCP],
            LoadKey::L4Proto => vec![IPPROTO_UDP],
            LoadKey::DestPort => NAME_SERVER.to_be_bytes().to_vec(),
            _ => Value::Device(device.clone()).first(),
        }
    }
}

/// A rule that accepts all packets that come in by a device, all that go out by it, all that stay on it, or the questions
/// about names that come in by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestRule {
    /// The other program's table.
    pub table: Table,
    /// A chain of this table.
    pub chain: String,
    /// The handle of the rule that it goes before. `None`: it goes last.
    pub before: Option<u64>,
    /// The device.
    pub device: IfName,
    /// Which packets of the device.
    pub direction: Direction,
    /// The comment by which zubi finds the rule again. It has at most 127 bytes, or `nft` cannot print it.
    pub comment: String,
}

impl GuestRule {
    fn exprs(&self) -> Vec<Expr> {
        let compare = |key: &LoadKey| {
            let load = Expr::Load { key: *key, to: Reg(0) };
            let value = self.direction.value(*key, &self.device);
            [load, Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value }]
        };
        let mut exprs: Vec<Expr> = self.direction.keys().iter().flat_map(compare).collect();
        exprs.extend([Expr::Counter, Expr::Verdict(Verdict::Accept)]);
        exprs
    }

    /// Appends `nft insert rule` or `nft add rule`. ENOENT if the table, the chain or the rule in `before` is gone. The
    /// answer contains the new rule with its handle, by which it can be deleted.
    pub fn encode(&self, batch: &mut Batch) {
        let place = if self.before.is_some() { 0 } else { flag::APPEND };
        change(batch, self.table.family, NEWRULE, CREATE | place | flag::ECHO, |b| {
            b.text(TABLE, &self.table.name);
            b.text(CHAIN, &self.chain);
            b.nested(EXPRESSIONS, |b| self.exprs().iter().for_each(|e| e.encode(b)));
            if let Some(handle) = self.before {
                b.be64(POSITION, handle);
            }
            b.attr(USERDATA, &comment_data(&self.comment));
        });
    }

    /// Reads a rule that has the form of a guest rule. `before` is `None`, as the message does not contain it.
    pub fn read(seen: &RuleSeen) -> Option<Self> {
        let exprs = seen.rule.exprs.iter().filter(|e| **e != Expr::Counter && e.xt_comment().is_none());
        let exprs: Vec<&Expr> = exprs.collect();
        let [compared @ .., Expr::Verdict(Verdict::Accept)] = exprs.as_slice() else { return None };
        let mut keys = Vec::new();
        let mut devices = Vec::new();
        let mut others = Vec::new();
        for pair in compared.chunks(2) {
            let [Expr::Load { key, to }, Expr::Cmp { from, op: CmpOp::Eq, value }] = pair else { return None };
            if from != to {
                return None;
            }
            keys.push(*key);
            match key {
                LoadKey::IifName | LoadKey::OifName => devices.push(name_in(value)?),
                key => others.push((*key, value)),
            }
        }
        devices.dedup();
        let is_it = |direction: &Direction| {
            let device = devices.first();
            direction.keys() == keys
                && others
                    .iter()
                    .all(|(key, value)| device.is_some_and(|device| direction.value(*key, device) == **value))
        };
        let direction = Direction::ALL.into_iter().find(is_it)?;
        let [device] = <[IfName; 1]>::try_from(devices).ok()?;
        let RuleAt { table, chain, .. } = seen.at();
        Some(GuestRule { table, chain, before: None, device, direction, comment: seen.comment()? })
    }

    /// Whether the kernel's rule is this one, at any position in its chain.
    pub fn is(&self, seen: &RuleSeen) -> bool {
        GuestRule::read(seen).is_some_and(|read| GuestRule { before: self.before, ..read } == *self)
    }
}

/// A device name that ends with a NUL. Without one the value is a prefix of several names.
fn name_in(value: &[u8]) -> Option<IfName> {
    let len = value.iter().position(|b| *b == 0)?;
    let (name, rest) = value.split_at(len);
    let name = std::str::from_utf8(name).ok().filter(|_| rest.iter().all(|b| *b == 0))?;
    name.parse().ok()
}

impl fmt::Display for GuestRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.before.is_some() { "insert" } else { "add" };
        write!(f, "{verb} rule {} {}", self.table.words(), self.chain)?;
        if let Some(handle) = self.before {
            write!(f, " position {handle}")?;
        }
        write!(f, " {} comment \"{}\"", words(&self.exprs()), self.comment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Messages;
    use crate::nft::TableFamily;

    const FILTER: Table = Table::named(TableFamily::Ip, "filter");

    fn guest(direction: Direction, before: Option<u64>) -> GuestRule {
        GuestRule {
            table: FILTER,
            chain: "DOCKER-USER".into(),
            before,
            device: "zb-blue".parse().unwrap(),
            direction,
            comment: "zubi: blue".into(),
        }
    }

    fn seen(guest: &GuestRule) -> RuleSeen {
        let mut batch = Batch::new();
        guest.encode(&mut batch);
        RuleSeen::parse(&Messages::new(batch.bytes()).next().unwrap()).unwrap()
    }

    #[test]
    fn a_guest_prints_in_nft_words() {
        assert_eq!(
            guest(Direction::From, Some(12)).to_string(),
            "insert rule ip filter DOCKER-USER position 12 iifname \"zb-blue\" counter accept comment \"zubi: blue\""
        );
        assert_eq!(
            guest(Direction::To, None).to_string(),
            "add rule ip filter DOCKER-USER oifname \"zb-blue\" counter accept comment \"zubi: blue\""
        );
        let at = RuleAt { handle: 7, ..seen(&guest(Direction::To, None)).at() };
        assert_eq!(at.to_string(), "delete rule ip filter DOCKER-USER handle 7");
    }

    #[test]
    fn a_guest_is_known_by_device_direction_verdict_and_comment() {
        let ours = guest(Direction::From, Some(12));
        let whole = seen(&ours);
        assert!(ours.is(&whole) && guest(Direction::From, None).is(&whole));
        assert!(!guest(Direction::To, None).is(&whole));
        for other in [
            GuestRule { comment: "zubi: bluer".into(), ..ours.clone() },
            GuestRule { device: "zb-blu".parse().unwrap(), ..ours.clone() },
            GuestRule { device: "zb-blues".parse().unwrap(), ..ours.clone() },
            GuestRule { table: Table::named(TableFamily::Ip6, "filter"), ..ours.clone() },
            GuestRule { table: Table::named(TableFamily::Ip, "raw"), ..ours.clone() },
            GuestRule { chain: "FORWARD".into(), ..ours.clone() },
        ] {
            assert!(!other.is(&whole), "{other}");
        }
        let mut dropping = whole.clone();
        dropping.rule.exprs[3] = Expr::Verdict(Verdict::Drop);
        assert!(!ours.is(&dropping));
        let mut narrower = whole.clone();
        narrower.rule.exprs.insert(2, Expr::Other { name: "limit".into() });
        assert!(!ours.is(&narrower));
        let mut wider = whole;
        wider.rule.exprs[1] = Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value: b"zb-blue".to_vec() };
        assert!(!ours.is(&wider));
    }

    #[cfg(target_endian = "little")]
    mod golden {
        use super::*;
        use crate::golden::{bytes, lines, message, ours};
        use crate::nft::HEADER;

        const INSERT: &str = "\
            f4000000060a01040000000000000000020000000b00010066696c746572000010000200444f434b45522d5553455200 \
            a400048024000180090001006d6574610000000014000280080002000000000608000100000000013800018008000100 \
            636d70002c0002800800010000000001080002000000000018000380140001007a622d626c7565000000000000000000 \
            140001800c000100636f756e7465720004000280300001800e000100696d6d6564696174650000001c00028008000100 \
            00000000100002800c00028008000100000000010c000600000000000000000411000700000b7a7562693a20626c7565 \
            00000000";
        const ADD: &str = "\
            e8000000060a010c0000000000000000020000000b00010066696c746572000010000200444f434b45522d5553455200 \
            a400048024000180090001006d6574610000000014000280080002000000000708000100000000013800018008000100 \
            636d70002c0002800800010000000001080002000000000018000380140001007a622d626c7565000000000000000000 \
            140001800c000100636f756e7465720004000280300001800e000100696d6d6564696174650000001c00028008000100 \
            00000000100002800c000280080001000000000111000700000b7a7562693a20626c756500000000";
        /// `iptables-nft -I DOCKER-USER -i zb-red -m comment --comment "zubi: red" -j ACCEPT`; what
        /// `iptables-nft-restore` makes of a guest has the same form.
        const RESTORED: &str = "\
            24020000060a01040000000000000000020000000b00010066696c746572000010000200444f434b45522d5553455200 \
            e001048024000180090001006d6574610000000014000280080002000000000608000100000000013000018008000100 \
            636d70002400028008000100000000010800020000000000100003800b0001007a622d72656400002c0101800a000100 \
            6d617463680000001c0102800c000100636f6d6d656e74000800020000000000040103007a7562693a20726564000000 \
            000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
            000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
            000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
            000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
            000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000 \
            000000002c0001800c000100636f756e746572001c0002800c00010000000000000000000c0002000000000000000000 \
            300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000001 \
            1400058008000100000000000800020000000000";
        const DELETE: &str = "\
            38000000080a01000000000000000000020000000b00010066696c74657200000c000200464f5257415244000c000300 \
            0000000000000007";

        /// Registers have two numberings, so compare the parsed expressions.
        fn outside_expressions(bytes: &[u8]) -> Vec<String> {
            let list = format!("[{EXPRESSIONS}] ");
            lines(bytes, HEADER, &[]).into_iter().filter(|l| !l.starts_with(&list)).collect()
        }

        #[test]
        fn says_what_nft_insert_and_add_rule_say() {
            for (guest, recorded) in
                [(guest(Direction::From, Some(4)), bytes(INSERT)), (guest(Direction::To, None), bytes(ADD))]
            {
                assert_eq!(RuleSeen::parse(&message(&recorded)), Some(seen(&guest)));
                let written = ours(|b| guest.encode(b));
                assert_eq!(outside_expressions(&written), outside_expressions(&recorded));
            }
        }

        #[test]
        fn a_guest_is_known_after_it_was_saved_and_restored() {
            let device = "zb-red".parse().unwrap();
            let guest = GuestRule { device, comment: "zubi: red".into(), ..guest(Direction::From, None) };
            let seen = RuleSeen::parse(&message(&bytes(RESTORED))).unwrap();
            assert!(guest.is(&seen));
            assert_eq!(seen.comment().as_deref(), Some("zubi: red"));
        }

        #[test]
        fn says_what_nft_delete_rule_says() {
            let chain = "FORWARD".into();
            let rule = RuleAt { table: FILTER, chain, handle: 7 };
            assert_eq!(lines(&ours(|b| rule.encode_delete(b)), HEADER, &[]), lines(&bytes(DELETE), HEADER, &[]));
        }
    }
}
