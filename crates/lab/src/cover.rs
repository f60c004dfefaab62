//! Folders that programs insist on, and that the machine may have or not: each host gets its own.
//!
//! # How it works
//! What is there already is covered by an empty one in memory. Where the path is missing, a folder in memory covers the
//! deepest folder above it that is there, with links to all that was in it; so nothing is ever made on the machine.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use zubi_kernel::sys;

/// Where what was covered can still be reached.
const BELOW: &str = "/run/covered";

/// Makes `folder` an empty folder of this host's own, which nobody else sees. One that is that already stays as it is.
pub fn cover(folder: impl AsRef<Path>) -> Result<(), String> {
    let folder = folder.as_ref();
    let failed = |e: io::Error| format!("{}: {e}", folder.display());
    if folder.is_dir() && is_covered(folder) {
        return Ok(());
    }
    if !folder.is_dir() {
        let above = folder.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
        // Everything below the root is more than can be linked to.
        if above == Path::new("/") {
            return Err(format!("{}: the machine has no folder above it", folder.display()));
        }
        // What is in memory already is this host's own.
        if !is_covered(above) {
            cover_and_link(above).map_err(failed)?;
        }
        return fs::create_dir_all(folder).map_err(failed);
    }
    mount_memory(folder).map_err(failed)
}

/// Makes `folder` show what `source` has: `cover`, then a bind mount, which a shell could do.
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

/// Whether something in memory is mounted there or above, by us.
fn is_covered(folder: &Path) -> bool {
    let found = Command::new("findmnt").args(["-n", "-o", "SOURCE", "-T"]).arg(folder).output();
    let source = found.map(|found| String::from_utf8_lossy(&found.stdout).trim().to_owned()).unwrap_or_default();
    source == "covered"
}
