//! The release: one static program.

use crate::error::Error;
use crate::metadata::Metadata;
use crate::program::{cargo, run as run_command};
use crate::setup::STATIC_TARGET;
use std::fs;
use std::path::PathBuf;

/// Builds the release and prints its path and size.
pub(crate) fn run() -> Result<(), Error> {
    let path = build()?;
    let bytes = fs::metadata(&path).map_err(|source| Error::File { path: path.clone(), source })?.len();
    println!("{}: {} KiB", path.display(), bytes.div_ceil(1024));
    Ok(())
}

/// Builds the release and returns its path.
pub(crate) fn build() -> Result<PathBuf, Error> {
    run_command(cargo().args(["build", "-q", "--release", "--locked", "--target", STATIC_TARGET, "-p", "zubi"]))?;
    Ok(Metadata::load()?.target_directory.join(STATIC_TARGET).join("release/zubi"))
}
