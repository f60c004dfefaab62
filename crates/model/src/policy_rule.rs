//! Policy routing rules: which routing table a packet is looked up in.

use crate::{Family, IfName};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// What a rule does with the packets that it selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleAction {
    /// Looks in this table.
    Lookup(u32),
    /// Goes on with the rule of this priority.
    Goto(u32),
    /// Nothing: it is the target of others.
    Nop,
    /// Drops them.
    Blackhole,
    /// Answers that the host is unreachable.
    Unreachable,
    /// Answers that the way is prohibited.
    Prohibit,
}

/// A rule (`struct fib_rule_hdr` and `FRA_*` of linux/fib_rules.h). What is absent selects all packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRule {
    /// Whether it is for IPv6.
    pub ipv6: bool,
    /// Smaller comes first.
    pub priority: u32,
    /// The sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpNet>,
    /// The destinations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<IpNet>,
    /// The type of service.
    #[serde(default)]
    pub tos: u8,
    /// The mark of the firewall, and its mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<(u32, u32)>,
    /// The incoming device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_device: Option<IfName>,
    /// The device that a socket is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_device: Option<IfName>,
    /// The transport protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<u8>,
    /// The source ports, first and last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ports: Option<(u16, u16)>,
    /// The destination ports, first and last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ports: Option<(u16, u16)>,
    /// The users, first and last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<(u32, u32)>,
    /// Routes with a prefix of this length or shorter do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress_prefix: Option<u32>,
    /// It selects what the rest does not describe.
    #[serde(default)]
    pub inverted: bool,
    /// What it does.
    pub action: RuleAction,
    /// The program that made it.
    #[serde(default)]
    pub protocol: u8,
}

impl PolicyRule {
    /// A rule that selects everything.
    pub fn new(family: Family, priority: u32, action: RuleAction) -> Self {
        PolicyRule {
            ipv6: family == Family::V6,
            priority,
            from: None,
            to: None,
            tos: 0,
            mark: None,
            from_device: None,
            to_device: None,
            transport: None,
            source_ports: None,
            target_ports: None,
            users: None,
            suppress_prefix: None,
            inverted: false,
            action,
            protocol: 0,
        }
    }

    /// Whether it selects by this device.
    pub fn names(&self, device: &IfName) -> bool {
        [&self.from_device, &self.to_device].into_iter().flatten().any(|name| name == device)
    }

    /// The same rule for another device.
    #[must_use]
    pub fn moved(&self, old: &IfName, new: &IfName) -> Self {
        let other =
            |device: &Option<IfName>| device.as_ref().map(|it| if it == old { new.clone() } else { it.clone() });
        PolicyRule { from_device: other(&self.from_device), to_device: other(&self.to_device), ..self.clone() }
    }
}
