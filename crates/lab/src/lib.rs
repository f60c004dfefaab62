//! Labs: every test has a host of its own, made of user, network, mount and process namespaces; no root needed.
//!
//! A test file has `harness = false` and ends with `zubi_lab::tests!(a, b)`. Each test runs in a process of its own, on
//! a fresh host; when it ends, every process and namespace of it is gone, whatever happened. To look inside while one
//! runs: `nsenter --target PID --user --preserve-credentials --net --mount --pid`.

mod host;
mod probe;
mod runner;
mod snapshot;

pub use host::{Answer, Host, Outside};
pub use probe::{Reach, Transport, assert_isolated, assert_reaches, matrix, reaches};
pub use runner::{Test, run, skip};
pub use snapshot::Snapshot;

/// Makes `main` run these functions as tests.
#[macro_export]
macro_rules! tests {
    ($($test:ident),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::run(&[$($crate::Test { name: stringify!($test), run: $test }),+])
        }
    };
}
