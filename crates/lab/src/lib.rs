//! Labs: every test has its own host, made of user, network, mount and process namespaces; no root needed.
//!
//! A test file ends with `zubi_lab::tests!(a, b)`. It is a module of a test binary whose main file lists it in
//! `zubi_lab::test_files!`, or a test binary by itself; both kinds have `harness = false`. Each test runs in its own
//! process on a fresh host; all its processes and namespaces go with it, however it ends. To look inside a running one:
//! `nsenter --target PID --user --preserve-credentials --net --mount --pid`.

#![allow(clippy::missing_panics_doc, clippy::return_self_not_must_use, reason = "a lab fails its test by panicking")]

mod another;
pub mod boot;
mod capability;
mod cgroups;
mod chain;
mod cni;
mod cni_host;
mod cnitool;
mod containerd;
mod cover;
mod cri;
mod dhcp_server;
mod docker;
mod firewalld;
mod host;
mod image;
mod keeper;
pub mod lan;
mod links;
mod log;
mod lxc;
mod mirror;
mod network_manager;
mod networkd;
mod other_root;
mod ovs;
mod patience;
mod podman;
mod probe;
mod rootless;
mod runner;
mod sctp;
mod service;
mod snapshot;
mod zubi_daemon;

pub use another::on_another_host;
pub use capability::{Capability, Lack, lacking, need, report};
pub use chain::{Chain, PrevResult};
pub use cni::{Attachment, Caller, Reply, Verb};
pub use cni_host::CniHost;
pub use cnitool::Cnitool;
pub use containerd::Containerd;
pub use cover::{cover, cover_with};
pub use cri::{Cri, CriResult, PodConfig};
pub use dhcp_server::DhcpServer;
pub use docker::Docker;
pub use firewalld::{Firewalld, TableOwner};
pub use host::{Answer, Host, Loner, Outside};
pub use keeper::{HostKind, with_fresh_host};
pub use links::{HELPERS, PLUGINS, links};
pub use lxc::Lxc;
pub use mirror::{Mirror, codename};
pub use network_manager::NetworkManager;
pub use networkd::Networkd;
pub use other_root::OtherRoot;
pub use ovs::OpenVswitch;
pub use patience::patience;
pub use podman::{Backend, Podman, PodmanConfig};
pub use probe::{
    Reach, Transport, arrives_from, assert_isolated, assert_reaches, inside, matrix, reaches, reaches_within,
    source_seen,
};
pub use runner::{Test, run, skip};
pub use sctp::SctpListener;
pub use service::{Heard, Service, ask, ask_by, assert_served, assert_unserved};
pub use snapshot::Snapshot;
pub use zubi_daemon::{ZubiDaemon, own_etc};

/// Makes these functions tests: the file gets `TESTS`, for a binary that collects several files (see [`test_files`]),
/// and `main`, for one that is a binary by itself.
#[macro_export]
macro_rules! tests {
    ($($test:ident),+ $(,)?) => {
        $crate::tests_on!($crate::HostKind::Rootless, $($test),+);
    };
}

/// Like [`tests!`](crate::tests), for tests with real daemons: they need real root and are skipped without it.
#[macro_export]
macro_rules! root_tests {
    ($($test:ident),+ $(,)?) => {
        $crate::tests_on!($crate::HostKind::Root, $($test),+);
    };
}

/// The common part of `tests` and `root_tests`.
#[doc(hidden)]
#[macro_export]
macro_rules! tests_on {
    ($host:expr, $($test:ident),+) => {
        /// The tests of this file. A warning about an unused constant means that `test_files` does not list the file.
        pub const TESTS: &[$crate::Test] =
            &[$($crate::Test { name: concat!(module_path!(), "::", stringify!($test)), run: |_| $test(), host: $host }),+];

        #[allow(dead_code, reason = "in a binary of several files their common main runs")]
        fn main() -> std::process::ExitCode {
            $crate::run(&[TESTS])
        }
    };
}

/// Makes `main` run the tests of these files, each a module of the same name with a slice, or a static vector, `TESTS`.
#[macro_export]
macro_rules! test_files {
    ($($file:ident),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::run(&[$(&$file::TESTS),+])
        }
    };
}
