//! A fresh host in processes of its own: the keeper waits outside and cleans up, the init of the process namespace does
//! the work. When the init ends, the kernel ends all its processes.

use crate::cgroups;
use std::path::Path;
use std::time::Duration;
use zubi_kernel::{lab, sys};

/// What a fresh host is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// User, network, mount and process namespaces: for every user.
    Rootless,
    /// No user namespace, and cgroups of its own: for daemons that make containers.
    Root,
}

impl HostKind {
    /// Why such a host cannot be made here.
    pub fn missing(self) -> Option<&'static str> {
        (self == HostKind::Root && sys::user_ids().0 != 0).then_some("needs root")
    }
}

/// Runs `work` on a fresh host and returns its exit code. The calling process must have one thread. When it is killed
/// the host goes too.
///
/// # Panics
/// When no fresh host can be made.
pub fn with_fresh_host(kind: HostKind, work: impl FnOnce() -> i32) -> i32 {
    match sys::fork().expect("fork the keeper") {
        sys::Fork::Child => sys::exit_now(on_fresh_host(kind, work)),
        sys::Fork::Parent(keeper) => loop {
            match sys::reap_child(keeper).expect("wait for the keeper") {
                Some(code) => return code,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        },
    }
}

/// Like [`with_fresh_host`], but the calling process becomes the keeper; it can only exit afterwards.
pub(crate) fn on_fresh_host(kind: HostKind, work: impl FnOnce() -> i32) -> i32 {
    let parent = sys::parent_pid();
    match kind {
        HostKind::Rootless => lab::become_fresh_host().expect("a fresh host: are user namespaces allowed?"),
        HostKind::Root => {
            // Ctrl-C reaches the whole process group of the terminal; the keeper must survive it to clean up.
            sys::block_signals(&[libc::SIGINT, libc::SIGTERM, libc::SIGHUP]).expect("block signals");
            cgroups::sweep();
            cgroups::own();
            lab::become_private_host().expect("a host of its own");
        }
    }
    sys::unshare(sys::Namespaces::PID).expect("process namespace");
    match sys::fork().expect("fork the init") {
        sys::Fork::Parent(init) => {
            let code = keep(init, parent);
            if kind == HostKind::Root {
                cgroups::remove_own();
            }
            code
        }
        sys::Fork::Child => {
            sys::die_with_parent(libc::SIGKILL).expect("die with the keeper");
            sys::unblock_signals().expect("signals");
            // `nohup` and a background job of a script leave some ignored, and a test sends them.
            sys::heed_signals(&[libc::SIGINT, libc::SIGHUP, libc::SIGQUIT]).expect("signals");
            if kind == HostKind::Root {
                // The keeper must still see all cgroups when the init sees only its own.
                sys::unshare(sys::Namespaces::MOUNT).expect("mounts of its own");
            }
            sys::mount(Path::new("proc"), Path::new("/proc"), Some("proc"), 0).expect("mount /proc");
            sys::exit_now(work());
        }
    }
}

/// Waits for the init; ends it when the calling process is gone.
fn keep(init: u32, parent: u32) -> i32 {
    loop {
        match sys::reap_child(init).expect("wait for the init") {
            Some(code) => return code,
            None if sys::parent_pid() != parent => sys::kill(init, libc::SIGKILL).expect("end the init"),
            None => {}
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
