//! Completion: `zubi completions SHELL` prints a script that asks `zubi __complete` for each word.
//!
//! # How it works
//!
//! The words before the last one lead through the tree of commands to the option or the place that the last word is
//! for. Each candidate is a line: the word, a tab, its help. A line that starts with `:` asks the shell for files,
//! folders or programs.
//!
//! # Limits
//!
//! Names come from the records, without a look at the kernel. A user who may not read them gets commands and options
//! only. Quoted words are not understood.

use crate::output::answer_with;
use crate::words::{Cli, Shell};
use clap::{Arg, ArgAction, Command, CommandFactory};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use zubi_engine::{Config, Engine, Error, LostRecords, Session};
use zubi_model::{Endpoint, NetworkName};

/// Prints a shell's script.
pub(crate) fn script(shell: Shell) -> Result<(), Error> {
    answer_with(match shell {
        Shell::Bash => include_str!("complete/zubi.bash"),
        Shell::Zsh => include_str!("complete/zubi.zsh"),
        Shell::Fish => include_str!("complete/zubi.fish"),
    })
}

/// Prints the candidates for the last word.
pub(crate) fn answer(line: &[OsString], state: Option<PathBuf>, run: Option<PathBuf>) -> Result<(), Error> {
    let words: Vec<String> = line.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let Some((current, before)) = words.split_last() else { return Ok(()) };
    let mut root = Cli::command();
    root.build();
    let mut place = Place::new(&root);
    for word in before {
        place.pass(word);
    }
    let state = place.state_dir.take().or(state);
    let run = place.run_dir.take().or(run);
    let names = || Names::open(state.clone(), run.clone());
    let candidates = place.candidates(current, &names);
    let fits = |c: &&Candidate| c.word.starts_with(':') || c.word.starts_with(current.as_str());
    let text = candidates.iter().filter(fits).map(|c| format!("{}\t{}\n", c.word, c.help));
    answer_with(&text.collect::<String>())
}

struct Candidate {
    word: String,
    help: String,
}

fn candidate(word: impl Into<String>) -> Candidate {
    Candidate { word: word.into(), help: String::new() }
}

/// Where in the tree of commands the last word stands.
struct Place<'a> {
    command: &'a Command,
    path: Vec<&'a str>,
    /// The words that stand for themselves, behind the last command.
    given: Vec<String>,
    /// The option whose value the next word is.
    awaited: Option<&'a Arg>,
    /// A program stands before: all further words are its own.
    in_program: bool,
    only_words: bool,
    state_dir: Option<PathBuf>,
    run_dir: Option<PathBuf>,
}

impl<'a> Place<'a> {
    fn new(command: &'a Command) -> Self {
        Place {
            command,
            path: Vec::new(),
            given: Vec::new(),
            awaited: None,
            in_program: false,
            only_words: false,
            state_dir: None,
            run_dir: None,
        }
    }

