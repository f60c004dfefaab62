//! Named network namespaces under /run/netns, as `ip netns` keeps them.

use crate::error::Error;
use crate::netns::{self, Netns};
use crate::sys;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zubi_model::SandboxName;
use zubi_plan::Outcome;

/// The folder.
pub const FOLDER: &str = "/run/netns";

fn file(name: &SandboxName) -> PathBuf {
    Path::new(FOLDER).join(name.as_str())
}

/// Makes the folder a shared mount of its own, so that names made and removed in one mount namespace also show in the
/// other mount namespaces (ip-netns(8)).
fn prepare_folder() -> Result<(), Error> {
    let failed = |operation| move |e| Error::system(operation, FOLDER, e);
    fs::create_dir_all(FOLDER).map_err(failed("create"))?;
    let folder = Path::new(FOLDER);
    let share = || sys::mount(Path::new("none"), folder, None, libc::MS_SHARED | libc::MS_REC);
    match share() {
        Ok(()) => Ok(()),
        // Not a mount point yet.
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            sys::mount(folder, folder, None, libc::MS_BIND | libc::MS_REC).map_err(failed("bind mount"))?;
            share().map_err(failed("share the mount of"))
        }
        Err(e) => Err(failed("share the mount of")(e)),
    }
}

/// Makes the empty file that a namespace is then mounted on.
fn claim(name: &SandboxName) -> Result<PathBuf, Error> {
    prepare_folder()?;
    let path = file(name);
    match OpenOptions::new().write(true).create_new(true).mode(0o444).open(&path) {
        Ok(_) => Ok(path),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::Conflict { object: format!("sandbox {name}"), found: path.display().to_string() })
        }
        Err(e) => Err(Error::system("create", path.display(), e)),
    }
}

fn bind(source: &Path, path: &Path) -> Result<(), Error> {
    sys::mount(source, path, None, libc::MS_BIND).map_err(|e| {
        // A file without a mount would keep the name taken.
        let removed = fs::remove_file(path);
        Error::system("bind mount", path.display(), removed.err().unwrap_or(e))
    })
}

/// `ip netns add NAME`.
pub(crate) fn add(name: &SandboxName, home: &Netns) -> Result<Outcome, Error> {
    let path = claim(name)?;
    let made = Netns::within_new(home, || bind(Path::new(netns::OWN), &path)).and_then(|bound| bound);
    if made.is_err() && path.exists() {
        fs::remove_file(&path).map_err(|e| Error::system("remove", path.display(), e))?;
    }
    made.map(|()| Outcome::Created)
}

/// Gives an existing namespace a name.
pub(crate) fn attach(name: &SandboxName, source: &Path, home: &Netns) -> Result<Outcome, Error> {
    // Keep it open until it is mounted, so that the checked namespace is the one that is mounted.
    let netns = Netns::open(source, home)?;
    let path = claim(name)?;
    bind(Path::new(&format!("/proc/self/fd/{}", netns.raw_fd())), &path)?;
    Ok(Outcome::Created)
}

/// `ip netns delete NAME`, if the name leads to the wanted namespace.
pub(crate) fn remove(
    name: &SandboxName,
    is_wanted: impl FnOnce(&Netns) -> Result<bool, Error>,
) -> Result<Outcome, Error> {
    let path = file(name);
    match Netns::open_any(&path) {
        Ok(netns) => {
            if !is_wanted(&netns)? {
                let found = "another network namespace; ip netns delete removes that name".into();
                return Err(Error::Conflict { object: format!("sandbox {name}"), found });
            }
            // By the open file, so that exactly the mount that was checked is unmounted and no later one.
            match sys::detach_mount(Path::new(&format!("/proc/self/fd/{}", netns.raw_fd()))) {
                Ok(()) => {}
                // Another process was faster.
                Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {}
                Err(e) => return Err(Error::system("unmount", path.display(), e)),
            }
        }
        // The file is gone, or nothing is mounted on it: an interrupted `add` leaves that.
        Err(Error::NotASandbox { .. }) => {}
        Err(e) => return Err(e),
    }
    // EBUSY where another process has mounted a namespace on the file meanwhile.
    match fs::remove_file(&path) {
        Ok(()) => Ok(Outcome::Removed),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Outcome::Nothing),
        Err(e) => Err(Error::system("remove", path.display(), e)),
    }
}

/// All names, sorted. A name may have no namespace mounted.
pub fn list() -> Result<Vec<SandboxName>, Error> {
    let entries = match fs::read_dir(FOLDER) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::system("list", FOLDER, e)),
    };
    let mut names: Vec<SandboxName> =
        entries.filter_map(Result::ok).filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    names.sort();
    Ok(names)
}
