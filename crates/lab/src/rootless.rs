//! A user without root, for programs that make user namespaces themselves: Podman without root.
//!
//! # How it works
//! The user exists on this host alone: its name and its subordinate ids are in files that cover the machine's. It owns
//! a home, a runtime folder and a `/dev/net/tun`, whatever permissions the machine's own has.
//!
//! # Limits
//! Podman runs the network backend with another /run: files for the backend belong below [`HOME`] or in another folder
//! that is readable to all.

use crate::cover::cover;
use crate::docker::find;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use zubi_kernel::sys;

/// The user's home. Not below /run: Podman without root covers that.
pub(crate) const HOME: &str = "/srv/lab";
const NAME: &str = "lab";
const ID: u32 = 61_000;
const TUN: &str = "/dev/net/tun";

/// Why such a user cannot have a network here.
pub(crate) fn missing() -> Option<&'static str> {
    let needed = [("newuidmap", "uidmap"), ("newgidmap", "uidmap"), ("setpriv", "util-linux")];
    let lacking = needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package);
    let way_out = find("slirp4netns").or_else(|| find("pasta"));
    lacking.or(way_out.is_none().then_some("slirp4netns")).or((!Path::new(TUN).exists()).then_some(TUN))
}

/// Makes the user and its folders.
pub(crate) fn make() -> Result<(), String> {
    cover("/srv")?;
    let runtime = runtime();
    for folder in [Path::new(HOME), &runtime] {
        let failed = |e: io::Error| format!("{}: {e}", folder.display());
        fs::create_dir_all(folder).map_err(failed)?;
        chown(folder, Some(ID), Some(ID)).map_err(failed)?;
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    let entry = format!("{NAME}:x:{ID}:{ID}::{HOME}:/bin/sh\n");
    put_over("/etc/passwd", &(passwd + &entry))?;
    for file in ["/etc/subuid", "/etc/subgid"] {
        put_over(file, &format!("{NAME}:100000:65536\n"))?;
    }
    make_tun()
}

/// A program run by the user, with the user's environment.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    let id = ID.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--inh-caps=-all", program]);
    command.env("HOME", HOME).env("USER", NAME).env("XDG_RUNTIME_DIR", runtime()).current_dir(HOME);
    for variable in ["DBUS_SESSION_BUS_ADDRESS", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
        command.env_remove(variable);
    }
    command
}

/// Gives a folder and its content to the user.
pub(crate) fn give(path: &Path) -> io::Result<()> {
    chown(path, Some(ID), Some(ID))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path())?;
        }
    }
    Ok(())
}

fn runtime() -> PathBuf {
    PathBuf::from(format!("/run/user/{ID}"))
}

/// Shows this text on this host in place of a file of the machine.
fn put_over(file: &str, text: &str) -> Result<(), String> {
    let own = format!("/run/lab{}", file.replace('/', "-"));
    let failed = |e: io::Error| format!("{file}: {e}");
    fs::write(&own, text).map_err(failed)?;
    sys::mount(Path::new(&own), Path::new(file), None, libc::MS_BIND).map_err(failed)
}

fn make_tun() -> Result<(), String> {
    let failed = |e: io::Error| format!("{TUN}: {e}");
    cover("/dev/net")?;
    // linux/miscdevice.h and linux/major.h
    let made = Command::new("mknod").args([TUN, "c", "10", "200"]).output().map_err(failed)?;
    if !made.status.success() {
        return Err(format!("{TUN}: {}", String::from_utf8_lossy(&made.stderr)));
    }
    fs::set_permissions(TUN, fs::Permissions::from_mode(0o666)).map_err(failed)
}
