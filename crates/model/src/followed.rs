//! Sandboxes that get their endpoints again when they come back: containers that were restarted, namespaces that were
//! made anew under their name.

use crate::fnv::fnv128;
use crate::{Endpoint, EndpointId, NetworkId, SandboxRef, Standing};
use serde::{Deserialize, Serialize};

/// Whether a sandbox gets its endpoint again when it comes back under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Follow {
    /// It does not.
    #[default]
    Never,
    /// If it is a container of Docker, Podman or containerd: these are restarted.
    Containers,
    /// It does.
    Always,
}

impl Follow {
    /// Whether a sandbox with this full name is followed.
    pub fn follows(self, spelled: &str) -> bool {
        let Ok(sandbox) = spelled.parse::<SandboxRef>() else { return false };
        let container = matches!(sandbox, SandboxRef::Docker(_) | SandboxRef::Podman(_) | SandboxRef::Containerd(_));
        match self {
            Follow::Never => false,
            Follow::Containers => container && sandbox.standing() == Standing::Name,
            Follow::Always => sandbox.standing() == Standing::Name,
        }
    }
}

/// A sandbox that is followed. This outlives the boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// The endpoint as it was last: what the sandbox gets again. Its number is the one of the reservation that keeps
    /// its addresses meanwhile.
    pub endpoint: Endpoint,
}

impl Followed {
    /// The number of the endpoint that a sandbox has on a network: the same one each time, so that a command that is
    /// tried again finds what was reserved.
    pub fn id(network: &NetworkId, spelled: &str) -> EndpointId {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&fnv128(network.as_str().as_bytes()).to_be_bytes());
        bytes[16..].copy_from_slice(&fnv128(spelled.as_bytes()).to_be_bytes());
        EndpointId::from_random(bytes)
    }

    /// The sandbox, by its full name.
    pub fn sandbox(&self) -> &str {
        &self.endpoint.sandbox.spelled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_followed_and_names_on_request_but_never_a_way_to_a_process() {
        let followed = |spelled: &str| (Follow::Containers.follows(spelled), Follow::Always.follows(spelled));
        for container in ["docker:web", "podman:web", "containerd:redis"] {
            assert_eq!(followed(container), (true, true), "{container}");
        }
        for name in ["c1", "lxc:web", "machine:web"] {
            assert_eq!(followed(name), (false, true), "{name}");
        }
        for way in ["pid:4711", "/run/netns/c1", "cni:any/1", &format!("podman:{}", "a".repeat(64))] {
            assert_eq!(followed(way), (false, false), "{way}");
        }
        assert!(!Follow::Never.follows("docker:web"));
    }
}
