//! How answers and errors are shown: text or JSON. No other file of the command line writes to the caller's streams.

use crate::common::Common;
use crate::{progress, table};
use clap::error::ErrorKind;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::IsTerminal;
use zubi_engine::{Act, Class, Error, Finding, Observer, Plan, Session, Stream};
use zubi_model::{Progress, visible};

/// How to treat a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Do,
    Explain,
    DryRun,
}

/// The common options that concern output.
pub(crate) struct Output {
    mode: Mode,
    verbose: bool,
    json: bool,
}

impl Output {
    pub(crate) fn new(common: &Common) -> Self {
        let mode = match (common.explain, common.dry_run) {
            (true, _) => Mode::Explain,
            (_, true) => Mode::DryRun,
            _ => Mode::Do,
        };
        Output { mode, verbose: common.verbose, json: common.json }
    }

    /// Whether changing calls change anything.
    pub(crate) fn act(&self) -> Act {
        if self.mode == Mode::Do { Act::Apply } else { Act::Show }
    }

    /// Prints operations as they are done, if requested. A failed write does not stop the plan.
    pub(crate) fn observer(&self) -> Option<Observer> {
        let wanted = self.verbose && self.mode == Mode::Do;
        // One write per line: standard error has no buffer, and other processes may write to it too.
        wanted.then(|| Box::new(|op: &zubi_engine::Op| Stream::Err.tell(&shown(&format!("+ {op}")))) as Observer)
    }

    /// Tells a person at a terminal what takes long.
    pub(crate) fn progress(&self) -> Progress {
        if self.json { Progress::default() } else { progress::on_terminal() }
    }

    /// The answer of a changing call, or its plan in a dry run.
    pub(crate) fn changed(
        &self,
        session: &mut Session,
        plan: &Plan,
        lines: &[String],
        answer: &impl Serialize,
    ) -> Result<(), Error> {
        match (self.mode, self.json) {
            (Mode::Do, _) => self.listed(lines, answer),
            (Mode::Explain, false) => {
                answer_with(&session.to_type(plan)?.to_string().lines().map(shown).collect::<String>())
            }
            (Mode::Explain, true) => answer_with(&format!("{:#}\n", plan_json(&session.to_type(plan)?))),
            (Mode::DryRun, json) => {
                let compared = session.compare(plan)?;
                if json {
                    let lines: Vec<Value> = compared
                        .iter()
                        .map(|(op, finding)| json!({"command": op.to_string(), "state": state(finding), "why": op.why}))
                        .collect();
                    return answer_with(&format!("{:#}\n", json!({ "operations": lines })));
                }
                let lines = compared.iter().map(|(op, finding)| match finding {
                    Finding::Same => shown(&format!("= {op}")),
                    Finding::Missing | Finding::NoState => shown(&format!("+ {op}")),
                    Finding::Differs(how) => shown(&format!("~ {op}    # {how}")),
                });
                answer_with(&lines.collect::<String>())
            }
        }
    }

    /// The commands of a call that changes files, in a dry run. Of each: whether its work is done already.
    pub(crate) fn commands(&self, commands: &[(String, bool)]) -> Result<(), Error> {
        let wanted = commands.iter().filter(|(_, done)| self.mode == Mode::DryRun || !done);
        if self.json {
            let lines: Vec<Value> = wanted
                .map(|(command, done)| match self.mode {
                    Mode::DryRun => json!({"command": command, "state": if *done { "there" } else { "missing" }}),
                    _ => json!({ "command": command }),
                })
                .collect();
            return answer_with(&format!("{:#}\n", json!({ "operations": lines })));
        }
        let lines = wanted.map(|(command, done)| match (self.mode, done) {
            (Mode::DryRun, true) => shown(&format!("= {command}")),
            (Mode::DryRun, false) => shown(&format!("+ {command}")),
            _ => shown(command),
        });
        answer_with(&lines.collect::<String>())
    }

    /// Prints a command that was done, if requested.
    pub(crate) fn done(&self, command: &str) {
        if self.verbose && self.mode == Mode::Do {
            Stream::Err.tell(&shown(&format!("+ {command}")));
        }
    }

    /// The answer of a reading call.
    pub(crate) fn listed(&self, lines: &[String], answer: &impl Serialize) -> Result<(), Error> {
        if self.json {
            return answer_in_json(answer);
        }
        answer_with(&lines.iter().map(|line| shown(line)).collect::<String>())
    }

