//! Operations: plain data, one change each.

use crate::{Announcement, Flows, SandboxFile, Sysctl};
use std::fmt;
use std::path::PathBuf;
use zubi_model::{IfName, NetnsCookie, NsRef, SandboxName};
use zubi_ovsdb::Port;
use zubi_wire::route::{
    Address, BridgePort, Certainty, Destination, Filter, ForwardingEntry, Link, LinkChange, LinkMark, LinkMove,
    Neighbour, PortVlan, Route, Rule,
};
use zubi_wire::{nft, shell_word};

/// In which network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// The host's, the one zubi was started in.
    Host,
    /// A sandbox.
    Sandbox(NsRef),
}

impl From<&Destination> for Place {
    fn from(to: &Destination) -> Self {
        match to {
            Destination::Host => Place::Host,
            Destination::Sandbox(sandbox) => Place::Sandbox(sandbox.clone()),
        }
    }
}

impl From<&Place> for Destination {
    fn from(place: &Place) -> Self {
        match place {
            Place::Host => Destination::Host,
            Place::Sandbox(sandbox) => Destination::Sandbox(sandbox.clone()),
        }
    }
}

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Make a device.
    AddLink(Link),
    /// Delete one. This takes the kernel some 16 ms, so it may be left to a process that finishes later.
    DeleteLink(LinkMark),
    /// Change one.
    ChangeLink(LinkChange),
    /// Move one into another namespace.
    MoveLink(LinkMove),
    /// Change a bridge port.
    ChangePort(BridgePort),
    /// Let the frames of a VLAN pass a bridge port.
    AddVlan(PortVlan),
    /// Let them pass no more.
    DeleteVlan(PortVlan),
    /// Say which MAC is behind a bridge port. The entry goes with the port.
    AddForwarding(ForwardingEntry),
    /// Add an address.
    AddAddress(Address),
    /// Change the options of one.
    ChangeAddress(Address),
    /// Remove one.
    DeleteAddress(Address),
    /// Add a route.
    AddRoute(Route),
    /// Add a route behind others to the same destination, so that both are there for a moment.
    AppendRoute(Route),
    /// Remove one.
    DeleteRoute(Route),
    /// Add a policy rule, behind others of its priority.
    AddPolicyRule(Rule),
    /// Remove one.
    DeletePolicyRule(Rule),
    /// Say where a neighbour is.
    AddNeighbour(Neighbour),
    /// Forget where one is.
    DeleteNeighbour(Neighbour),
    /// Make the hooks of a device that filters are attached to.
    AddHooks(IfName),
    /// Remove them, with all filters there.
    DeleteHooks(IfName),
    /// Add a filter for what comes in by a device, or for what the host sends through it.
    AddFilter(Filter),
    /// Remove one.
    DeleteFilter(Filter),
    /// Write a setting.
    Set(Sysctl),
    /// Make an nftables table.
    AddTable(nft::Table),
    /// Delete it with everything in it.
    DeleteTable(nft::Table),
    /// Make a set.
    AddSet(nft::Set),
    /// Make a chain.
    AddChain(nft::Chain),
    /// Append a rule.
    AddRule(nft::Rule),
    /// Add an element.
    AddElement(nft::Element),
    /// Remove one.
    DeleteElement(nft::Element),
    /// Let a network's traffic pass in a chain of another program.
    AddGuestRule(nft::GuestRule),
    /// Delete a guest rule.
    DeleteGuestRule(nft::RuleAt),
    /// Delete tracked connections.
    Forget(Flows),
    /// Announce addresses to the neighbours.
    Announce(Announcement),
    /// Have a device hand over frames with whole checksums.
    SumUpFrames(IfName),
    /// Make a device of the host a port of an Open vSwitch bridge, and wait until the bridge uses it.
    AddOvsPort(Port),
    /// Change the columns of an Open vSwitch port.
    SetOvsPort(Port),
    /// Delete an Open vSwitch port that carries zubi's marks.
    DeleteOvsPort(IfName),
    /// Write a file that `ip netns exec` shows in the place of the host's. A user's stays.
    WriteFile(SandboxFile),
    /// Remove one that zubi wrote.
    DeleteFile(SandboxFile),
    /// Make a named namespace with its loopback down.
    AddNamespace(SandboxName),
    /// Give an existing namespace a name.
    NameNamespace {
        /// The name.
        name: SandboxName,
        /// The namespace file.
        path: PathBuf,
    },
    /// Remove a name; the namespace goes with its last user.
    DeleteNamespace {
        /// The name.
        name: SandboxName,
        /// The namespace: a name that leads to another one stays. `None`: the one it leads to.
        cookie: Option<NetnsCookie>,
    },
}

/// One change in one place, with a reason for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// Where.
    pub place: Place,
    /// What.
    pub what: What,
    /// Why, in one line; printed as a comment.
    pub why: &'static str,
}

/// What applying an operation found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The object exists now and did not before.
    Created,
    /// The object existed already, so this operation is never undone.
    AlreadyThere,
    /// The object existed and differed.
    Changed {
        /// The operation that restores it, in the same place.
        back: Box<What>,
    },
    /// The object is gone now and existed before.
    Removed,
    /// The object was gone already, or the kernel does not support it.
    Nothing,
}

