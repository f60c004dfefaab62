//! The command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The program that zubi stands in for, by the name it was called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The network program.
    Netavark,
    /// The DNS server. Podman asks it for nothing but its version.
    AardvarkDns,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Program::Netavark => "netavark",
            Program::AardvarkDns => "aardvark-dns",
        })
    }
}

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `--version`: print one line.
    VersionLine,
    /// `version`: print JSON.
    Version,
    /// `--help`, or a command that has nothing to do: print this text.
    Help(&'static str),
    /// `setup`: attach the namespace at this path to the networks of the request.
    Setup(Globals, PathBuf),
    /// `teardown`: detach the namespace at this path.
    Teardown(Globals, PathBuf),
    /// `update`: change the DNS servers of a network.
    Update {
        /// The options.
        globals: Globals,
        /// The network's name in Podman.
        network: String,
        /// Comma-separated lists, unchecked; [`crate::update`] reads them.
        servers: Vec<String>,
    },
    /// A command of netavark that zubi lacks, see [`crate::unsupported`].
    Unsupported(&'static str),
}

/// The options before the command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Globals {
    /// A file with the request; `None`: the request is on stdin.
    pub file: Option<PathBuf>,
    /// The folder for netavark's state; zubi keeps a rootless user's state there. It may not exist.
    pub config: Option<PathBuf>,
    /// Podman runs without root, in a user namespace.
    pub rootless: bool,
    /// aardvark-dns; `None` when Podman found none.
    pub aardvark_binary: Option<PathBuf>,
    /// The firewall driver, unchecked: `nftables`, `none`...
    pub firewall_driver: Option<OsString>,
    /// Folders with plug-ins.
    pub plugin_directories: Vec<PathBuf>,
}

/// An invalid command line: the text goes to stderr, the exit code is [`UsageError::EXIT_CODE`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{program}: {why}; {program} --help tells what there is")]
pub struct UsageError {
    program: Program,
    why: String,
}

impl UsageError {
    /// The same as netavark's.
    pub const EXIT_CODE: u8 = 2;
}

/// Reads the words that follow the program's name.
pub fn parse_arguments(program: Program, args: impl Iterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut reader = Reader { words: args };
    reader.command(program).map_err(|why| UsageError { program, why })
}

const HELP: &str = "\
zubi as Podman's network program

Usage: netavark [OPTIONS] COMMAND

Commands:
  setup NETNS                                  attach a namespace to what the request on stdin says
  teardown NETNS                               detach it
  update NETWORK --network-dns-servers LIST    change the servers for names of a network
  dhcp-proxy                                   does nothing: zubi takes DHCP leases itself
  version                                      print the version as JSON

Options:
  -f, --file FILE              read the request from here
  -c, --config DIR             where the state of a user's networks is kept; root's is elsewhere
  -r, --rootless true|false    in the namespaces of a user
  -a, --aardvark-binary FILE   taken and not used
      --firewall-driver NAME   nftables is all there is
      --plugin-directory DIR   taken and not used
  -h, --help                   print this
  -V, --version                print the version
";

/// A unit that starts the proxy is not to fail.
const NO_PROXY: &str = "\
zubi takes DHCP leases itself, so that no proxy is needed; `zubi lease renew --all` renews them
";

const AARDVARK_HELP: &str = "\
zubi as Podman's DNS server: `zubi daemon` is what answers

Usage: aardvark-dns [OPTIONS] COMMAND

Commands:
  version    print the version as JSON

Options:
  -h, --help       print this
  -V, --version    print the version
";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    File,
    Config,
    Rootless,
    AardvarkBinary,
    FirewallDriver,
    PluginDirectory,
    DnsServers,
    Ignored,
    Help,
    Version,
}

type Known = (&'static str, &'static str, Flag);

const HELP_FLAG: Known = ("-h", "--help", Flag::Help);

const NETAVARK: &[Known] = &[
    ("-f", "--file", Flag::File),
    ("-c", "--config", Flag::Config),
    ("-r", "--rootless", Flag::Rootless),
    ("-a", "--aardvark-binary", Flag::AardvarkBinary),
    ("", "--firewall-driver", Flag::FirewallDriver),
    ("", "--plugin-directory", Flag::PluginDirectory),
    HELP_FLAG,
    ("-V", "--version", Flag::Version),
];

