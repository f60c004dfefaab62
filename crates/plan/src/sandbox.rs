//! Named sandboxes, as `ip netns` makes and lists them.

use crate::{Op, Plan, What};
use std::path::PathBuf;
use zubi_model::{IfName, NetnsCookie, NsRef, SandboxName};
use zubi_wire::route::{AdminState, LinkChange};

/// Makes a sandbox with only a loopback device: the mode `none`.
pub fn add(name: &SandboxName) -> Plan {
    const NEW: &str = "a network namespace of its own, kept by a name under /run/netns";
    const LOOPBACK: &str = "its loopback";
    let inside = NsRef::Named(name.clone());
    [
        Op::host(What::AddNamespace(name.clone()), NEW),
        Op::sandbox(&inside, What::ChangeLink(LinkChange::state(IfName::loopback(), AdminState::Up)), LOOPBACK),
    ]
    .into_iter()
    .collect()
}

/// Gives an existing namespace a name.
pub fn attach(name: &SandboxName, path: PathBuf) -> Plan {
    const NAME: &str = "give the namespace a name, so that ip netns sees it";
    std::iter::once(Op::host(What::NameNamespace { name: name.clone(), path }, NAME)).collect()
}

/// Removes a name that leads to this namespace, or with `None` to any namespace.
pub fn remove(name: &SandboxName, cookie: Option<NetnsCookie>) -> Plan {
    const REMOVE: &str = "remove the name; the namespace goes with its last user";
    std::iter::once(Op::host(What::DeleteNamespace { name: name.clone(), cookie }, REMOVE)).collect()
}
