//! Fresh hosts: network and mount namespaces of their own, with or without root.

use crate::error::Error;
use crate::session::Session;
use crate::sys::{self, Namespaces};
use std::fs;
use std::path::Path;
use zubi_model::IfName;
use zubi_plan::{Op, What};
use zubi_wire::route::{AdminState, LinkChange};

/// Turns the calling process, which must have one thread, into root of a fresh host: only a loopback device that is up,
/// an empty /run, a /sys that shows its own devices. Nothing of it is visible outside, and it goes with its last
/// process.
pub fn become_fresh_host() -> Result<(), Error> {
    let (uid, gid) = sys::user_ids();
    let failed = |operation, object: &'static str| move |e| Error::system(operation, object, e);
    sys::unshare(Namespaces::USER.and(Namespaces::NET).and(Namespaces::MOUNT))
        .map_err(failed("make", "user, network and mount namespaces"))?;
    // An unprivileged process may write gid_map only after this (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny").map_err(failed("write", "/proc/self/setgroups"))?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).map_err(failed("write", "/proc/self/uid_map"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).map_err(failed("write", "/proc/self/gid_map"))?;
    hide_the_machine()?;
    match sys::mount(Path::new("sysfs"), Path::new("/sys"), Some("sysfs"), 0) {
        // Where mounts below the old /sys hide parts of it, the kernel refuses to show a fuller one.
        Err(e) if e.raw_os_error() != Some(libc::EPERM) => return Err(Error::system("mount", "/sys", e)),
        _ => {}
    }
    Ok(())
}

/// The same for root, which stays root of the whole machine: daemons that make containers need that. /sys stays too,
/// because their cgroups are below it.
pub fn become_private_host() -> Result<(), Error> {
    sys::unshare(Namespaces::NET.and(Namespaces::MOUNT))
        .map_err(|e| Error::system("make", "network and mount namespaces", e))?;
    hide_the_machine()
}

/// Makes mounts private, /run empty, and the loopback device up.
fn hide_the_machine() -> Result<(), Error> {
    let failed = |operation, object: &'static str| move |e| Error::system(operation, object, e);
    let root = Path::new("/");
    sys::mount(Path::new(""), root, Some("none"), libc::MS_PRIVATE | libc::MS_REC)
        .map_err(failed("make private", "mounts"))?;
    sys::mount(Path::new("tmpfs"), Path::new("/run"), Some("tmpfs"), libc::MS_NOSUID | libc::MS_NODEV)
        .map_err(failed("mount", "/run"))?;
    let up = LinkChange::state(IfName::loopback(), AdminState::Up);
    let plan = std::iter::once(Op::host(What::ChangeLink(up), "loopback")).collect();
    Session::open()?.apply(&plan).map(|_| ()).map_err(|failed| failed.error)
}
