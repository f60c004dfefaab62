//! How answers and errors are shown: text or JSON.

use crate::words::Common;
use serde_json::{Value, json};
use zubi_engine::{Act, Class, Engine, Error, Finding};
use zubi_plan::Plan;

/// What to do with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Do,
    Explain,
    DryRun,
}

/// The common options, as far as they concern output.
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

    /// Whether operations are printed as they are done.
    pub(crate) fn verbose(&self) -> bool {
        self.verbose && self.mode == Mode::Do
    }

    /// The answer of a changing call, or its plan when it was only to be shown.
    pub(crate) fn changed(&self, engine: &mut Engine, plan: &Plan, text: &str, answer: &Value) -> Result<(), Error> {
        match (self.mode, self.json) {
            (Mode::Do, false) => print!("{text}"),
            (Mode::Do, true) => println!("{answer:#}"),
            (Mode::Explain, false) => print!("{}", engine.to_type(plan)?),
            (Mode::Explain, true) => println!("{:#}", plan_json(&engine.to_type(plan)?)),
            (Mode::DryRun, json) => {
                let compared = engine.compare(plan)?;
                if json {
                    let lines: Vec<Value> = compared
                        .iter()
                        .map(|(op, finding)| json!({"command": op.to_string(), "state": state(finding), "why": op.why}))
                        .collect();
                    println!("{:#}", json!({ "operations": lines }));
                } else {
                    for (op, finding) in &compared {
                        match finding {
                            Finding::Same => println!("= {op}"),
                            Finding::Missing | Finding::NoState => println!("+ {op}"),
                            Finding::Differs(how) => println!("~ {op}    # {how}"),
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The answer of a reading call.
    pub(crate) fn told(&self, text: &str, answer: &Value) {
        if self.json { println!("{answer:#}") } else { print!("{text}") }
    }

    /// What is to be told beside the answer, on standard error.
    pub(crate) fn notes(&self, notes: &[String]) {
        for note in notes {
            if self.json {
                eprintln!("{}", json!({ "note": note }));
            } else {
                eprintln!("zubi: note: {note}");
            }
        }
    }

    /// An error, on standard error.
    pub(crate) fn error(&self, error: &Error) {
        if self.json {
            let class = error.class();
            eprintln!(
                "{:#}",
                json!({"error": {"code": class.word(), "exit": class as u8, "message": error.to_string()}})
            );
        } else {
            eprintln!("zubi: {error}");
        }
    }
}

/// Words that cannot be parsed, as JSON on standard error.
pub(crate) fn usage_error(error: &clap::Error) {
    let text = error.to_string();
    let message = text.trim().strip_prefix("error: ").unwrap_or(&text).trim();
    let class = Class::Usage;
    eprintln!("{:#}", json!({"error": {"code": class.word(), "exit": class as u8, "message": message}}));
}

/// One a line, or what to say when there is none.
pub(crate) fn lines(lines: &[String], none: &str) -> String {
    if lines.is_empty() { none.to_owned() } else { lines.join("\n") + "\n" }
}

/// The answer of a command that removes things by name.
pub(crate) fn removed<T: std::fmt::Display>(names: &[T]) -> (String, Value) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let said: Vec<String> = names.iter().map(|n| format!("{n}: removed")).collect();
    (lines(&said, ""), json!({ "removed": names }))
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
