//! `cargo xtask bench`: builds zubi and the bench, and runs the bench.

use crate::dist;
use crate::error::Error;
use crate::metadata::Metadata;
use crate::program::{cargo, run as run_command};
use crate::setup::STATIC_TARGET;
use std::process::Command;

/// Measures as root, on hosts of its own; without root it says what it leaves out.
pub(crate) fn run(args: &[&str]) -> Result<(), Error> {
    println!("building the static release takes a minute or two the first time");
    let zubi = dist::build()?;
    let build = ["build", "-q", "--release", "--locked", "-p", "zubi-bench"];
    run_command(
        cargo()
            .args(build)
            .args(["--target", STATIC_TARGET])
            .args(["--bin", "zubi-bench-empty"])
            .args(["--bin", "zubi-bench-peak"]),
    )?;
    run_command(cargo().args(build).args(["--bin", "zubi-bench"]))?;
    let target = Metadata::load()?.target_directory;
    let tools = target.join(STATIC_TARGET).join("release");
    let bench = target.join("release/zubi-bench");
    run_command(Command::new(bench).arg("--zubi").arg(zubi).arg("--tools").arg(tools).args(args))
}
