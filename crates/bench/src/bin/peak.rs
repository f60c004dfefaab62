//! `zubi-bench-peak COMMAND...` runs a command and everything it leaves running to the end, and writes the peak memory
//! of the largest of these processes, in KiB, to the file that `ZUBI_BENCH_PEAK` names.
//!
//! A separate, small program: the kernel counts the memory of the process that starts a program as that program's own
//! (`exec_mmap` in fs/exec.c), so no result can be smaller than the starter.

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::wait;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(why) => {
            eprintln!("zubi-bench-peak: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or("which command?")?;
    let file = std::env::var_os("ZUBI_BENCH_PEAK").ok_or("ZUBI_BENCH_PEAK is not set")?;
    // Detached children become ours.
    set_child_subreaper(true)?;
    let status = Command::new(program).args(words).env_remove("ZUBI_BENCH_PEAK").status()?;
    while wait() != Err(Errno::ECHILD) {}
    std::fs::write(file, getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss().to_string())?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
