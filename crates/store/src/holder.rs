//! The holders of a lock, from `/proc/locks` (proc_locks(5)).

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

/// How often `/proc/locks` is read before a lock counts as one that it does not show.
const READS: usize = 20;

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process id.
    pub pid: u32,
    /// The program's name, escaped for a terminal. Empty if the process has ended and one of its children still has the
    /// file open.
    pub program: String,
    /// The letter of its state: `T` means stopped.
    pub state: char,
}

impl Holder {
    /// Whether a signal (SIGSTOP) or a debugger has stopped it.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { pid, program, state } = self;
        match () {
            () if program.is_empty() => write!(f, "a child of process {pid}, which has ended,"),
            () if self.is_stopped() => write!(f, "process {pid} ({program}), which is stopped (state {state}),"),
            () => write!(f, "process {pid} ({program})"),
        }
    }
}

/// The processes that hold a lock on a file. Empty when `/proc/locks` does not show them: a process may be in another
/// pid namespace, and some file systems (btrfs, overlayfs) appear there with another device number.
///
/// The kernel gives `/proc/locks` page by page. While other locks come and go, a line may move to a page that was read
/// already, and be missed, or to the next page, and be seen twice.
pub(crate) fn holders(file: &Metadata) -> Vec<Holder> {
    let device = file.dev();
    let name = format!("{:02x}:{:02x}:{}", libc::major(device), libc::minor(device), file.ino());
    let read = || {
        // Without this file the error only contains less detail.
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        locks.lines().filter_map(|line| pid_of(line, &name)).collect::<BTreeSet<u32>>()
    };
    let pids = (0..READS).map(|_| read()).find(|pids| !pids.is_empty());
    pids.unwrap_or_default().into_iter().map(look).collect()
}

/// The holder in a line such as `1: FLOCK ADVISORY WRITE 1234 00:1a:5678 0 EOF`. A waiting process has `->` before
/// `FLOCK`.
fn pid_of(line: &str, file: &str) -> Option<u32> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields.as_slice() {
        [_, "FLOCK", _, _, pid, name, ..] if *name == file => pid.parse().ok(),
        _ => None,
    }
}

/// Reads `1234 (name) S ...`. The name may contain any characters.
fn look(pid: u32) -> Holder {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parts = stat.rsplit_once(") ").and_then(|(before, behind)| Some((before.split_once(" (")?.1, behind)));
    let (name, behind) = parts.unwrap_or_default();
    Holder { pid, program: name.escape_debug().to_string(), state: behind.chars().next().unwrap_or(' ') }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn only_lines_of_the_file_that_hold_a_lock_count() {
        let file = "00:1a:5678";
        assert_eq!(pid_of("1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF", file), Some(1234));
        for other in [
            "1: -> FLOCK  ADVISORY  WRITE 1235 00:1a:5678 0 EOF",
            "2: FLOCK  ADVISORY  WRITE 1234 00:1a:567 0 EOF",
            "3: POSIX  ADVISORY  WRITE 1234 00:1a:5678 0 EOF",
            "",
        ] {
            assert_eq!(pid_of(other, file), None, "{other}");
        }
    }

    #[test]
    fn a_holder_is_found_once_while_many_other_locks_come_and_go() {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.path("")).unwrap();
        let open = |name: String| fs::File::create(scratch.path(name)).unwrap();
        let others: Vec<fs::File> = (0..200).map(|n| open(format!("other-{n}"))).collect();
        let held = open("held".into());
        held.lock().unwrap();
        let metadata = held.metadata().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for file in &others {
                        file.lock().unwrap();
                    }
                    for file in &others {
                        file.unlock().unwrap();
                    }
                }
            });
            let seen: Vec<Vec<u32>> =
                (0..100).map(|_| holders(&metadata).iter().map(|holder| holder.pid).collect()).collect();
            done.store(true, Ordering::Relaxed);
            assert_eq!(seen, vec![vec![std::process::id()]; 100]);
        });
    }

    #[test]
    fn a_process_has_the_name_of_its_program() {
        let me = look(std::process::id());
        assert!(!me.program.is_empty() && me.state != ' ' && !me.is_stopped(), "{me:?}");
        assert_eq!(look(0).program, "");
    }
}
