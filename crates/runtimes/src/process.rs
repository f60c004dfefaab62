//! Processes in /proc, and whether one belongs to a container.

use crate::StartTicks;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};
use zubi_model::Pid;

/// The unit of `/proc/PID/stat` (`USER_HZ`): 100 on all architectures of Rust's Linux targets.
const TICKS_PER_SECOND: u64 = 100;
/// A monitor writes the pid file just after the process started. The kernel's clocks differ by less than this.
const SLACK: Duration = Duration::from_secs(2);

/// A running process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) started: StartTicks,
    pub(crate) parent: u32,
}

impl Process {
    /// The process `pid`, unless it has ended. A zombie counts as ended: its namespaces are gone.
    pub(crate) fn read(proc: &Path, pid: Pid) -> io::Result<Option<Process>> {
        let path = proc.join(pid.to_string()).join("stat");
        let stat = match fs::read(&path) {
            Ok(stat) => stat,
            Err(e) if has_ended(&e) => return Ok(None),
            Err(e) => return Err(e),
        };
        let stat = String::from_utf8_lossy(&stat);
        // The second field is the command in parentheses and may itself contain spaces and parentheses.
        let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
        let state = fields.next();
        let parent = fields.next().and_then(|parent| parent.parse().ok());
        let started = fields.nth(17).and_then(|ticks| ticks.parse().ok());
        match (state, parent, started) {
            (Some("Z" | "X" | "x"), ..) => Ok(None),
            (Some(_), Some(parent), Some(started)) => Ok(Some(Process { pid, started: StartTicks(started), parent })),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "its format is not that of proc(5)")),
        }
    }

    /// Whether this is the process that a monitor wrote into `pid_file` for the container `id`.
    ///
    /// There are three signs, the strongest first: its parent is the container's monitor (`conmon -c ID`,
    /// `containerd-shim -id ID`); its cgroup has the container's name; it started before the file was written, which no
    /// later process with the same pid did. An unreadable sign is ignored. Only the last one can rule the process out.
    pub(crate) fn belongs_to(&self, proc: &Path, id: &str, pid_file: &Path) -> bool {
        let parent = fs::read(proc.join(self.parent.to_string()).join("cmdline")).unwrap_or_default();
        if parent.split(|&byte| byte == 0).any(|word| word == id.as_bytes()) {
            return true;
        }
        let cgroup = fs::read_to_string(proc.join(self.pid.to_string()).join("cgroup")).unwrap_or_default();
        if cgroup.split(['/', ':', '\n']).any(|part| names_container(part, id)) {
            return true;
        }
        match (written(pid_file), self.since(proc)) {
            (Some(written), Some(started)) => started <= written + SLACK,
            _ => true,
        }
    }

    /// When the process started, by the wall clock.
    fn since(&self, proc: &Path) -> Option<SystemTime> {
        let uptime = fs::read_to_string(proc.join("uptime")).ok()?;
        let uptime: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
        let booted = SystemTime::now().checked_sub(Duration::try_from_secs_f64(uptime).ok()?)?;
        booted.checked_add(Duration::from_millis(self.started.0 * (1000 / TICKS_PER_SECOND)))
    }
}

/// The runtimes name cgroups `ID`, `libpod-ID`, `libpod-ID.scope` or `cri-containerd-ID.scope`.
fn names_container(part: &str, id: &str) -> bool {
    part.trim_end_matches(".scope").strip_suffix(id).is_some_and(|before| before.is_empty() || before.ends_with('-'))
}

/// ESRCH: the process ended between open and read.
fn has_ended(e: &io::Error) -> bool {
    const ESRCH: i32 = 3;
    e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(ESRCH)
}

fn written(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).ok()?.modified().ok()
}

/// The pid in a pid file; `None` if the file does not exist or is still empty.
pub(crate) fn read_pid_file(file: &Path) -> io::Result<Option<Pid>> {
    match fs::read_to_string(file) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => match text.trim().parse() {
            Ok(pid) if pid > 0 => Ok(Some(Pid(pid))),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it does not hold a process id")),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::Folder;
    use std::process;

    #[test]
    fn this_process_is_read_from_the_real_proc() {
        let me = Process::read(Path::new("/proc"), Pid(process::id())).unwrap().unwrap();
        assert!(me.started.0 > 0);
        let since = me.since(Path::new("/proc")).unwrap();
        assert!(SystemTime::now().duration_since(since).unwrap() < Duration::from_secs(3600));
    }

    #[test]
    fn a_command_with_brackets_does_not_shift_the_fields() {
        let folder = Folder::new();
        folder.process(7, 4711, &["init"]);
        let process = Process::read(&folder.0.join("proc"), Pid(7)).unwrap().unwrap();
        assert_eq!((process.started, process.parent), (StartTicks(4711), 1_000_007));
    }

    #[test]
    fn a_process_that_ended_or_is_a_zombie_is_none() {
        let folder = Folder::new();
        folder.write("proc/8/stat", "8 (x) Z 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 1 2 3\n");
        for pid in [8, 9] {
            assert_eq!(Process::read(&folder.0.join("proc"), Pid(pid)).unwrap(), None);
        }
    }

    #[test]
    fn a_process_younger_than_the_pid_file_belongs_only_with_another_sign() {
        let folder = Folder::new();
        let (proc, file) = (folder.0.join("proc"), folder.write("pidfile", "7"));
        let belongs = |pid| Process::read(&proc, Pid(pid)).unwrap().unwrap().belongs_to(&proc, "abc123", &file);
        folder.process(1, 99_000, &["/sbin/init"]);
        assert!(belongs(1), "older than the file");
        folder.process(2, 200_000, &["/sbin/init"]);
        assert!(!belongs(2), "younger than the file");
        folder.process(3, 200_000, &["/usr/bin/conmon", "-c", "abc123"]);
        assert!(belongs(3), "its monitor says so");
        folder.process(4, 200_000, &["/sbin/init"]);
        folder.write("proc/4/cgroup", "0::/machine.slice/libpod-abc123.scope\n");
        assert!(belongs(4), "its cgroup says so");
    }
}
