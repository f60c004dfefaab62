//! The name of a sandbox: one for all its endpoints, however a command called it.
//!
//! # How it works
//! The first name stays. The way by which a sandbox was reached, a process or a path, stands in until somebody calls it
//! by a name. What a program calls its own endpoint is left to that program.

use zubi_model::{SandboxRef, Standing};

/// The name of a sandbox that a command calls `called`; `earlier` are the names of its endpoints, oldest first.
pub(crate) fn sandbox_name<'a>(called: &'a str, earlier: &[&'a str]) -> &'a str {
    let first = |standing| earlier.iter().copied().find(|name| standing_of(name) == standing);
    match standing_of(called) {
        Standing::Program => called,
        Standing::Name => first(Standing::Name).unwrap_or(called),
        Standing::Way => first(Standing::Name).or(first(Standing::Way)).unwrap_or(called),
    }
}

/// Whether an endpoint that is recorded as `recorded` takes this name.
pub(crate) fn takes_name(recorded: &str, name: &str) -> bool {
    standing_of(recorded) == Standing::Way && standing_of(name) == Standing::Name
}

/// Only a program gives a name that zubi cannot read.
fn standing_of(name: &str) -> Standing {
    name.parse().map_or(Standing::Program, |read: SandboxRef| read.standing())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_stays_and_a_way_is_none() {
        for (called, earlier, name) in [
            ("docker:web", &[][..], "docker:web"),
            ("c1", &["docker:web"], "docker:web"),
            ("docker:web", &["c1"], "c1"),
            ("docker:web", &["pid:7"], "docker:web"),
            ("pid:7", &["/run/x", "docker:web", "c1"], "docker:web"),
            ("pid:7", &["/run/x", "pid:8"], "/run/x"),
            ("/run/x", &[], "/run/x"),
        ] {
            assert_eq!(sandbox_name(called, earlier), name, "{called} {earlier:?}");
        }
        assert!(takes_name("pid:7", "docker:web") && takes_name("/run/x", "c1"));
        assert!(!takes_name("c1", "docker:web") && !takes_name("pid:7", "/run/x"));
    }

    #[test]
    fn what_a_program_calls_its_endpoint_is_its_own() {
        assert_eq!(sandbox_name("cni:abc", &["docker:web"]), "cni:abc");
        assert_eq!(sandbox_name("docker:web", &["cni:abc"]), "docker:web");
        assert_eq!(sandbox_name("pid:7", &["cni:abc"]), "pid:7");
        assert!(!takes_name("cni:abc", "docker:web"));
    }
}
