//! The daemon: what takes a process that stays.
//!
//! # How it works
//! The daemon calls the same engine as the commands, and keeps no state of its own: everything it knows is in the
//! records, the kernel and the container engines. It can be killed and started at any time. Commands tell it nothing:
//! it reads what they did in the run folder.
//!
//! One thread runs all of its parts, each a task (`parts.rs`). Calls of the engine block, so they have threads of their
//! own, and a session each (`context.rs`).
//!
//! # Invariants
//! - One daemon has a run folder: it holds a lock as long as it lives.
//! - A part that fails tries again, tells it by `zubi status`, and stops no other part.
//! - Whatever a client sends is bounded in size and time.

mod accept;
mod capabilities;
mod changes;
mod clients;
mod context;
mod control;
mod counts;
mod descriptors;
mod docker;
mod error;
mod follow;
mod heal;
mod http;
mod leases;
mod log;
mod metrics;
mod names;
mod parts;
mod run;
mod signals;
mod silent_settings;
mod socket;
mod status;
mod tidings;
mod words;

use clap::Parser;
use std::process::ExitCode;
use words::Words;

/// Runs the daemon until it is told to end.
pub fn main() -> ExitCode {
    let words = Words::parse();
    log::begin(&words);
    match run::run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            tracing::error!("{e}");
            ExitCode::from(e.exit_code())
        }
    }
}
