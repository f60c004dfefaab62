//! Private folders for programs with fixed paths, whether the machine has these folders or not.
//!
//! # How it works
//! An existing folder is covered by an empty one in memory. Where the path is missing, a folder in memory covers its
//! deepest existing parent, with links to everything that was in it; so nothing is ever created on the machine.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use zubi_kernel::sys;

/// Where covered content stays reachable.
const BELOW: &str = "/run/covered";

/// Makes `folder` an empty folder of this host alone. A folder that is one already stays as it is.
pub fn cover(folder: impl AsRef<Path>) -> Result<(), String> {
    let folder = folder.as_ref();
    let failed = |e: io::Error| format!("{}: {e}", folder.display());
    if folder.is_dir() && is_covered(folder) {
        return Ok(());
    }
    if !folder.is_dir() {
        let above = folder.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
        // The root has too much below it for links.
        if above == Path::new("/") {
            return Err(format!("{}: no folder above it exists", folder.display()));
        }
        // A folder in memory already belongs to this host.
        if !is_covered(above) {
            cover_and_link(above).map_err(failed)?;
        }
        return fs::create_dir_all(folder).map_err(failed);
    }
    mount_memory(folder).map_err(failed)
}

/// Makes `folder` show the content of `source`, by a bind mount.
pub fn cover_with(folder: impl AsRef<Path>, source: impl AsRef<Path>) -> Result<(), String> {
    let (folder, source) = (folder.as_ref(), source.as_ref());
    cover(folder)?;
    sys::mount(source, folder, None, libc::MS_BIND | libc::MS_REC)
        .map_err(|e| format!("{} on {}: {e}", source.display(), folder.display()))
}

fn cover_and_link(folder: &Path) -> io::Result<()> {
    let below = PathBuf::from(format!("{BELOW}{}", folder.display()));
    fs::create_dir_all(&below)?;
    sys::mount(folder, &below, None, libc::MS_BIND | libc::MS_REC)?;
    mount_memory(folder)?;
    for entry in fs::read_dir(&below)? {
        let entry = entry?;
        symlink(entry.path(), folder.join(entry.file_name()))?;
    }
    Ok(())
}

fn mount_memory(folder: &Path) -> io::Result<()> {
    sys::mount(Path::new("covered"), folder, Some("tmpfs"), 0)
}

/// Whether a folder in memory of ours is mounted there or above.
fn is_covered(folder: &Path) -> bool {
    let found = Command::new("findmnt").args(["-n", "-o", "SOURCE", "-T"]).arg(folder).output();
    let source = found.map(|found| String::from_utf8_lossy(&found.stdout).trim().to_owned()).unwrap_or_default();
    source == "covered"
}