const AARDVARK: &[Known] = &[
    ("-c", "--config", Flag::Ignored),
    ("-f", "--filter-search-domain", Flag::Ignored),
    ("-p", "--port", Flag::Ignored),
    HELP_FLAG,
    ("-V", "--version", Flag::Version),
];

const WITH_NAMESPACE: &[Known] = &[HELP_FLAG];
const UPDATE: &[Known] = &[("", "--network-dns-servers", Flag::DnsServers), HELP_FLAG];

/// A word: an option with the value behind its `=`, or any other word.
enum Word {
    Option(&'static Known, Option<OsString>),
    Plain(OsString),
}

struct Reader<I> {
    words: I,
}

impl<I: Iterator<Item = OsString>> Reader<I> {
    fn command(&mut self, program: Program) -> Result<Command, String> {
        let (known, help) = match program {
            Program::Netavark => (NETAVARK, HELP),
            Program::AardvarkDns => (AARDVARK, AARDVARK_HELP),
        };
        let mut globals = Globals::default();
        let mut seen = Vec::new();
        let command = loop {
            match self.word(known)? {
                None => return Err("no command is given".into()),
                Some(Word::Plain(word)) => break word,
                Some(Word::Option((_, _, Flag::Help), None)) => return Ok(Command::Help(help)),
                Some(Word::Option((_, _, Flag::Version), None)) => return Ok(Command::VersionLine),
                Some(Word::Option(option, value)) => {
                    let (_, name, flag) = option;
                    if *flag != Flag::PluginDirectory && seen.contains(name) {
                        return Err(format!("{name} is given twice"));
                    }
                    seen.push(name);
                    let value = self.value(option, value)?;
                    globals.set(*flag, value).map_err(|why| format!("{name} {why}"))?;
                }
            }
        };
        let word = command.to_str().unwrap_or_default();
        match (program, word) {
            (_, "help") => Ok(Command::Help(help)),
            (_, "version") => self.nothing_more(help, Command::Version),
            (Program::Netavark, "setup" | "teardown") => self.with_namespace(word, globals),
            (Program::Netavark, "update") => self.update(globals),
            (Program::Netavark, "create") => Ok(Command::Unsupported("create")),
            // Whatever options its unit has.
            (Program::Netavark, "dhcp-proxy") => Ok(Command::Help(NO_PROXY)),
            (Program::Netavark, "firewalld-reload") => Ok(Command::Unsupported("firewalld-reload")),
            (Program::Netavark, "firewall-reload") => Ok(Command::Unsupported("firewall-reload")),
            (Program::AardvarkDns, "run") => Ok(Command::Unsupported("run")),
            _ => Err(format!("there is no command {}", shown(&command))),
        }
    }

    fn with_namespace(&mut self, command: &str, globals: Globals) -> Result<Command, String> {
        let mut path = None;
        while let Some(word) = self.word(WITH_NAMESPACE)? {
            match word {
                Word::Option(_, None) => return Ok(Command::Help(HELP)),
                Word::Option((_, name, _), Some(_)) => return Err(format!("{name} takes no value")),
                Word::Plain(word) if path.is_some() => return Err(format!("unexpected word {}", shown(&word))),
                Word::Plain(word) => path = Some(PathBuf::from(word)),
            }
        }
        let path = path.filter(|path| !path.as_os_str().is_empty());
        let path = path.ok_or_else(|| format!("{command} takes the path of a network namespace"))?;
        Ok(if command == "setup" { Command::Setup(globals, path) } else { Command::Teardown(globals, path) })
    }

    fn update(&mut self, globals: Globals) -> Result<Command, String> {
        let (mut network, mut servers) = (None, None);
        while let Some(word) = self.word(UPDATE)? {
            match word {
                Word::Option((_, _, Flag::Help), None) => return Ok(Command::Help(HELP)),
                Word::Option((_, name, Flag::Help), Some(_)) => return Err(format!("{name} takes no value")),
                Word::Option(option, value) => {
                    let value = text(option.1, self.value(option, value)?)?;
                    servers.get_or_insert_with(Vec::new).push(value);
                }
                Word::Plain(word) if network.is_some() => return Err(format!("unexpected word {}", shown(&word))),
                Word::Plain(word) => network = Some(text("the network's name", word)?),
            }
        }
        let network = network.filter(|name| !name.is_empty()).ok_or("update takes the name of a network")?;
        let servers = servers.ok_or("update takes --network-dns-servers LIST")?;
        Ok(Command::Update { globals, network, servers })
    }

