//! Sandboxes: how users name them and what identifies them.

use crate::{Alias, Invalid, SandboxName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The kernel's number of a network namespace (`SO_NETNS_COOKIE`): never given twice in one boot, unlike inode
/// numbers, which are reused at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetnsCookie(pub u64);

impl fmt::Display for NetnsCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A process id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How a user names a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxRef {
    /// `c1`: a named namespace, else a container of that name in whichever runtime runs it.
    Name(SandboxName),
    /// `pid:4711`: the namespace of a process.
    Pid(Pid),
    /// `/path/to/ns`.
    Path(PathBuf),
    /// `docker:web`: a running Docker container, by name or id.
    Docker(String),
    /// `podman:web`.
    Podman(String),
    /// `containerd:ID`.
    Containerd(String),
    /// `lxc:web`.
    Lxc(String),
    /// `machine:web`: a container of systemd-nspawn.
    Machine(String),
    /// `cni:ID`: the name by which a program attached the sandbox. It leads to attached sandboxes only.
    Called(String),
}

/// What the text by which a sandbox was called is worth as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A process or a path: a way to the sandbox, and no name.
    Way,
    /// A name that a person chose: the container's, or one of `ip netns`.
    Name,
    /// The name by which a program finds its own endpoint again: that endpoint's alone.
    Program,
}

/// Container names and ids of the runtimes: they end up in a request path and in file names.
fn container_name(what: &'static str, text: &str) -> Result<String, Invalid> {
    let fits = !text.is_empty()
        && text.len() <= 255
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Invalid::new(what, text, "is not a container name or id (letters, digits, `_`, `.`, `-`)"))
    }
}

impl SandboxRef {
    /// What it is worth as the sandbox's name.
    pub fn standing(&self) -> Standing {
        match self {
            SandboxRef::Pid(_) | SandboxRef::Path(_) => Standing::Way,
            SandboxRef::Called(_) => Standing::Program,
            // Podman calls its own endpoints by the container's id, see `zubi_netavark`.
            SandboxRef::Podman(id) if id.len() == 64 => Standing::Program,
            SandboxRef::Name(_)
            | SandboxRef::Docker(_)
            | SandboxRef::Podman(_)
            | SandboxRef::Containerd(_)
            | SandboxRef::Lxc(_)
            | SandboxRef::Machine(_) => Standing::Name,
        }
    }

    /// The part that is a name, if it can be that of a host. A number, a path or the id that a CNI runtime made says
    /// nothing to a person who looks for the host.
    pub fn host_name(&self) -> Option<Alias> {
        match self {
            SandboxRef::Name(name) => name.as_str().parse().ok(),
            SandboxRef::Docker(name)
            | SandboxRef::Podman(name)
            | SandboxRef::Containerd(name)
            | SandboxRef::Lxc(name)
            | SandboxRef::Machine(name) => name.parse().ok(),
            SandboxRef::Pid(_) | SandboxRef::Path(_) | SandboxRef::Called(_) => None,
        }
    }
}

impl FromStr for SandboxRef {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.starts_with('/') {
            if text.contains('\0') || text.len() > 4095 {
                return Err(Invalid::new("sandbox path", text, "is not a path"));
            }
            return Ok(SandboxRef::Path(text.into()));
        }
        match text.split_once(':') {
            Some(("pid", pid)) => match pid.parse::<u32>() {
                Ok(pid) if (1..=0x3f_ffff).contains(&pid) && !text.contains('+') => Ok(SandboxRef::Pid(Pid(pid))),
                _ => Err(Invalid::new("sandbox", text, "is not a process id")),
            },
            Some(("docker", name)) => container_name("Docker container", name).map(SandboxRef::Docker),
            Some(("podman", name)) => container_name("Podman container", name).map(SandboxRef::Podman),
            // `cni:CONFIGURATION/ID` on a network that a user made.
            Some(("cni", called)) => {
                let mut parts = called.splitn(2, '/');
                parts.try_for_each(|part| container_name("CNI container", part).map(drop))?;
                Ok(SandboxRef::Called(text.to_owned()))
            }
            Some(("lxc", name)) => container_name("LXC container", name).map(SandboxRef::Lxc),
            Some(("machine", name)) => container_name("machine", name).map(SandboxRef::Machine),
            Some(("containerd", name)) => container_name("containerd container", name).map(SandboxRef::Containerd),
            Some((scheme, _)) => Err(Invalid::new("sandbox", text, format!("has the unknown kind `{scheme}`"))
                .try_instead(
                    "write NAME, pid:N, /path, docker:NAME, podman:NAME, containerd:ID, lxc:NAME or machine:NAME",
                )),
            None => text.parse().map(SandboxRef::Name),
        }
    }
}

