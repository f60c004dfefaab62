//! What must pass before a change goes in.

use crate::error::Error;
use crate::program::{cargo, run as run_command};
use crate::test::Run;
use crate::{demo, gate, kernel_tests};

/// Cheap checks first.
pub(crate) fn run() -> Result<(), Error> {
    run_command(cargo().args(["fmt", "--all", "--check"]))?;
    run_command(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    gate::run()?;
    // The demo covers the static release, which the tests do not use.
    demo::run()?;
    let mut run = Run::begin()?;
    run.workspace(&[])?;
    kernel_tests::add_to(&mut run)?;
    run.end()
}
