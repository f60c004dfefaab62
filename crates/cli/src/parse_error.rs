//! What the parser refuses, in zubi's own shape: one line, with the next step.
//!
//! clap's own advice for an unknown option, to pass it as a value behind `--`, is never right here and is dropped.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Words of Docker, and of `ip`, that are no commands here: what to use instead.
const OTHER_COMMANDS: &[(&[&str], &str)] = &[
    (
        &["start", "stop", "restart", "kill", "pause", "unpause", "wait"],
        "zubi starts and stops no containers; zubi sandbox rm --force NAME ends a zubi run",
    ),
    (&["logs", "attach"], "a command of zubi run writes to its caller's terminal; redirect it to keep what it writes"),
    (&["inspect"], "zubi network inspect NETWORK shows a network, zubi --json ls all endpoints"),
    (
        &["images", "image", "build", "pull", "push", "load", "save", "import", "commit", "tag", "rmi", "create"],
        "zubi has no images, it runs programs of this host: zubi run -- PROGRAM",
    ),
    (&["networks"], "zubi network ls lists networks"),
    (&["sandboxes", "netns", "container", "containers"], "zubi sandbox ls lists sandboxes, zubi ls what is connected"),
    (&["ports"], "zubi port ls lists published ports"),
    (&["links"], "zubi link ls lists links"),
    (&["volume", "volumes", "cp"], "a command of zubi run sees the files of this host"),
    (&["top", "stats"], "zubi sandbox exec NAME -- top shows processes; zubi ls shows endpoints"),
    (&["system"], "zubi gc removes what nobody owns, zubi network prune networks without endpoints"),
    (&["add"], "zubi sandbox add NAME makes a sandbox, zubi connect NETWORK SANDBOX connects it"),
    (&["delete", "del"], "zubi network rm, zubi sandbox rm and zubi disconnect take away"),
];

/// Options of Docker that are none here: the command, the option, what to do.
const OTHER_OPTIONS: &[(&[&str], &[&str], &str)] = &[
    (&["run"], &["--entrypoint", "--image", "--pull"], "zubi has no images; write the program: zubi run -- PROGRAM"),
    (&["run"], &["--volume", "--mount", "--tmpfs", "--volumes-from"], "the program sees the files of this host"),
    (
        &["run", "exec", "sandbox exec"],
        &["-u", "--user"],
        "put `setpriv --reuid=USER` or `su USER -c` before the program",
    ),
    (&["run", "exec", "sandbox exec"], &["--env-file"], "give each variable with -e"),
    (
        &["run"],
        &["-m", "--memory", "--cpus", "--pids-limit", "--ulimit"],
        "zubi limits nothing; systemd-run --scope does",
    ),
    (&["run"], &["--privileged", "--cap-add", "--cap-drop", "--security-opt"], "the program has its caller's rights"),
    (&["run"], &["--hostname", "--dns", "--add-host"], "the program has this host's names; DNS: not yet"),
    (&["run"], &["--restart", "--health-cmd"], "let systemd start zubi run again"),
    (&["run"], &["-P", "--publish-all"], "name the ports: -p PORT"),
    (&["run"], &["--mac-address"], "write --mac"),
    (
        &["run", "connect", "network connect"],
        &["--link"],
        "endpoints of one network reach each other; zubi link wires two",
    ),
    (&["connect", "network connect"], &["--driver-opt"], "--ifname, --mac and --route are the options there are"),
    (&["network create"], &["--ingress", "--config-only", "--config-from"], "that is for Docker's swarm"),
    (
        &["network create"],
        &["--ipam-driver", "--ipam-opt"],
        "--subnet, --gateway, --ip-range and --exclude choose addresses",
    ),
    (&["check"], &["--fix", "--repair"], "zubi repair puts right what check finds"),
];

/// One line for an error of the parser.
pub(crate) fn explain(error: &clap::Error) -> String {
    let command = command(error);
    let help = format!("zubi {command}{}--help", if command.is_empty() { "" } else { " " });
    let word = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.as_str()),
        Some(ContextValue::Strings(words)) => words.first().map(String::as_str),
        _ => None,
    };
    let text = match error.kind() {
        ErrorKind::UnknownArgument => {
            let given = word(ContextKind::InvalidArg).unwrap_or_default();
            let what = if given.starts_with('-') { "no option" } else { "no place for the word" };
            let next = other_option(&command, given)
                .map(str::to_owned)
                .or_else(|| word(ContextKind::SuggestedArg).map(|near| format!("did you mean {near}?")))
                .unwrap_or_else(|| format!("{help} lists what there is"));
            format!("{what} {given}; {next}")
        }
        ErrorKind::InvalidSubcommand => {
            let given = word(ContextKind::InvalidSubcommand).unwrap_or_default();
            let next = other_command(&command, given)
                .map(str::to_owned)
                .or_else(|| word(ContextKind::SuggestedSubcommand).map(|near| format!("did you mean {near}?")))
                .unwrap_or_else(|| format!("{help} lists the commands"));
            format!("no command {given}; {next}")
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(words)) => words.join(" "),
                _ => "a word".to_owned(),
            };
            format!("{missing} is missing; {help}")
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            format!("a command is missing; {help} lists the commands")
        }
        ErrorKind::ValueValidation => invalid_value(error),
        _ => first_paragraph(&error.render().to_string()),
    };
    if command.is_empty() { text } else { format!("{command}: {text}") }
}

/// A value with a reason. zubi's own reasons name the value, those of the standard library do not.
fn invalid_value(error: &clap::Error) -> String {
    let text = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let (option, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    match std::error::Error::source(error).map(ToString::to_string) {
        Some(reason) if reason.contains(&format!("`{value}`")) => reason,
        Some(reason) => format!("{option} `{value}`: {reason}"),
        None => first_paragraph(&error.render().to_string()),
    }
}

/// The command that the error is about, without `zubi`: the parser's usage line begins with it.
fn command(error: &clap::Error) -> String {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return String::new() };
    let usage = usage.to_string();
    let words = usage.split_whitespace().skip_while(|word| *word != "zubi").skip(1);
    words.take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect::<Vec<_>>().join(" ")
}

fn other_option(command: &str, given: &str) -> Option<&'static str> {
    let fits =
        |(commands, options, _): &&(&[&str], &[&str], &str)| commands.contains(&command) && options.contains(&given);
    OTHER_OPTIONS.iter().find(fits).map(|(_, _, advice)| *advice)
}

fn other_command(command: &str, given: &str) -> Option<&'static str> {
    let all = if command.is_empty() { OTHER_COMMANDS } else { &[] };
    all.iter().find(|(words, _)| words.contains(&given)).map(|(_, advice)| *advice)
}

/// The parser's own words, without its prefix, usage and tips.
fn first_paragraph(text: &str) -> String {
    let lines: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let text = lines.join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}
