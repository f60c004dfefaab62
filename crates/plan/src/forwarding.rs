//! Forwarding of packets between networks and the outside.

use crate::{Op, Plan, Sysctl, What, firewall};
use zubi_model::{Family, IfName};

/// Enables IPv4 forwarding for the whole host.
pub const IPV4: &str = "net/ipv4/ip_forward";
/// Enables IPv6 forwarding for the whole host, and makes it ignore router advertisements.
pub const IPV6: &str = "net/ipv6/conf/all/forwarding";
/// Enables IPv6 forwarding without that effect (Linux 6.17).
pub const IPV6_FORCE: &str = "net/ipv6/conf/all/force_forwarding";

/// How this host is made to forward IPv6 packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ipv6Forwarding {
    /// By `force_forwarding` (Linux 6.17).
    Force,
    /// By `forwarding`, which makes the host ignore router advertisements: they have to be enabled again on the devices
    /// that learn from them.
    Classic {
        /// Devices whose `accept_ra` is 1.
        learning: Vec<IfName>,
    },
}

/// The settings that let packets of a family pass between `device` and the outside.
pub(crate) fn settings(family: Family, device: &IfName, ipv6: &Ipv6Forwarding) -> Vec<Sysctl> {
    match (family, ipv6) {
        (Family::V4, _) => vec![Sysctl::new(IPV4, "1")],
        // Writing `all` changes the existing devices, `default` those made later. A device made between another
        // program's `all` and our `default` gets neither (net/ipv6/addrconf.c, addrconf_force_forward_change).
        (Family::V6, Ipv6Forwarding::Force) => ["default", "all", device.as_str()]
            .map(|whose| Sysctl::new(format!("net/ipv6/conf/{whose}/force_forwarding"), "1"))
            .to_vec(),
        (Family::V6, Ipv6Forwarding::Classic { learning }) => learning
            .iter()
            .map(|device| Sysctl::ipv6_device(device, "accept_ra", 2))
            .chain([Sysctl::new(IPV6, "1")])
            .collect(),
    }
}

/// The families for which a plan enables forwarding.
pub fn switched_on(plan: &Plan) -> Vec<Family> {
    let switches = |family: &Family| plan.ops.iter().any(|op| switches_on(op, *family));
    [Family::V4, Family::V6].into_iter().filter(switches).collect()
}

fn switches_on(op: &Op, family: Family) -> bool {
    let keys: &[&str] = if family == Family::V4 { &[IPV4] } else { &[IPV6, IPV6_FORCE] };
    matches!(&op.what, What::Set(sysctl) if keys.contains(&sysctl.key.as_str()) && sysctl.value == "1")
}

/// Inserts, before the operations that enable forwarding, the elements that drop packets of these families that concern
/// no bridge.
pub fn close(plan: &mut Plan, families: &[Family]) {
    const WHY: &str = "this host was no router: what concerns no bridge is not to pass";
    let switches = |op: &Op| [Family::V4, Family::V6].iter().any(|family| switches_on(op, *family));
    let Some(first) = plan.ops.iter().position(switches) else { return };
    // Beside the other firewall operations, so that they stay one transaction.
    let at = plan.ops.iter().take(first).rposition(Op::is_nft).map_or(first, |last| last + 1);
    let elements = families.iter().map(|family| Op::host(What::AddElement(firewall::closed(*family)), WHY));
    plan.ops.splice(at..at, elements);
}

/// The families that a plan closes, see [`close`].
pub fn closed(plan: &Plan) -> Vec<Family> {
    let closes = |family: &Family| {
        plan.ops.iter().any(|op| matches!(&op.what, What::AddElement(e) if *e == firewall::closed(*family)))
    };
    [Family::V4, Family::V6].into_iter().filter(closes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: &[&str]) -> Plan {
        keys.iter().map(|key| Op::host(What::Set(Sysctl::new(*key, "1")), "")).collect()
    }

    #[test]
    fn a_family_is_switched_on_for_the_whole_host() {
        assert_eq!(switched_on(&plan(&[IPV4])), [Family::V4]);
        assert_eq!(switched_on(&plan(&[IPV6])), [Family::V6]);
        assert_eq!(switched_on(&plan(&[IPV6_FORCE, IPV4])), [Family::V4, Family::V6]);
        assert_eq!(switched_on(&plan(&["net/ipv4/conf/zb-blue/forwarding"])), []);
        let off = std::iter::once(Op::host(What::Set(Sysctl::new(IPV4, "0")), "")).collect();
        assert_eq!(switched_on(&off), []);
    }

    #[test]
    fn a_family_is_closed_in_the_transaction_before_it_is_switched_on() {
        let mut all = plan(&["net/ipv4/conf/zb-blue/accept_local", IPV4]);
        all.ops.insert(0, Op::host(What::AddTable(firewall::TABLE), ""));
        close(&mut all, &[Family::V4]);
        assert_eq!(closed(&all), [Family::V4]);
        let closing = Op::host(What::AddElement(firewall::closed(Family::V4)), all.ops[1].why);
        assert_eq!(all.ops[1], closing);
        let mut nothing = plan(&["net/ipv4/conf/zb-blue/forwarding"]);
        close(&mut nothing, &[Family::V4]);
        assert_eq!(closed(&nothing), []);
    }
}
