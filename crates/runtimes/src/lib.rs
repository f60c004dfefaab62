//! Running containers of other runtimes, found by name.
//!
//! # How it works
//!
//! Docker answers over its socket (`GET /containers/NAME/json`). Podman and containerd keep files: Podman's storage
//! lists names and ids, conmon writes a pid file, containerd's shim an `init.pid`, systemd-machined a file with the leader.
//! The monitor of an LXC container tells its first process over an abstract socket. A pid file outlives its process, so
//! /proc must show a process that belongs to the container.
//!
//! # Invariants
//!
//! A search starts no daemon: systemd starts one on the first connection to its socket, so [`Runtimes::find`] connects
//! only where a daemon already runs or the user named the socket. The crate writes nothing. Time and size of every
//! answer are bounded.
//!
//! # Limits
//!
//! A daemon in another pid namespace (Docker in a virtual machine) reports pids that mean nothing here.
//!
//! Tested with Podman 4.3.1 (runc, conmon 2.1.6, its API service too), containerd 1.6.20, Docker 20.10.24 and
//! LXC 5.0.2.

mod api;
mod container;
mod containerd;
mod error;
mod fit;
mod http;
mod lxc;
mod machine;
mod monitored;
mod podman;
mod process;
mod runtimes;
#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;

pub use api::{EngineEndpoint, EngineNetwork};
pub use container::{Container, Runtime, StartTicks};
pub use error::RuntimeError;
pub use podman::PodmanStore;
pub use runtimes::Runtimes;
