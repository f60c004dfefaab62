//! Programs that are started to be timed, traced or weighed.

use crate::error::Error;
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program to start.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) program: PathBuf,
    pub(crate) words: Vec<OsString>,
    pub(crate) env: Vec<(String, String)>,
    /// The file for standard input.
    pub(crate) input: Option<PathBuf>,
    /// The file for standard output.
    pub(crate) output: Option<PathBuf>,
    /// Distinguishes the files of programs that run at the same time.
    pub(crate) tag: u16,
}

impl Call {
    /// A call with words split at spaces.
    pub(crate) fn new(program: &Path, words: &str) -> Self {
        let words = words.split_whitespace().map(OsString::from).collect();
        Call { program: program.into(), words, env: Vec::new(), input: None, output: None, tag: 0 }
    }

    pub(crate) fn env(mut self, all: &[(&str, &str)]) -> Self {
        self.env.extend(all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        self
    }

    /// The command, ready to start, with the words of `wrapper` in front.
    fn command(&self, wrapper: &[OsString]) -> Result<Command, Error> {
        let mut words = wrapper.iter().cloned().chain([self.program.clone().into()]).chain(self.words.iter().cloned());
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).envs(self.env.iter().map(|(key, value)| (key, value)));
        let open = |path: &Path| File::open(path).map_err(Error::system(path.display().to_string()));
        let create = |path: &Path| File::create(path).map_err(Error::system(path.display().to_string()));
        command.stdin(self.input.as_deref().map_or(Ok(Stdio::null()), |path| open(path).map(Stdio::from))?);
        command.stdout(self.output.as_deref().map_or(Ok(Stdio::null()), |path| create(path).map(Stdio::from))?);
        command.stderr(create(&self.complaints())?);
        Ok(command)
    }

    /// The file for standard error.
    fn complaints(&self) -> PathBuf {
        format!("/run/bench-complaints-{}", self.tag).into()
    }

    fn written(&self) -> String {
        let words = self.words.iter().map(|word| word.to_string_lossy());
        std::iter::once(self.program.to_string_lossy()).chain(words).collect::<Vec<_>>().join(" ")
    }
}

const TRACE: &str = "/run/bench-trace";
const PEAK: &str = "/run/bench-peak";

/// What a call costs besides time.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Programs that ran, those that it called included.
    pub(crate) programs: usize,
    /// Processes that these started, without threads.
    pub(crate) started: usize,
    /// The peak memory of the largest process, in KiB.
    pub(crate) peak_kib: u64,
}

/// How programs are started.
#[derive(Debug)]
pub(crate) enum Launcher {
    /// Directly; only the time counts.
    Timed,
    /// Under `strace`, which slows everything down.
    Traced(Cost),
    /// Under this program, `zubi-bench-peak`.
    Weighed(PathBuf, Cost),
}

impl Launcher {
    /// Runs a program to its end; returns the time it took.
    pub(crate) fn run(&mut self, call: &Call) -> Result<Duration, Error> {
        let wrapper: Vec<OsString> = match self {
            Launcher::Timed => Vec::new(),
            Launcher::Traced(_) => {
                let words = ["strace", "-f", "-qq", "-e", "trace=execve,clone,clone3,fork,vfork", "-o", TRACE];
                words.map(OsString::from).into()
            }
            Launcher::Weighed(program, _) => vec![program.as_os_str().to_owned()],
        };
        let mut command = call.command(&wrapper)?;
        if let Launcher::Weighed(..) = self {
            command.env("ZUBI_BENCH_PEAK", PEAK);
        }
        let start = Instant::now();
        let status = command.spawn().and_then(|mut child| child.wait()).map_err(Error::system(call.written()))?;
        let took = start.elapsed();
        if !status.success() {
            let mut why = fs::read_to_string(call.complaints()).unwrap_or_default();
            if let Some(output) = &call.output {
                why += &fs::read_to_string(output).unwrap_or_default();
            }
            return Err(Error::Command { command: call.written(), why: format!("{status}: {}", why.trim()) });
        }
        self.count()?;
        Ok(took)
    }

    fn count(&mut self) -> Result<(), Error> {
        match self {
            Launcher::Timed => {}
            Launcher::Traced(cost) => {
                // strace ends with the last traced process.
                let trace = fs::read_to_string(TRACE).map_err(Error::system(TRACE))?;
                let (programs, started) = started(&trace);
                cost.programs += programs;
                cost.started += started;
            }
            Launcher::Weighed(_, cost) => {
                let text = fs::read_to_string(PEAK).map_err(Error::system(PEAK))?;
                cost.peak_kib = cost.peak_kib.max(text.trim().parse().unwrap_or(0));
            }
        }
        Ok(())
    }

    pub(crate) fn cost(&self) -> Cost {
        match self {
            Launcher::Timed => Cost::default(),
            Launcher::Traced(cost) | Launcher::Weighed(_, cost) => *cost,
        }
    }
}

/// Counts programs and processes in a trace. A call that strace splits in two lines is joined again.
fn started(trace: &str) -> (usize, usize) {
    let (mut programs, mut processes) = (0, 0);
    let mut open: HashMap<&str, &str> = HashMap::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        if let Some((begun, _)) = rest.split_once("<unfinished") {
            open.insert(pid, begun);
            continue;
        }
        let begun = if rest.contains(" resumed>") { open.remove(pid).unwrap_or_default() } else { rest };
        let failed = rest.rsplit_once("= ").is_none_or(|(_, result)| !result.starts_with(|c: char| c.is_ascii_digit()));
        if failed {
            continue;
        }
        match begun.trim_start().split('(').next() {
            Some("execve") => programs += 1,
            Some("clone" | "clone3" | "fork" | "vfork") if !begun.contains("CLONE_THREAD") => processes += 1,
            _ => {}
        }
    }
    (programs, processes)
}

/// Waits for every child, detached ones included.
pub(crate) fn reap_all() -> Result<(), Error> {
    loop {
        match waitpid(None, None::<WaitPidFlag>) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) => return Ok(()),
            Err(e) => return Err(Error::system("wait for children")(e.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_no_processes_and_failed_searches_no_programs() {
        let trace = "\
            10 execve(\"/usr/lib/cni/bridge\", [\"bridge\"], 0x7 /* 9 vars */) = 0\n\
            10 clone(child_stack=0xc0, flags=CLONE_VM|CLONE_THREAD|CLONE_SYSVSEM) = 11\n\
            10 clone(child_stack=NULL, flags=CLONE_VM|CLONE_VFORK|SIGCHLD <unfinished ...>\n\
            12 execve(\"/usr/local/sbin/iptables\", [\"iptables\"], 0x7) = -1 ENOENT (No such file or directory)\n\
            12 execve(\"/usr/sbin/iptables\", [\"iptables\"], 0x7 <unfinished ...>\n\
            10 <... clone resumed>) = 12\n\
            12 <... execve resumed>) = 0\n\
            12 +++ exited with 0 +++\n";
        assert_eq!(started(trace), (2, 1));
    }
}