    /// The answer of a reading call as a table. Words in columns `STATE` are coloured on a terminal.
    pub(crate) fn table(&self, head: &[&str], rows: &[Vec<String>], answer: &impl Serialize) -> Result<(), Error> {
        if self.json {
            return answer_in_json(answer);
        }
        let paint = coloured(&std::io::stdout());
        answer_with(&table::render_with(head, rows, &|column, cell| match cell {
            _ if !paint || column != "STATE" => None,
            "up" => Some("\x1b[32m"),
            "down" => Some("\x1b[31m"),
            "gone" => Some("\x1b[1;31m"),
            _ => None,
        }))
    }

    /// Whether `-v` was given.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Notes beside the answer, on standard error.
    pub(crate) fn notes(&self, notes: &[String]) {
        for note in notes {
            Stream::Err.tell(&if self.json {
                format!("{}\n", json!({ "note": note }))
            } else {
                shown(&format!("zubi: note: {note}"))
            });
        }
    }

    /// Writes an error to standard error.
    pub(crate) fn error(&self, error: &Error) {
        let class = error.class();
        Stream::Err.tell(&if self.json {
            let document =
                json!({"error": {"code": class.word(), "exit": error.exit_code(), "message": error.to_string()}});
            format!("{document:#}\n")
        } else {
            refusal(&error.to_string())
        });
    }
}

/// An error in text.
fn refusal(words: &str) -> String {
    let name = if coloured(&std::io::stderr()) { "\x1b[1;31mzubi:\x1b[0m" } else { "zubi:" };
    format!("{name} {}", shown(words))
}

/// Whether a stream is a terminal whose user wants colours (<https://no-color.org>).
fn coloured(stream: &impl IsTerminal) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    !unwanted && std::env::var_os("TERM").is_none_or(|t| t != "dumb") && stream.is_terminal()
}

/// Makes a line of text safe for a terminal.
fn shown(line: &str) -> String {
    visible(line).into_owned() + "\n"
}

/// Writes an answer to standard output. A closed pipe is no error: the reader may want only a part of a list.
pub(crate) fn answer_with(text: &str) -> Result<(), Error> {
    match Stream::Out.write(text) {
        Ok(_) => Ok(()),
        Err(source) => Err(Error::Output { source }),
    }
}

/// Writes a document.
pub(crate) fn answer_in_json(document: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(document).map_err(|e| Error::Output { source: e.into() })?;
    answer_with(&(text + "\n"))
}

/// Writes help and version, which the parser returns as errors, or a parse error. Fails with the class of the error.
pub(crate) fn parsed(error: &clap::Error, json: bool) -> Result<(), Class> {
    let class = Class::Usage;
    let text: String = error.render().to_string().lines().map(shown).collect();
    if !error.use_stderr() {
        return answer_with(&text).map_err(|e| {
            Stream::Err.tell(&shown(&format!("zubi: {e}")));
            e.class()
        });
    }
    if json {
        let message = crate::parse_error::explain(error);
        let document = json!({"error": {"code": class.word(), "exit": class as u8, "message": message}});
        Stream::Err.tell(&format!("{document:#}\n"));
    } else if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        Stream::Err.tell(&text);
    } else {
        Stream::Err.tell(&refusal(&crate::parse_error::explain(error)));
    }
    Err(class)
}

/// The lines of a list, or `none` if there are none.
pub(crate) fn lines(lines: Vec<String>, none: &str) -> Vec<String> {
    if lines.is_empty() { vec![none.to_owned()] } else { lines }
}

/// The names without those that were given twice.
pub(crate) fn without_repeats<T: PartialEq>(names: Vec<T>) -> Vec<T> {
    let mut once = Vec::new();
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// The answer of a command that removes things by name.
pub(crate) fn removed<T: std::fmt::Display>(names: &[T]) -> (Vec<String>, Value) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    (names.iter().map(|n| format!("{n}: removed")).collect(), json!({ "removed": names }))
}

fn state(finding: &Finding) -> Value {
    match finding {
        Finding::Same => json!("there"),
        Finding::Missing | Finding::NoState => json!("missing"),
        Finding::Differs(how) => json!({ "differs": how }),
    }
}

fn plan_json(plan: &Plan) -> Value {
    let lines: Vec<Value> = plan.ops.iter().map(|op| json!({"command": op.to_string(), "why": op.why})).collect();
    json!({ "operations": lines })
}
