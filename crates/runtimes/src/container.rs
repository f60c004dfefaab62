//! A running container as its runtime tells of it.

use std::fmt;
use zubi_model::Pid;

/// Who runs a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Runtime {
    /// Docker, over its socket.
    Docker,
    /// Podman, from its storage; CRI-O and Buildah keep theirs in the same place.
    Podman,
    /// containerd: `ctr`, nerdctl, Kubernetes.
    Containerd,
}

impl Runtime {
    /// The word before the colon in `docker:web`.
    pub fn scheme(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Podman => "podman",
            Runtime::Containerd => "containerd",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Runtime::Docker => "Docker",
            Runtime::Podman => "Podman",
            Runtime::Containerd => "containerd",
        })
    }
}

/// When a process started, in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)): with the pid it tells a
/// process from a later one that was given the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartTicks(pub u64);

/// A running container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Who runs it.
    pub runtime: Runtime,
    /// The full id.
    pub id: String,
    /// The name; containerd has none, there it is the id.
    pub name: String,
    /// Its first process, as numbered in this process namespace.
    pub pid: Pid,
    /// When that process started. Whoever opens a namespace by the pid asks
    /// [`Runtimes::still_runs`](crate::Runtimes::still_runs) afterwards.
    pub started: StartTicks,
}