impl Op {
    /// On the host.
    pub fn host(what: What, why: &'static str) -> Self {
        Op { place: Place::Host, what, why }
    }

    /// In a sandbox.
    pub fn sandbox(sandbox: &NsRef, what: What, why: &'static str) -> Self {
        Op { place: Place::Sandbox(sandbox.clone()), what, why }
    }

    /// The operation that undoes this one, given its outcome. What existed before stays.
    pub fn undo(&self, outcome: &Outcome) -> Option<Op> {
        let mut place = self.place.clone();
        let what = match (&self.what, outcome) {
            (What::MoveLink(moved), Outcome::Created) => {
                let to = Destination::from(&place);
                place = Place::from(&moved.to);
                What::MoveLink(LinkMove { name: moved.rename.clone(), to, rename: moved.name.clone() })
            }
            (What::AddLink(link), Outcome::Created) => What::DeleteLink(LinkMark::new(link.name.clone(), link.mac)),
            (What::AddAddress(address), Outcome::Created) => What::DeleteAddress(address.clone()),
            (What::AddRoute(route) | What::AppendRoute(route), Outcome::Created) => What::DeleteRoute(route.clone()),
            (What::DeleteRoute(route), Outcome::Removed) => What::AppendRoute(route.clone()),
            (What::AddPolicyRule(rule), Outcome::Created) => What::DeletePolicyRule(rule.clone()),
            (What::DeletePolicyRule(rule), Outcome::Removed) => What::AddPolicyRule(rule.clone()),
            (What::DeleteAddress(address), Outcome::Removed) => What::AddAddress(address.clone()),
            (What::AddNeighbour(neighbour), Outcome::Created) if neighbour.certainty == Certainty::Permanent => {
                What::DeleteNeighbour(neighbour.clone())
            }
            (What::DeleteNeighbour(neighbour), Outcome::Removed) => What::AddNeighbour(neighbour.clone()),
            (What::AddOvsPort(port), Outcome::Created) => What::DeleteOvsPort(port.name.clone()),
            (What::AddHooks(device), Outcome::Created) => What::DeleteHooks(device.clone()),
            (What::AddFilter(filter), Outcome::Created) => What::DeleteFilter(filter.clone()),
            (What::DeleteFilter(filter), Outcome::Removed) => What::AddFilter(filter.clone()),
            // Sets, chains and rules are deleted with their table.
            (What::AddTable(table), Outcome::Created) => What::DeleteTable(table.clone()),
            (What::AddElement(element), Outcome::Created) => What::DeleteElement(element.clone()),
            (What::AddNamespace(name) | What::NameNamespace { name, .. }, Outcome::Created) => {
                What::DeleteNamespace { name: name.clone(), cookie: None }
            }
            (What::WriteFile(file), Outcome::Created) => What::DeleteFile(file.clone()),
            (What::DeleteElement(element), Outcome::Removed) => What::AddElement(element.clone()),
            (_, Outcome::Changed { back }) => What::clone(back),
            _ => return None,
        };
        Some(Op { place, what, why: "undo" })
    }

    /// Whether it belongs into an nftables transaction.
    pub fn is_nft(&self) -> bool {
        matches!(
            self.what,
            What::AddTable(_)
                | What::DeleteTable(_)
                | What::AddSet(_)
                | What::AddChain(_)
                | What::AddRule(_)
                | What::AddElement(_)
                | What::DeleteElement(_)
                | What::AddGuestRule(_)
                | What::DeleteGuestRule(_)
        )
    }

    /// Whether it makes a part of the firewall that all networks share.
    pub fn is_layout(&self) -> bool {
        matches!(self.what, What::AddTable(_) | What::AddSet(_) | What::AddChain(_) | What::AddRule(_))
    }

    /// Whether it concerns a guest rule.
    pub fn is_guest(&self) -> bool {
        matches!(self.what, What::AddGuestRule(_) | What::DeleteGuestRule(_))
    }

    /// The command that gives a link its name in a sandbox, if the host makes it under another one.
    fn renaming(&self) -> Option<String> {
        let What::AddLink(link) = &self.what else { return None };
        Some(format!("ip link set {} name {}", link.name_at_first()?, link.name))
    }

