//! The release: one static program.

use crate::error::Error;
use crate::metadata::Metadata;
use crate::program::{cargo, run as run_command};
use crate::setup::STATIC_TARGET;
use std::fs;

/// Builds it and prints where it is and how large.
pub(crate) fn run() -> Result<(), Error> {
    run_command(cargo().args(["build", "--release", "--locked", "--target", STATIC_TARGET, "-p", "zubi"]))?;
    let path = Metadata::load()?.target_directory.join(STATIC_TARGET).join("release/zubi");
    let bytes = fs::metadata(&path).map_err(|source| Error::File { path: path.clone(), source })?.len();
    println!("{}: {} KiB", path.display(), bytes.div_ceil(1024));
    Ok(())
}
