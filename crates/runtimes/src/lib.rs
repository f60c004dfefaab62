//! Running containers of other runtimes, found by name.
//!
//! # How it works
//!
//! Docker is asked over its socket (`GET /containers/NAME/json`). Podman and containerd are read from the files they
//! keep: Podman's storage lists names and ids and conmon leaves a pid file; containerd's shim leaves an `init.pid`.
//! A pid file outlives its process, so the process is looked up in /proc and must belong to that container.
//!
//! # Invariants
//!
//! Nothing is started by looking: systemd starts a daemon on the first connection to its socket, so
//! [`Runtimes::find`] connects only where a daemon runs already or the user named the socket. Nothing is written.
//! Every answer is bounded in time and size.
//!
//! # Limits
//!
//! A daemon in another process namespace (Docker in a virtual machine) reports pids that mean nothing here.
//!
//! Tried with Podman 4.3.1 (runc, conmon 2.1.6, its API service too), containerd 1.6.20 and Docker 20.10.24.

mod api;
mod container;
mod containerd;
mod error;
mod fit;
mod http;
mod monitored;
mod podman;
mod process;
mod runtimes;
#[cfg(test)]
mod testbed;
#[cfg(test)]
mod tests;

pub use container::{Container, Runtime, StartTicks};
pub use error::RuntimeError;
pub use podman::PodmanStore;
pub use runtimes::Runtimes;
