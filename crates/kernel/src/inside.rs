//! Becoming a process inside a sandbox, as `ip netns exec` does it; finding the processes inside one.

use crate::error::Error;
use crate::netns::Netns;
use crate::sys;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Moves the calling process into the sandbox for good: the network namespace, and a mount namespace of its own in
/// which /sys shows this network's devices and the files of /etc/netns/NAME stand over those of /etc (ip-netns(8)).
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

/// A new /sys shows the devices of the namespace that mounts it. Cgroup mounts below the old one would vanish from
/// sight; programs that need them find them in the new one's place only when they are mounted again, so where /sys
/// has mounts below it, it stays.
fn show_own_devices() -> Result<(), Error> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|e| Error::system("read", "/proc/self/mounts", e))?;
    let below = mounts.lines().filter_map(|l| l.split(' ').nth(1)).any(|target| target.starts_with("/sys/"));
    if below {
        return Ok(());
    }
    match sys::mount(Path::new("sysfs"), Path::new("/sys"), Some("sysfs"), 0) {
        Ok(()) => Ok(()),
        // In a user namespace without the right: the old view stays.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::EBUSY)) => Ok(()),
        Err(e) => Err(Error::system("mount", "/sys", e)),
    }
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

/// Ends a process by SIGKILL if it is inside, and only then: its number may be another's by now. One that has ended is
/// fine.
pub fn end_process(netns: &Netns, pid: u32) -> Result<(), Error> {
    let ended = |e: &std::io::Error| e.raw_os_error() == Some(libc::ESRCH);
    let failed = |operation, e| Err(Error::system(operation, format!("process {pid}"), e));
    // Held by a descriptor first: what is looked at afterwards is this process, or none that could be signalled by it.
    let process = match sys::open_process(pid) {
        Ok(process) => process,
        Err(e) if ended(&e) => return Ok(()),
        // Without pidfd_open (Linux 5.3) nothing is ended: by its number it could be a stranger.
        Err(e) => return failed("open", e),
    };
    if !is_inside(netns, pid) {
        return Ok(());
    }
    match sys::signal_process(process.as_fd(), libc::SIGKILL) {
        Err(e) if !ended(&e) => failed("end", e),
        _ => Ok(()),
    }
}

/// A process that ends meanwhile is not inside.
fn is_inside(netns: &Netns, pid: u32) -> bool {
    fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|m| netns.is((m.dev(), m.ino())))
}

/// The processes whose network namespace this is. The namespace is open, so its number cannot be reused meanwhile.
pub fn processes(netns: &Netns) -> Result<Vec<u32>, Error> {
    let entries = fs::read_dir("/proc").map_err(|e| Error::system("list", "/proc", e))?;
    let pids = entries.filter_map(Result::ok).filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter(|pid| is_inside(netns, *pid)).collect())
}
