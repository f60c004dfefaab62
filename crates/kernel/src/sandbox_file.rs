//! Files that `ip netns exec` shows in the place of the host's.

use crate::error::Error;
use crate::sys;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use zubi_plan::{Outcome, SandboxFile, What};

/// The mode of the files: every user's programs read them.
const MODE: u32 = 0o644;

/// What there is in the place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// The file as it is to be.
    Right,
    /// One that zubi wrote for the same namespace, with another text.
    Outdated,
    /// None, or one that zubi wrote for another namespace of this name.
    Missing,
    /// One of the user's, or what cannot be read or written.
    Users,
}

/// What there is in the place of a file.
pub fn state(file: &SandboxFile) -> FileState {
    match fs::read_to_string(file.path()) {
        Ok(content) if content == file.content() => FileState::Right,
        Ok(content) if content.starts_with(&file.mark()) => FileState::Outdated,
        Ok(content) if !is_ours(&content) => FileState::Users,
        Ok(_) => FileState::Missing,
        Err(e) if e.kind() == ErrorKind::NotFound && !sys::is_read_only(c"/etc").unwrap_or(true) => FileState::Missing,
        Err(_) => FileState::Users,
    }
}

/// Writes it. A file of the user's stays, and so does one on a system whose /etc cannot be written.
pub(crate) fn write(file: &SandboxFile) -> Result<Outcome, Error> {
    let before = match fs::read_to_string(file.path()) {
        Ok(before) if before == file.content() => return Ok(Outcome::AlreadyThere),
        Ok(before) if is_ours(&before) => Some(before),
        Ok(_) => return Ok(Outcome::AlreadyThere),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(Error::system("read", file.path().display(), e)),
    };
    match replace(file) {
        Ok(()) => {}
        Err(e) if matches!(e.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
            return Ok(Outcome::Nothing);
        }
        Err(e) => return Err(Error::system("write", file.path().display(), e)),
    }
    Ok(match before.as_deref().and_then(|before| before.strip_prefix(&file.mark())) {
        Some(text) => {
            Outcome::Changed { back: Box::new(What::WriteFile(SandboxFile { text: text.into(), ..file.clone() })) }
        }
        // What another namespace of this name had is of no use to anybody.
        None => Outcome::Created,
    })
}

/// Removes it, if zubi wrote it for this namespace, and the folder with the last one.
pub(crate) fn remove(file: &SandboxFile) -> Result<Outcome, Error> {
    if !matches!(state(file), FileState::Right | FileState::Outdated) {
        return Ok(Outcome::Nothing);
    }
    // Of a command that was killed while it wrote.
    fs::remove_file(temporary(file)).ok();
    fs::remove_file(file.path()).map_err(|e| Error::system("remove", file.path().display(), e))?;
    // It stays while the user has files there.
    fs::remove_dir(file.folder()).ok();
    Ok(Outcome::Removed)
}

/// Whether it is ours, for whichever namespace.
fn is_ours(content: &str) -> bool {
    content.starts_with("# zubi made this file for namespace ")
}

fn temporary(file: &SandboxFile) -> PathBuf {
    file.folder().join(".zubi-new")
}

/// A program sees the file as it was or as it is.
fn replace(file: &SandboxFile) -> io::Result<()> {
    fs::create_dir_all(file.folder())?;
    let temporary = temporary(file);
    fs::write(&temporary, file.content())?;
    fs::set_permissions(&temporary, Permissions::from_mode(MODE))?;
    fs::rename(&temporary, file.path())
}
