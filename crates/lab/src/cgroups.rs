//! The cgroup that holds the cgroups of a host's daemons. No namespace owns it, so it is removed by hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use zubi_kernel::sys;

const FOLDER: &str = "/sys/fs/cgroup";
const PREFIX: &str = "zubi-lab-";

/// Its name: `zubi-lab-` and the keeper's process id, as seen from outside.
pub(crate) fn own() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("{PREFIX}{}", std::process::id()))
}

/// Shows the host its own cgroup as the root, for programs whose cgroup parent cannot be configured. The keeper must
/// not share these mounts: it removes the cgroup from outside.
pub(crate) fn confine() -> Result<(), String> {
    for top in hierarchies().map_err(|e| format!("{FOLDER}: {e}"))? {
        confine_below(&top).map_err(|e| format!("{}: {e}", top.display()))?;
    }
    Ok(())
}

/// Unmounts the old mount instead of covering it: runc uses the first one in mountinfo.
fn confine_below(top: &Path) -> io::Result<()> {
    const ASIDE: &str = "/run/cgroup";
    // A child cpuset can only have what its parent has.
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

/// Where cgroups are mounted: the unified hierarchy, or one for each controller. Without those already confined.
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

/// Removes this host's cgroups.
pub(crate) fn remove_own() {
    for folder in all().into_iter().filter(|path| path.ends_with(own())) {
        // The cgroup of a killed process becomes empty a moment later.
        for _ in 0..100 {
            if remove(&folder).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Removes the cgroups of hosts whose keeper was killed.
pub(crate) fn sweep() {
    for folder in all() {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let keeper = name.strip_prefix(PREFIX).unwrap_or_default();
        if !Path::new("/proc").join(keeper).exists() {
            // A busy cgroup has a process that is about to end; the next sweep removes it.
            drop(remove(&folder));
        }
    }
}

/// Every cgroup with that prefix: one in the unified hierarchy, or one for each controller.
fn all() -> Vec<PathBuf> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).map_or_else(|_| Vec::new(), |all| all.flatten().map(|entry| entry.path()).collect())
    };
    let top = below(Path::new(FOLDER));
    let mut found: Vec<PathBuf> = top.iter().flat_map(|folder| below(folder)).chain(top.clone()).collect();
    found.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX)));
    found
}

/// Removes children first; the kernel removes the files of a cgroup with it.
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
