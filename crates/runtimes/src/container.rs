//! A running container, as its runtime reports it.

use std::fmt;
use zubi_model::Pid;

/// The program that runs a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// Docker, over its socket.
    Docker,
    /// Podman, from its storage; CRI-O and Buildah keep theirs in the same place.
    Podman,
    /// containerd: `ctr`, nerdctl, Kubernetes.
    Containerd,
    /// LXC, and with it Incus and LXD.
    Lxc,
    /// systemd-machined: systemd-nspawn.
    Machine,
}

impl Runtime {
    /// The word before the colon in `docker:web`.
    pub fn scheme(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
            Runtime::Containerd => "containerd",
            Runtime::Lxc => "lxc",
            Runtime::Machine => "machine",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Runtime::Docker => "Docker",
            Runtime::Podman => "Podman",
            Runtime::Containerd => "containerd",
            Runtime::Lxc => "LXC",
            Runtime::Machine => "systemd-machined",
        })
    }
}

/// When a process started, in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)). It distinguishes the
/// process from a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartTicks(pub u64);

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The program that runs it.
    pub runtime: Runtime,
    /// The full id.
    pub id: String,
    /// The name; the id for a runtime that has no names beside ids.
    pub name: String,
    /// Its first process, by its pid in this pid namespace.
    pub pid: Pid,
    /// When that process started: a caller that opens a namespace by the pid calls
    /// [`Runtimes::still_runs`](crate::Runtimes::still_runs) afterwards.
    pub started: StartTicks,
}
