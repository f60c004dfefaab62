//! The cgroup below which the daemons of a host make theirs. It lies outside every namespace, so it is taken away by
//! hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use zubi_kernel::sys;

const FOLDER: &str = "/sys/fs/cgroup";
const PREFIX: &str = "zubi-lab-";

/// Its name: `zubi-lab-` and the process id of the host's keeper, as it is outside.
pub(crate) fn own() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("{PREFIX}{}", std::process::id()))
}

/// Shows the host its own cgroup as if it were the topmost, for programs that cannot be told where to make theirs. The
/// keeper must not share the mounts: it removes the cgroup from outside.
pub(crate) fn confine() -> Result<(), String> {
    for top in hierarchies().map_err(|e| format!("{FOLDER}: {e}"))? {
        confine_below(&top).map_err(|e| format!("{}: {e}", top.display()))?;
    }
    Ok(())
}

/// The old mount has to go, not only to be covered: runc goes by the first it finds in mountinfo.
fn confine_below(top: &Path) -> io::Result<()> {
    const ASIDE: &str = "/run/cgroup";
    // What a cpuset does not have, nothing below it can have.
    const INHERITED: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];
    let (aside, folder) = (Path::new(ASIDE), top.join(own()));
    if !folder.exists() {
        fs::create_dir(&folder)?;
    }
    for file in INHERITED.into_iter().filter(|file| top.join(file).exists()) {
        fs::write(folder.join(file), fs::read(top.join(file))?)?;
    }
    fs::create_dir_all(aside)?;
    sys::mount(&folder, aside, None, libc::MS_BIND)?;
    sys::detach_mount(top)?;
    sys::mount(aside, top, None, libc::MS_MOVE)
}

/// Where they are mounted: the unified one, or one for each controller. Not those that are confined already.
fn hierarchies() -> io::Result<Vec<PathBuf>> {
    // proc_pid_mountinfo(5): ID PARENT DEVICE ROOT MOUNTPOINT OPTIONS [TAG...] - TYPE ...
    let text = fs::read_to_string("/proc/self/mountinfo")?;
    let of = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        let mut fields = head.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        (tail.starts_with("cgroup") && at.starts_with(FOLDER) && !root.contains(PREFIX)).then(|| PathBuf::from(at))
    };
    Ok(text.lines().filter_map(of).collect())
}

/// Removes this host's.
pub(crate) fn remove_own() {
    for folder in all().into_iter().filter(|path| path.ends_with(own())) {
        // A process that was killed leaves its cgroup a moment later.
        for _ in 0..100 {
            if remove(&folder).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Removes those of hosts whose keeper was killed.
pub(crate) fn sweep() {
    for folder in all() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let keeper = name.strip_prefix(PREFIX).unwrap_or_default();
        if !Path::new("/proc").join(keeper).exists() {
            // What is still in use has a process that is about to end; the next sweep finds it.
            drop(remove(&folder));
        }
    }
}

/// All of that name: one below the unified hierarchy, or one below each controller's.
fn all() -> Vec<PathBuf> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).map_or_else(|_| Vec::new(), |all| all.flatten().map(|entry| entry.path()).collect())
    };
    let top = below(Path::new(FOLDER));
    let mut found: Vec<PathBuf> = top.iter().flat_map(|folder| below(folder)).chain(top.clone()).collect();
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX)));
    found
}

/// Children first; files in it go with it.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    match fs::remove_dir(folder) {
        // cpu and cpuacct may be two names of one hierarchy.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
