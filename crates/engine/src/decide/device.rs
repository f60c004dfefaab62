//! The name of the inner end: `eth0`, or the next name that neither the records nor the sandbox have.
//!
//! A container runtime numbers its devices by itself and does not look whether a name is free: a container that is on a
//! network of Docker's has `eth0`, and the next one of Docker's will be `eth1`. Ours are `zeth0`, `zeth1` there.

use crate::error::Error;
use zubi_model::{Endpoint, IfName, SandboxRef};

/// The kind of an existing device, if the kernel reports one.
pub(crate) type Kind = Option<String>;

/// Who numbers the devices `eth0`, `eth1`, .. of a sandbox beside us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// Nobody.
    Ours,
    /// A container runtime, if `eth0` is its.
    OfRuntime,
}

impl Numbering {
    /// Of the sandbox that is called so.
    pub(crate) fn of(sandbox: &str) -> Self {
        match sandbox.parse() {
            Ok(SandboxRef::Docker(_) | SandboxRef::Podman(_) | SandboxRef::Containerd(_)) => Numbering::OfRuntime,
            _ => Numbering::Ours,
        }
    }
}

/// Chooses the name. `look` tells whether the sandbox has a device of a name.
pub(crate) fn inner_name(
    sandbox: &str,
    wished: Option<&IfName>,
    siblings: &[Endpoint],
    look: &mut dyn FnMut(&IfName) -> Result<Option<Kind>, Error>,
) -> Result<IfName, Error> {
    let recorded = |name: &IfName| {
        let sibling = siblings.iter().find(|s| s.ifname == *name)?;
        Some(format!("its end on network {}", sibling.network))
    };
    if let Some(name) = wished {
        let by = recorded(name);
        return match (look(name)?, by) {
            (None, None) => Ok(name.clone()),
            (seen, by) => Err(Error::DeviceTaken {
                sandbox: sandbox.to_owned(),
                ifname: name.to_string(),
                by: by.or(seen.flatten()),
            }),
        };
    }
    let mut prefix = "eth";
    let mut number = 0;
    loop {
        // The loop ends: a name that is too long is an error.
        let name = IfName::numbered(prefix, number)?;
        let is_recorded = recorded(&name).is_some();
        if !is_recorded && look(&name)?.is_none() {
            return Ok(name);
        }
        if (prefix, number, is_recorded) == ("eth", 0, false) && Numbering::of(sandbox) == Numbering::OfRuntime {
            prefix = "zeth";
        } else {
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::memory::endpoint;

    fn choose(wished: Option<&str>, there: &[&str]) -> Result<String, Error> {
        choose_in("c1", wished, &[endpoint(7, "green", "10.9.0.2")], there)
    }

    fn choose_in(sandbox: &str, wished: Option<&str>, siblings: &[Endpoint], there: &[&str]) -> Result<String, Error> {
        let wished: Option<IfName> = wished.map(|name| name.parse().unwrap());
        let mut look = |name: &IfName| Ok(there.contains(&name.as_str()).then(|| Some("dummy".to_owned())));
        inner_name(sandbox, wished.as_ref(), siblings, &mut look).map(|name| name.to_string())
    }

    #[test]
    fn the_first_name_that_neither_records_nor_sandbox_have_is_chosen() {
        // The sibling on green has eth0.
        assert_eq!(choose(None, &[]).unwrap(), "eth1");
        assert_eq!(choose(None, &["eth1"]).unwrap(), "eth2");
    }

    #[test]
    fn a_runtime_that_numbers_devices_finds_its_next_name_free() {
        let ours = [endpoint(7, "green", "10.9.0.2")];
        let choose =
            |sandbox, siblings: &[Endpoint], there: &[&str]| choose_in(sandbox, None, siblings, there).unwrap();
        assert_eq!(choose("docker:web", &[], &[]), "eth0");
        assert_eq!(choose("docker:web", &[], &["eth0"]), "zeth0");
        assert_eq!(choose("podman:web", &[], &["eth0", "eth1", "zeth0"]), "zeth1");
        // The container has no network of its runtime's.
        assert_eq!(choose("docker:web", &ours, &["eth0"]), "eth1");
        assert_eq!(choose("c1", &[], &["eth0"]), "eth1");
    }

    #[test]
    fn a_wished_name_that_is_taken_is_refused_with_what_has_it() {
        let words = |name, there: &[&str]| choose(Some(name), there).unwrap_err().to_string();
        assert!(words("eth0", &[]).contains("its end on network green"));
        assert!(words("lan0", &["lan0"]).contains("(dummy)"));
        assert_eq!(choose(Some("lan0"), &[]).unwrap(), "lan0");
    }
}
