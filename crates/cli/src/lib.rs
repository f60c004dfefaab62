//! The command line: turns arguments into calls of the engine, and answers into text or JSON.
#![deny(clippy::print_stdout, clippy::print_stderr, reason = "they panic when nobody reads; see `output`")]

mod address;
mod adopted;
mod bridge;
mod cells;
mod commands;
mod common;
mod complete;
mod confirm;
mod daemon;
mod dns_word;
mod docker_names;
mod driver_options;
mod filter;
mod info;
mod inspect;
mod install;
mod lab;
mod lease;
mod link;
mod man;
mod name;
mod network;
mod output;
mod parse_error;
mod peer;
mod place;
mod port;
mod progress;
mod run;
mod sandbox;
mod show;
mod span;
mod table;
mod template;
mod words;

use clap::Parser;
use output::Output;
use std::process::ExitCode;
use words::{Cli, Words};
use zubi_engine::{Config, Engine, Error, LostRecords};

/// Parses the arguments, runs the command and returns the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            return match output::parsed(&e, json_asked()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(class) => ExitCode::from(class as u8),
            };
        }
    };
    let output = Output::new(&cli.common);
    match dispatch(cli, &output) {
        Ok(code) => code,
        Err(e) => {
            output.error(&e);
            ExitCode::from(e.exit_code())
        }
    }
}

/// Whether the arguments that could not be parsed ask for JSON.
fn json_asked() -> bool {
    std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json")
}

fn dispatch(cli: Cli, output: &Output) -> Result<ExitCode, Error> {
    // These commands need no session.
    match cli.words {
        Words::Completions { shell } => {
            complete::script(shell)?;
            return Ok(ExitCode::SUCCESS);
        }
        Words::Candidates { line } => {
            complete::answer(&line, cli.common.state_dir, cli.common.run_dir)?;
            return Ok(ExitCode::SUCCESS);
        }
        Words::Version => {
            info::version(output)?;
            return Ok(ExitCode::SUCCESS);
        }
        Words::Man { folder } => return man::man_pages(&folder),
        Words::Lab { outside, command } => return lab::lab(outside, &command),
        Words::Install(words) => return install::install(&words, output),
        Words::Uninstall(words) => return install::uninstall(&words, output),
        Words::Daemon { words } => {
            return Err(daemon::become_daemon(&words, cli.common.state_dir, cli.common.run_dir));
        }
        _ => {}
    }
    let config = Config::read(&|name| std::env::var(name).ok(), cli.common.state_dir, cli.common.run_dir)?
        .watched(output.progress());
    match cli.words {
        Words::Info => {
            info::info(&config, output)?;
            return Ok(ExitCode::SUCCESS);
        }
        Words::Status => {
            daemon::status(&config, output)?;
            return Ok(ExitCode::SUCCESS);
        }
        Words::Events => {
            daemon::events(&config, cli.common.json)?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    // Every command reports lost records, except the two that restore them.
    let lost = match &cli.words {
        Words::Repair { rebuild: true } | Words::Gc { force: true } => LostRecords::Ignore,
        _ => LostRecords::Refuse,
    };
    let mut session = Engine::open(config, lost)?.session()?;
    if let Some(observer) = output.observer() {
        session.observe(observer);
    }
    commands::run(session, cli.words, output)
}