    fn nothing_more(&mut self, help: &'static str, command: Command) -> Result<Command, String> {
        match self.word(&[HELP_FLAG])? {
            None => Ok(command),
            Some(Word::Option(..)) => Ok(Command::Help(help)),
            Some(Word::Plain(word)) => Err(format!("unexpected word {}", shown(&word))),
        }
    }

    /// The next word; `known` are the options allowed here. The word behind `--` is no option.
    fn word(&mut self, known: &'static [Known]) -> Result<Option<Word>, String> {
        let Some(word) = self.words.next() else { return Ok(None) };
        if word == "--" {
            return Ok(self.words.next().map(Word::Plain));
        }
        let bytes = word.as_bytes();
        if !bytes.starts_with(b"-") || bytes == b"-" {
            return Ok(Some(Word::Plain(word)));
        }
        let unknown = || format!("unexpected option {}", shown(&word));
        if bytes.starts_with(b"--") {
            let (name, value) = match bytes.iter().position(|b| *b == b'=') {
                Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
                None => (bytes, None),
            };
            let option = known.iter().find(|(_, long, _)| long.as_bytes() == name).ok_or_else(unknown)?;
            return Ok(Some(Word::Option(option, value)));
        }
        // `-c DIR`, `-cDIR` or `-c=DIR`.
        let (name, rest) = bytes.split_at(2);
        let option = known.iter().find(|(short, _, _)| short.as_bytes() == name).ok_or_else(unknown)?;
        let value = (!rest.is_empty()).then(|| OsStr::from_bytes(rest.strip_prefix(b"=").unwrap_or(rest)).to_owned());
        Ok(Some(Word::Option(option, value)))
    }

    /// An option's value: behind its `=`, or the next word.
    fn value(&mut self, (_, name, flag): &Known, given: Option<OsString>) -> Result<OsString, String> {
        if matches!(flag, Flag::Help | Flag::Version) {
            return Err(format!("{name} takes no value"));
        }
        if let Some(value) = given {
            return Ok(value);
        }
        match self.words.next() {
            Some(value) if !value.as_bytes().starts_with(b"-") || value == "-" => Ok(value),
            _ => Err(format!("{name} takes a value")),
        }
    }
}

impl Globals {
    fn set(&mut self, flag: Flag, value: OsString) -> Result<(), String> {
        let path = || Some(PathBuf::from(value.clone())).filter(|path| !path.as_os_str().is_empty());
        match flag {
            Flag::File => self.file = Some(path().ok_or("takes a file")?),
            Flag::Config => self.config = path(),
            Flag::Rootless => {
                self.rootless = match value.to_str() {
                    Some("true") => true,
                    Some("false") => false,
                    _ => return Err(format!("takes true or false, not {}", shown(&value))),
                }
            }
            Flag::AardvarkBinary => self.aardvark_binary = path(),
            Flag::FirewallDriver => self.firewall_driver = Some(value),
            Flag::PluginDirectory => self.plugin_directories.extend(path()),
            Flag::DnsServers | Flag::Ignored | Flag::Help | Flag::Version => {}
        }
        Ok(())
    }
}

fn text(what: &str, value: OsString) -> Result<String, String> {
    value.into_string().map_err(|value| format!("{what} is not UTF-8: {}", shown(&value)))
}

/// Escapes control characters, which must not reach the terminal, and shortens long words.
fn shown(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let cut = if text.chars().nth(200).is_some() { "…" } else { "" };
    format!("`{}`{cut}", text.chars().take(200).flat_map(char::escape_debug).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_need_not_be_utf_8() {
        let word = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
        let words = [word(b"--config=/x\xff"), word(b"setup"), word(b"/y\xfe")];
        let Ok(Command::Setup(globals, path)) = parse_arguments(Program::Netavark, words.into_iter()) else { panic!() };
        assert_eq!(globals.config.unwrap().as_os_str().as_bytes(), b"/x\xff");
        assert_eq!(path.as_os_str().as_bytes(), b"/y\xfe");
        let words = [word(b"update"), word(b"\xff"), word(b"--network-dns-servers="), word(b"")];
        let error = parse_arguments(Program::Netavark, words.into_iter()).unwrap_err().to_string();
        assert!(error.contains("is not UTF-8"), "{error}");
    }
}