    fn option(&self, word: &str) -> Option<&'a Arg> {
        let command = self.command;
        if let Some(long) = word.strip_prefix("--") {
            let named = |arg: &&Arg| {
                arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|all| all.contains(&long))
            };
            return command.get_arguments().find(named);
        }
        // `-dp` ends with the option that may want a value.
        let last = word.chars().last()?;
        command.get_arguments().find(|arg| arg.get_short() == Some(last))
    }

    fn pass(&mut self, word: &str) {
        if let Some(arg) = self.awaited.take() {
            match arg.get_id().as_str() {
                "state_dir" => self.state_dir = Some(word.into()),
                "run_dir" => self.run_dir = Some(word.into()),
                _ => {}
            }
            return;
        }
        if self.in_program {
            return;
        }
        if !self.only_words && word.starts_with('-') && word.len() > 1 {
            if word == "--" {
                self.only_words = true;
            } else if !word.contains('=') {
                self.awaited = self.option(word).filter(|arg| takes_value(arg));
            }
            return;
        }
        let inner =
            self.command.get_subcommands().find(|c| c.get_name() == word || c.get_all_aliases().any(|a| a == word));
        match inner {
            Some(inner) if self.given.is_empty() && !self.only_words => {
                self.command = inner;
                self.path.push(inner.get_name());
            }
            _ => {
                self.in_program = self.positional().is_some_and(Arg::is_trailing_var_arg_set);
                self.given.push(word.to_owned());
            }
        }
    }

    /// The argument that the next word is for. The last one of a command may take several.
    fn positional(&self) -> Option<&'a Arg> {
        let all: Vec<&Arg> = self.command.get_positionals().collect();
        let at = self.given.len();
        let repeated = || all.last().copied().filter(|arg| matches!(arg.get_action(), ArgAction::Append));
        all.get(at).copied().or_else(repeated)
    }

    fn candidates(&self, current: &str, names: &dyn Fn() -> Option<Names>) -> Vec<Candidate> {
        if let Some(arg) = self.awaited {
            return self.values(arg, current, names);
        }
        if self.in_program {
            return vec![candidate(":files")];
        }
        if current.starts_with('-') && !self.only_words {
            if let Some((name, value)) = current.split_once('=')
                && let Some(arg) = self.option(name)
            {
                let mut values = self.values(arg, value, names);
                values.retain(|c| !c.word.starts_with(':'));
                for value in &mut values {
                    value.word = format!("{name}={}", value.word);
                }
                return values;
            }
            let shown = self.command.get_arguments().filter(|arg| !arg.is_hide_set());
            let long =
                |arg: &Arg| Some(Candidate { word: format!("--{}", arg.get_long()?), help: help(arg.get_help()) });
            return shown.filter_map(long).collect();
        }
        let mut all = Vec::new();
        if self.given.is_empty() && !self.only_words {
            let shown = self.command.get_subcommands().filter(|c| !c.is_hide_set());
            all.extend(shown.map(|c| Candidate { word: c.get_name().to_owned(), help: help(c.get_about()) }));
        }
        if let Some(arg) = self.positional() {
            all.extend(self.values(arg, current, names));
        }
        all
    }

    /// What an option or a place takes.
    fn values(&self, arg: &Arg, current: &str, names: &dyn Fn() -> Option<Names>) -> Vec<Candidate> {
        let possible = arg.get_possible_values();
        if takes_value(arg) && !possible.is_empty() {
            return possible.iter().map(|v| candidate(v.get_name())).collect();
        }
        let fixed = |words: &[&str]| words.iter().map(|word| candidate(*word)).collect();
        let command = self.path.join(" ");
        let kind = match (arg.get_id().as_str(), command.as_str()) {
            ("state_dir" | "run_dir" | "workdir" | "folder", _) => return fixed(&[":folders"]),
            ("output", _) => return fixed(&[":files"]),
            ("command", _) => return fixed(&[":programs"]),
            ("mac", _) => return fixed(&["random"]),
            ("driver", _) => return fixed(&["bridge"]),
            ("ipam", _) => return fixed(&["dhcp", "pools"]),
            ("filter", _) => return fixed(&["name=", "driver=bridge", "label=", "id="]),
            ("format", _) => return fixed(&["json"]),
            ("names", "sandbox add") | ("name", "network create") => return Vec::new(),
            ("network", "run") => Kind::NetworksAndModes,
            ("network", _) | ("name", "network set") => Kind::Networks,
            ("names", of) if of.starts_with("network ") => Kind::Networks,
            ("names", _) => Kind::NamedSandboxes,
            ("sandbox" | "from", _) => Kind::Sandboxes,
            ("first" | "second", _) => Kind::NewEnds,
            ("ends", _) => Kind::LinkEnds,
            ("ports", "port rm") => Kind::Ports,
            ("bridge" | "device" | "devices", _) => return devices(),
            _ => return Vec::new(),
        };
        let Some(mut names) = names() else { return Vec::new() };
        names.of(kind, &self.given, &command, current)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Networks,
    NetworksAndModes,
    NamedSandboxes,
    Sandboxes,
    NewEnds,
    LinkEnds,
    Ports,
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn help(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(|t| t.to_string().lines().next().unwrap_or_default().to_owned()).unwrap_or_default()
}

/// The host's devices.
fn devices() -> Vec<Candidate> {
    let Ok(folder) = std::fs::read_dir("/sys/class/net") else { return Vec::new() };
    folder.flatten().map(|entry| candidate(entry.file_name().to_string_lossy())).collect()
}

/// The names in the records.
struct Names {
    session: Session,
}

impl Names {
    /// `None` where the records cannot be read: completion is silent then.
    fn open(state: Option<PathBuf>, run: Option<PathBuf>) -> Option<Names> {
        let config = Config::read(&|name| std::env::var(name).ok(), state, run).ok()?;
        let session = Engine::open(config, LostRecords::Ignore).ok()?.session().ok()?;
        Some(Names { session })
    }

    fn of(&mut self, kind: Kind, given: &[String], command: &str, current: &str) -> Vec<Candidate> {
        match kind {
            Kind::Networks => self.networks(),
            Kind::NetworksAndModes => {
                let mut all = self.networks();
                all.extend(["none", "host"].map(candidate));
                // `container:NAME` shares the network of a sandbox.
                let shared = self.sandboxes(None).into_iter().map(|c| candidate(format!("container:{}", c.word)));
                all.extend(shared.filter(|_| current.starts_with('c')));
                all
            }
            Kind::NamedSandboxes => self.named(),
            Kind::Sandboxes => {
                // Only what is there can be disconnected or have ports; what is connected already may be left out.
                let on = given.first().filter(|_| {
                    command == "disconnect" || command.ends_with("disconnect") || command.starts_with("port ")
                });
                self.sandboxes(on.map(String::as_str))
            }
            Kind::NewEnds => {
                let mut all = vec![candidate("host:")];
                all.extend(self.sandboxes(None).into_iter().map(|c| candidate(format!("{}:", c.word))));
                all
            }
            Kind::LinkEnds => {
                let links = self.session.links().unwrap_or_default();
                links.iter().flat_map(|view| view.link.ends.iter().map(|end| candidate(end.to_string()))).collect()
            }
            Kind::Ports => {
                let [network, sandbox, ..] = given else { return Vec::new() };
                let on = |e: &&Endpoint| e.network.as_str() == network && e.sandbox.spelled == *sandbox;
                let published = self.session.published().unwrap_or_default();
                published.iter().filter(on).flat_map(|e| e.ports.iter().map(|p| candidate(p.to_string()))).collect()
            }
        }
    }

    fn networks(&self) -> Vec<Candidate> {
        let subnets =
            |n: &zubi_model::Network| n.pools.iter().map(|p| p.subnet.to_string()).collect::<Vec<_>>().join(", ");
        let networks = self.session.networks().0;
        networks.iter().map(|n| Candidate { word: n.name.to_string(), help: subnets(n) }).collect()
    }

    fn named(&mut self) -> Vec<Candidate> {
        self.session.sandboxes().unwrap_or_default().iter().map(|v| candidate(v.name.to_string())).collect()
    }

    /// The named sandboxes, and those that are connected; or those on one network.
    fn sandboxes(&mut self, on: Option<&str>) -> Vec<Candidate> {
        let mut names = BTreeSet::new();
        let networks: Vec<NetworkName> = self.session.networks().0.into_iter().map(|n| n.name).collect();
        for network in networks.iter().filter(|network| on.is_none_or(|on| network.as_str() == on)) {
            let endpoints = self.session.network(network).map(|(_, endpoints)| endpoints).unwrap_or_default();
            names.extend(endpoints.into_iter().map(|e| e.sandbox.spelled));
        }
        if on.is_none() {
            names.extend(self.named().into_iter().map(|c| c.word));
        }
        names.into_iter().map(candidate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &[&str]) -> Vec<String> {
        let mut root = Cli::command();
        root.build();
        let mut place = Place::new(&root);
        let (current, before) = line.split_last().unwrap();
        for word in before {
            place.pass(word);
        }
        let all = place.candidates(current, &|| None);
        all.into_iter().map(|c| c.word).filter(|w| w.starts_with(':') || w.starts_with(current)).collect()
    }

    #[test]
    fn a_bare_tab_offers_commands_and_no_options() {
        let all = of(&[""]);
        assert!(all.contains(&"network".to_owned()) && !all.iter().any(|w| w.starts_with('-')), "{all:?}");
        assert!(!all.iter().any(|w| ["ps", "exec", "__complete", "man"].contains(&w.as_str())), "{all:?}");
    }

    #[test]
    fn options_are_those_of_the_command() {
        assert_eq!(of(&["network", "create", "--sub"]), ["--subnet"]);
        assert_eq!(of(&["network", "set", "blue", "--gate"]), Vec::<String>::new());
        assert_eq!(of(&["completions", ""]), ["bash", "zsh", "fish"]);
    }

    #[test]
    fn values_of_options_are_no_places() {
        assert_eq!(of(&["run", "--name", "x", "-e", "A=b", "--", ""]), [":programs"]);
        assert_eq!(of(&["run", "ls", "-"]), [":files"]);
        assert_eq!(of(&["--state-dir", ""]), [":folders"]);
        assert_eq!(of(&["connect", "blue", "c1", "--mac", "r"]), ["random"]);
        assert_eq!(of(&["connect", "blue", "c1", "--mac=r"]), ["--mac=random"]);
    }
}
