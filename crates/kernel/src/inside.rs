//! Moving the process into a sandbox, as `ip netns exec` does; finding the processes inside one.

use crate::error::Error;
use crate::netns::Netns;
use crate::sys;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Moves the calling process into the sandbox for good: the network namespace, and a mount namespace of its own in
/// which /sys shows the sandbox's devices and the files of /etc/netns/NAME hide those of /etc (ip-netns(8)).
pub fn move_in(netns: &Netns, name: Option<&str>) -> Result<(), Error> {
    netns.enter()?;
    sys::unshare(sys::Namespaces::MOUNT).map_err(|e| Error::system("make", "mount namespace", e))?;
    let root = Path::new("/");
    sys::mount(Path::new(""), root, Some("none"), libc::MS_SLAVE | libc::MS_REC)
        .map_err(|e| Error::system("detach", "mount namespace", e))?;
    show_own_devices()?;
    if let Some(name) = name {
        bind_etc(&Path::new("/etc/netns").join(name))?;
    }
    Ok(())
}

/// A new /sys shows the devices of the namespace that mounts it. What is mounted below the old one, cgroups above all,
/// comes along: programs need it.
fn show_own_devices() -> Result<(), Error> {
    let old_one = Path::new("/sys");
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|e| Error::system("read", "/proc/self/mounts", e))?;
    let mut below = Vec::new();
    for path in topmost_below(&mounts, old_one) {
        match sys::copy_mount(&path) {
            Ok(copy) => below.push((copy, path)),
            // Without it the new one would lack something: the old one stays.
            Err(_) => return Ok(()),
        }
    }
    match sys::mount(Path::new("sysfs"), old_one, Some("sysfs"), 0) {
        Ok(()) => {}
        // A user namespace without the right keeps the old /sys.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::EBUSY)) => return Ok(()),
        Err(e) => return Err(Error::system("mount", "/sys", e)),
    }
    for (copy, path) in below {
        match sys::put_mount(copy.as_fd(), &path) {
            Ok(()) => {}
            // A place that only the host has.
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
            Err(e) => return Err(Error::system("mount", path.display(), e)),
        }
    }
    Ok(())
}

/// The mounts below a folder that are below no other one of these. `mounts`: as /proc/self/mounts has them (fstab(5)).
fn topmost_below(mounts: &str, folder: &Path) -> Vec<PathBuf> {
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut all: Vec<PathBuf> = targets
        .map(|target| PathBuf::from(target.replace("\\040", " ").replace("\\134", "\\")))
        .filter(|path| path.starts_with(folder) && path != folder)
        .collect();
    all.sort();
    let mut topmost: Vec<PathBuf> = Vec::new();
    for path in all {
        if topmost.last().is_none_or(|above| !path.starts_with(above)) {
            topmost.push(path);
        }
    }
    topmost
}

fn bind_etc(folder: &Path) -> Result<(), Error> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.filter_map(Result::ok) {
        let target = Path::new("/etc").join(entry.file_name());
        if target.exists() {
            sys::mount(&entry.path(), &target, None, libc::MS_BIND)
                .map_err(|e| Error::system("bind mount", target.display(), e))?;
        }
    }
    Ok(())
}

/// Ends a process by SIGKILL, but only if it is inside: its number may be another process's by now. A process that has
/// ended is no error.
pub fn end_process(netns: &Netns, pid: u32) -> Result<(), Error> {
    end_process_if(pid, &|| is_inside(netns, pid))
}

/// Ends a process by SIGKILL, if it still is the one that is meant: its number may be another process's by now. A process
/// that has ended is no error.
pub fn end_process_if(pid: u32, is_meant: &dyn Fn() -> bool) -> Result<(), Error> {
    let ended = |e: &std::io::Error| e.raw_os_error() == Some(libc::ESRCH);
    let failed = |operation, e| Err(Error::system(operation, format!("process {pid}"), e));
    // Opened first: the descriptor stands for the process that is checked next, or for one that has ended.
    let process = match sys::open_process(pid) {
        Ok(process) => process,
        Err(e) if ended(&e) => return Ok(()),
        // Without pidfd_open (Linux 5.3) no process is ended: the number could be another's.
        Err(e) => return failed("open", e),
    };
    if !is_meant() {
        return Ok(());
    }
    match sys::signal_process(process.as_fd(), libc::SIGKILL) {
        Err(e) if !ended(&e) => failed("end", e),
        _ => Ok(()),
    }
}

/// False for a process that has ended.
fn is_inside(netns: &Netns, pid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|m| netns.is((m.dev(), m.ino())))
}

/// The processes whose network namespace this is. The namespace is open, so no other gets its inode number meanwhile.
pub fn processes(netns: &Netns) -> Result<Vec<u32>, Error> {
    let entries = fs::read_dir("/proc").map_err(|e| Error::system("list", "/proc", e))?;
    let pids = entries.filter_map(Result::ok).filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter(|pid| is_inside(netns, *pid)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_others_come_along_with_them() {
        let mounts = "sysfs /sys sysfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n\
                      tmpfs /sys/fs/cgroup/a tmpfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n\
                      x /sys/with\\040blank x rw 0 0\nproc /system proc rw 0 0\n";
        let found = topmost_below(mounts, Path::new("/sys"));
        let found: Vec<&str> = found.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(found, ["/sys/fs/bpf", "/sys/fs/cgroup", "/sys/with blank"]);
    }
}