    /// The equivalent command, without the place.
    fn command(&self) -> String {
        match &self.what {
            What::AddLink(link) => format!("ip {link}"),
            What::DeleteLink(link) => format!("ip link del {}", link.name),
            What::ChangeLink(change) => format!("ip {change}"),
            What::MoveLink(moved) => format!("ip {moved}"),
            What::ChangePort(port) => format!("bridge {port}"),
            What::AddVlan(vlan) => format!("bridge vlan add {vlan}"),
            What::DeleteVlan(vlan) => format!("bridge vlan del {}", vlan.place()),
            What::AddForwarding(entry) => format!("bridge fdb add {entry}"),
            What::AddAddress(address) => format!("ip addr add {address}"),
            What::ChangeAddress(address) => format!("ip addr change {address}"),
            What::DeleteAddress(address) => format!("ip addr del {} dev {}", address.which(), address.device),
            What::AddRoute(route) => format!("ip {}route add {route}", route.family_word()),
            What::AppendRoute(route) => format!("ip {}route append {route}", route.family_word()),
            What::AddPolicyRule(rule) => format!("ip {}rule add {rule}", rule.family_word()),
            What::DeletePolicyRule(rule) => format!("ip {}rule del {rule}", rule.family_word()),
            What::AddNeighbour(neighbour) => format!("ip neigh replace {neighbour}"),
            What::DeleteNeighbour(neighbour) => format!("ip neigh del {} dev {}", neighbour.address, neighbour.device),
            What::DeleteRoute(route) => format!("ip {}route del {route}", route.family_word()),
            What::AddHooks(device) => format!("tc qdisc add dev {device} clsact"),
            What::DeleteHooks(device) => format!("tc qdisc del dev {device} clsact"),
            What::AddFilter(filter) => format!("tc filter add {filter}"),
            What::DeleteFilter(filter) => format!("tc filter del {}", filter.place()),
            What::Set(sysctl) => sysctl.to_string(),
            What::AddTable(table) => format!("nft 'create {table}'"),
            What::DeleteTable(table) => format!("nft 'delete {table}'"),
            What::AddSet(set) => format!("nft 'add {set}'"),
            What::AddChain(chain) => format!("nft 'add {chain}'"),
            What::AddRule(rule) => format!("nft 'add {rule}'"),
            What::AddElement(element) => format!("nft 'add {element}'"),
            What::DeleteElement(element) => format!("nft 'delete {element}'"),
            What::AddGuestRule(rule) => format!("nft '{rule}'"),
            What::DeleteGuestRule(at) => format!("nft '{at}'"),
            What::Forget(flows) => flows.to_string(),
            What::Announce(announcement) => announcement.to_string(),
            What::SumUpFrames(device) => format!("ethtool -K {device} tx off"),
            What::AddOvsPort(port) => port.to_string(),
            What::SetOvsPort(port) => port.change(),
            What::DeleteOvsPort(name) => format!("ovs-vsctl --if-exists del-port {name}"),
            What::WriteFile(file) => file.writing(),
            What::DeleteFile(file) => file.removing(),
            What::AddNamespace(name) => format!("ip netns add {name}"),
            What::NameNamespace { name, path } => format!(
                "mkdir -p /run/netns && touch /run/netns/{name} && mount --bind {} /run/netns/{name}",
                shell_word(&path.display().to_string())
            ),
            What::DeleteNamespace { name, .. } => format!("ip netns delete {name}"),
        }
    }
}

/// The command line that a person would type. `ip -n` takes names only; any other namespace is entered with nsenter.
impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command = self.command();
        match &self.place {
            Place::Host => f.write_str(&command),
            // A person lets the host make a macvlan, wherever it is born: the command names the place.
            Place::Sandbox(sandbox) => match self.renaming() {
                Some(renaming) => write!(f, "{command} && {}", inside(sandbox, &renaming)),
                None => f.write_str(&inside(sandbox, &command)),
            },
        }
    }
}

/// A command inside a sandbox.
fn inside(sandbox: &NsRef, command: &str) -> String {
    match (sandbox, command.strip_prefix("ip ")) {
        (NsRef::Named(name), Some(rest)) => format!("ip -n {name} {rest}"),
        (NsRef::Named(name), None) => format!("ip netns exec {name} {command}"),
        (NsRef::Path(path), _) => format!("nsenter --net={} {command}", shell_word(&path.display().to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zubi_wire::route::AdminState;

    #[test]
    fn what_was_there_before_is_never_undone() {
        let op = Op::host(What::Set(Sysctl::new("net/ipv4/ip_forward", "1")), "");
        assert_eq!(op.undo(&Outcome::AlreadyThere), None);
        let back = Box::new(What::Set(Sysctl::new("net/ipv4/ip_forward", "0")));
        let undo = op.undo(&Outcome::Changed { back }).unwrap();
        assert_eq!(undo.to_string(), "sysctl -qw net.ipv4.ip_forward=0");
    }

    #[test]
    fn an_element_comes_back_only_if_it_was_there() {
        let element =
            nft::Element::new(&crate::firewall::TABLE, "bridges", vec![nft::Value::Device("br0".parse().unwrap())]);
        let op = Op::host(What::DeleteElement(element.clone()), "");
        assert_eq!(op.undo(&Outcome::Nothing), None);
        assert_eq!(op.undo(&Outcome::Removed).unwrap().what, What::AddElement(element));
    }

    #[test]
    fn a_path_is_quoted_for_the_shell() {
        let op = Op::sandbox(
            &NsRef::Path("/tmp/a b'c".into()),
            What::ChangeLink(LinkChange::state("eth0".parse().unwrap(), AdminState::Up)),
            "",
        );
        assert_eq!(op.to_string(), r"nsenter --net='/tmp/a b'\''c' ip link set eth0 up");
    }
}
