//! The name of the inner end: `eth0`, or the next name that neither the records nor the sandbox have.

use crate::error::Error;
use zubi_model::{Endpoint, IfName};

/// The kind of an existing device, if the kernel reports one.
pub(crate) type Kind = Option<String>;

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
    let mut number = 0;
    loop {
        // The loop ends: a name that is too long is an error.
        let name = IfName::numbered("eth", number)?;
        if recorded(&name).is_none() && look(&name)?.is_none() {
            return Ok(name);
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::memory::endpoint;

    fn choose(wished: Option<&str>, there: &[&str]) -> Result<String, Error> {
        let wished: Option<IfName> = wished.map(|name| name.parse().unwrap());
        let siblings = [endpoint(7, "green", "10.9.0.2")];
        let mut look = |name: &IfName| Ok(there.contains(&name.as_str()).then(|| Some("dummy".to_owned())));
        inner_name("c1", wished.as_ref(), &siblings, &mut look).map(|name| name.to_string())
    }

    #[test]
    fn the_first_name_that_neither_records_nor_sandbox_have_is_chosen() {
        // The sibling on green has eth0.
        assert_eq!(choose(None, &[]).unwrap(), "eth1");
        assert_eq!(choose(None, &["eth1"]).unwrap(), "eth2");
    }

    #[test]
    fn a_wished_name_that_is_taken_is_refused_with_what_has_it() {
        let words = |name, there: &[&str]| choose(Some(name), there).unwrap_err().to_string();
        assert!(words("eth0", &[]).contains("its end on network green"));
        assert!(words("lan0", &["lan0"]).contains("(dummy)"));
        assert_eq!(choose(Some("lan0"), &[]).unwrap(), "lan0");
    }
}
