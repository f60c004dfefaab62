//! The command line: words to calls of the engine, answers to text or JSON.

mod commands;
mod inspect;
mod link;
mod network;
mod output;
mod port;
mod run;
mod sandbox;
mod show;
mod table;
mod words;

use clap::Parser;
use output::Output;
use std::process::ExitCode;
use words::{Cli, Words};
use zubi_engine::{Config, Engine, Error};

/// Parses the words of the process, does what they say, and gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() && json_asked() => {
            output::usage_error(&e);
            return ExitCode::from(2);
        }
        Err(e) => {
            let code = if e.use_stderr() { 2 } else { 0 };
            return if e.print().is_ok() { ExitCode::from(code) } else { ExitCode::from(2) };
        }
    };
    let output = Output::new(&cli.common);
    match dispatch(cli, &output) {
        Ok(code) => code,
        Err(e) => {
            output.error(&e);
            ExitCode::from(e.class() as u8)
        }
    }
}

/// Whether the words that could not be parsed ask for JSON.
fn json_asked() -> bool {
    std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json")
}

fn dispatch(cli: Cli, output: &Output) -> Result<ExitCode, Error> {
    // These need no engine.
    match cli.words {
        Words::Completions { shell } => {
            words::completions(shell);
            return Ok(ExitCode::SUCCESS);
        }
        Words::Man { folder } => return words::man_pages(&folder),
        Words::Lab { command } => return run::lab(&command),
        _ => {}
    }
    let config = Config::read(&|name| std::env::var(name).ok(), cli.common.state_dir, cli.common.run_dir)?;
    // These two are what is told to whoever has lost the records.
    let mut engine = match &cli.words {
        Words::Repair { rebuild: true } | Words::Gc { force: true } => Engine::open_without_records(config)?,
        _ => Engine::open(config)?,
    };
    if output.verbose() {
        // One write a line: standard error has no buffer, and others may write to it too.
        engine.observe(Box::new(|op| {
            let line = format!("+ {op}\n");
            eprint!("{line}");
        }));
    }
    commands::run(engine, cli.words, output)
}
