//! A fresh host in processes of its own: the keeper, who waits outside and cleans up, and the init of the process
//! namespace, who does the work. When the init ends, the kernel ends all its processes.

use crate::cgroups;
use std::path::Path;
use std::time::Duration;
use zubi_kernel::{lab, sys};

/// What a fresh host is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostKind {
    /// User, network, mount and process namespaces: for everybody.
    Rootless,
    /// No user namespace, and cgroups of its own: for daemons that make containers.
    Root,
}

impl HostKind {
    /// Why there can be no such host here.
    pub fn missing(self) -> Option<&'static str> {
        (self == HostKind::Root && sys::user_ids().0 != 0).then_some("needs root")
    }
}

/// Does `work` on a fresh host and gives its exit code. The calling process must have one thread. When it is killed the
/// host goes too.
///
/// # Panics
/// When there is no making a fresh host.
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

/// The same in the calling process, which becomes the keeper: nothing but the end is left to it.
pub(crate) fn on_fresh_host(kind: HostKind, work: impl FnOnce() -> i32) -> i32 {
    let parent = sys::parent_pid();
    match kind {
        HostKind::Rootless => lab::become_fresh_host().expect("a fresh host: are user namespaces allowed?"),
        HostKind::Root => {
            // Ctrl-C goes to all of a terminal's group; somebody must stay to clean up.
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
            if kind == HostKind::Root {
                // The keeper still sees all cgroups when the init sees only its own.
                sys::unshare(sys::Namespaces::MOUNT).expect("mounts of its own");
            }
            sys::mount(Path::new("proc"), Path::new("/proc"), Some("proc"), 0).expect("mount /proc");
            sys::exit_now(work());
        }
    }
}

/// Waits for the init; ends it when whoever asked for the host is gone.
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