impl fmt::Display for SandboxRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SandboxRef::Name(name) => write!(f, "{name}"),
            SandboxRef::Pid(pid) => write!(f, "pid:{pid}"),
            SandboxRef::Path(path) => write!(f, "{}", path.display()),
            SandboxRef::Docker(name) => write!(f, "docker:{name}"),
            SandboxRef::Podman(name) => write!(f, "podman:{name}"),
            SandboxRef::Containerd(id) => write!(f, "containerd:{id}"),
            SandboxRef::Lxc(name) => write!(f, "lxc:{name}"),
            SandboxRef::Machine(name) => write!(f, "machine:{name}"),
            SandboxRef::Called(name) => f.write_str(name),
        }
    }
}

/// How a printed command reaches a namespace: `ip -n` takes names only, everything else needs `nsenter`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NsRef {
    /// A namespace under /run/netns.
    Named(SandboxName),
    /// Any other, by the path of its namespace file.
    Path(PathBuf),
}

impl NsRef {
    /// The file that leads to the namespace.
    pub fn path(&self) -> PathBuf {
        match self {
            NsRef::Named(name) => PathBuf::from("/run/netns").join(name.as_str()),
            NsRef::Path(path) => path.clone(),
        }
    }
}

/// Which sandbox an endpoint or a link's end is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxIdentity {
    /// The kernel's number: the identity, for this boot.
    pub cookie: NetnsCookie,
    /// Its name: `c1`, `docker:web`; the way by which it was reached until somebody calls it by a name.
    pub spelled: String,
    /// How printed commands reach it, and where to look whether it is still the same.
    pub reached_by: NsRef,
}

impl SandboxIdentity {
    /// Its own name as that of a host, see [`SandboxRef::host_name`].
    pub fn host_name(&self) -> Option<Alias> {
        self.spelled.parse::<SandboxRef>().ok()?.host_name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_name_reads_back_as_written() {
        for text in [
            "c1",
            "pid:4711",
            "/run/netns/x",
            "docker:web",
            "podman:db",
            "containerd:abc",
            "lxc:web",
            "machine:web",
            "cni:abc",
            "cni:any/abc",
        ] {
            assert_eq!(text.parse::<SandboxRef>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_way_and_a_program_s_own_id_are_no_names() {
        let standing = |text: &str| text.parse::<SandboxRef>().unwrap().standing();
        for name in ["c1", "docker:web", "podman:db", "containerd:abc", "lxc:web", "machine:web"] {
            assert_eq!(standing(name), Standing::Name, "{name}");
        }
        for way in ["pid:7", "/run/netns/x"] {
            assert_eq!(standing(way), Standing::Way, "{way}");
        }
        for own in ["cni:abc".to_owned(), format!("podman:{}", "a".repeat(64))] {
            assert_eq!(standing(&own), Standing::Program, "{own}");
        }
    }

    #[test]
    fn names_that_could_escape_a_request_or_a_path_are_refused() {
        for bad in [
            "docker:../x",
            "docker:a/b",
            "docker:",
            "podman:a b",
            "containerd:.",
            "cni:a/b/c",
            "cni:/a",
            "pid:0",
            "pid:+1",
            "pid:x",
            "lxc:a/b",
            "machine:..",
            "rkt:a",
            "a/b",
            "",
            "docker:a\r\nHost: x",
        ] {
            assert!(bad.parse::<SandboxRef>().is_err(), "{bad:?}");
        }
    }
}
