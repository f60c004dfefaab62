//! Whether a command waits for a lock that another process holds.
//!
//! It does if it sleeps and has a lock file open whose lock another process holds. That covers both a wait in flock(2)
//! and polling. A process that just opened the file does not sleep.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const LOCKS: &str = "/run/zubi/lock";

/// A file as /proc/locks names it: numbers of device and inode.
type FileId = (u32, u32, u64);

/// A held lock: process and file.
struct Held {
    pid: u32,
    file: FileId,
}

/// Whether a process, or one of its descendants, waits for another process's lock.
pub fn waits(pid: u32) -> bool {
    let family = family(pid);
    // Read the states first: a lock that is taken meanwhile is open, and held by this family.
    let sleeping: Vec<u32> = family.iter().copied().filter(|pid| state(*pid) == 'S').collect();
    let wanted: Vec<FileId> = sleeping.iter().flat_map(|pid| open_locks(*pid)).collect();
    let held = held();
    let is_held_by =
        |file: &FileId, ours: bool| held.iter().any(|h| h.file == *file && family.contains(&h.pid) == ours);
    wanted.iter().any(|file| is_held_by(file, false) && !is_held_by(file, true))
}

/// The state letter of proc_pid_stat(5).
pub fn state(pid: u32) -> char {
    stat(pid).and_then(|(state, _)| state.chars().next()).unwrap_or('X')
}

/// State and parent.
fn stat(pid: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(") ")?.1.split(' ');
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

/// A process and all its descendants.
fn family(pid: u32) -> HashSet<u32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let parents: Vec<(u32, u32)> = pids.into_iter().filter_map(|pid| Some((pid, stat(pid)?.1))).collect();
    let mut family = HashSet::from([pid]);
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| family.contains(parent) && !family.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return family;
        }
        family.extend(more);
    }
}

/// The lock files that a process has open.
fn open_locks(pid: u32) -> Vec<FileId> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let is_lock = |path: &Path| fs::read_link(path).is_ok_and(|file| file.starts_with(LOCKS));
    let files = links.map(|link| link.path()).filter(|path| is_lock(path));
    files.filter_map(|path| fs::metadata(path).ok()).map(|meta| id(meta.dev(), meta.ino())).collect()
}

/// Major and minor number as the kernel packs them for user space (`new_encode_dev` in linux/kdev_t.h).
fn id(device: u64, inode: u64) -> FileId {
    let device = device as u32;
    ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00), inode)
}

/// `1: FLOCK  ADVISORY  WRITE 123 00:2d:45 0 EOF`; a waiting process has `->` behind the number.
fn held() -> Vec<Held> {
    let text = fs::read_to_string("/proc/locks").expect("/proc/locks");
    let parse = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let ["FLOCK", _, _, pid, file, ..] = words[..] else { return None };
        let mut numbers = file.split(':');
        let device = |word: Option<&str>| u32::from_str_radix(word?, 16).ok();
        let file = (device(numbers.next())?, device(numbers.next())?, numbers.next()?.parse().ok()?);
        Some(Held { pid: pid.parse().ok()?, file })
    };
    text.lines().filter_map(parse).collect()
}
