//! CNI plug-ins, called one by one as a runtime calls them (CNI 1.1, "Execution Protocol"): parameters in the
//! environment, the configuration on standard input. Needs no daemon and no root.

use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A CNI command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Attach.
    Add,
    /// Detach.
    Del,
    /// Verify that the attachment is as ADD made it.
    Check,
    /// Remove everything that belongs to no valid attachment.
    Gc,
    /// Whether the plug-in is ready for an ADD.
    Status,
    /// Which versions it supports.
    Version,
}

/// One interface of a container, with everything the runtime says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    container: String,
    netns: String,
    ifname: String,
    args: String,
    capabilities: Map<String, Value>,
}

/// A plug-in's answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The plug-in.
    pub plugin: String,
    /// Its exit code; 128 plus the signal's number when it was killed.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard output as JSON; `null` when it is empty or no JSON.
    pub value: Value,
    /// Standard error.
    pub err: String,
}

/// Runs the plug-ins of a folder.
#[derive(Debug, Clone)]
pub struct Caller {
    folder: PathBuf,
    search: OsString,
    env: Vec<(String, OsString)>,
}

impl Verb {
    /// The value of `CNI_COMMAND`.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Add => "ADD",
            Verb::Del => "DEL",
            Verb::Check => "CHECK",
            Verb::Gc => "GC",
            Verb::Status => "STATUS",
            Verb::Version => "VERSION",
        }
    }
}

impl Attachment {
    /// `eth0` of a container in a network namespace, given by path or, without a slash, by name.
    pub fn new(container: &str, netns: &str) -> Self {
        let netns = if netns.contains('/') { netns.to_owned() } else { format!("/run/netns/{netns}") };
        let (container, ifname) = (container.to_owned(), "eth0".to_owned());
        Attachment { container, netns, ifname, args: String::new(), capabilities: Map::new() }
    }

    /// The same container, another interface name.
    pub fn ifname(mut self, ifname: &str) -> Self {
        ifname.clone_into(&mut self.ifname);
        self
    }

    /// With these `CNI_ARGS`: `KEY=VALUE;KEY=VALUE`.
    pub fn args(mut self, args: &str) -> Self {
        args.clone_into(&mut self.args);
        self
    }

    /// A value that the runtime passes to plug-ins that declare this capability.
    pub fn capability(mut self, name: &str, value: Value) -> Self {
        self.capabilities.insert(name.to_owned(), value);
        self
    }

    /// The same attachment with an empty `CNI_NETNS`, as when the container is gone.
    pub fn without_netns(mut self) -> Self {
        self.netns.clear();
        self
    }

    /// Container id and interface name: the key of an attachment within a network.
    pub fn key(&self) -> (String, String) {
        (self.container.clone(), self.ifname.clone())
    }

    /// The path of the namespace.
    pub fn netns(&self) -> &str {
        &self.netns
    }

    pub(crate) fn cni_args(&self) -> &str {
        &self.args
    }

    pub(crate) fn capabilities(&self) -> &Map<String, Value> {
        &self.capabilities
    }

    /// The attachment as GC lists it.
    pub(crate) fn listed(&self) -> Value {
        json!({ "containerID": self.container, "ifname": self.ifname })
    }

    /// The runtime's values that a plug-in's `capabilities` ask for.
    pub(crate) fn wanted_by(&self, declared: &Value) -> Map<String, Value> {
        let wanted = |name: &String| declared[name.as_str()] == true;
        self.capabilities.iter().filter(|(name, _)| wanted(name)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

impl Reply {
    /// Fails the test unless the plug-in succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}: {}\nstderr: {}", self.plugin, self.out, self.err);
        self
    }

    /// Fails the test unless the plug-in failed with this error code and these words in its message.
    #[track_caller]
    pub fn fails(self, code: i64, words: &str) -> Self {
        assert_ne!(self.code, 0, "{} succeeded: {}", self.plugin, self.out);
        assert_eq!(self.value["code"], code, "{}: {}\nstderr: {}", self.plugin, self.out, self.err);
        assert!(self.out.contains(words), "{}: {}\nlacks: {words}", self.plugin, self.out);
        self
    }

    /// The addresses of a result of version 0.3.0 or later, with prefix lengths.
    #[track_caller]
    pub fn addresses(&self) -> Vec<String> {
        let ips = self.value["ips"].as_array().unwrap_or_else(|| panic!("{}: no ips in {}", self.plugin, self.out));
        ips.iter().map(|ip| ip["address"].as_str().expect("an address").to_owned()).collect()
    }
}

impl Caller {
    /// A caller of the plug-ins in this folder, which is also `CNI_PATH`.
    pub fn new(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref().to_owned();
        Caller { search: folder.clone().into(), folder, env: Vec::new() }
    }

    /// Adds a variable to the environment; the others are this process's own.
    pub fn with_env(mut self, key: &str, value: impl Into<OsString>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// Sets `PATH`: an empty folder shows which programs are called.
    pub fn with_path(self, path: impl Into<OsString>) -> Self {
        self.with_env("PATH", path)
    }

    /// Sets `CNI_PATH`, where plug-ins look for the plug-ins they delegate to.
    pub fn with_cni_path(mut self, search: impl Into<OsString>) -> Self {
        self.search = search.into();
        self
    }

    /// Calls a plug-in for an attachment, with all six variables, as libcni sets them.
    #[track_caller]
    pub fn call(&self, plugin: &str, verb: Verb, at: &Attachment, config: &Value) -> Reply {
        let mut command = self.command(plugin, verb);
        command.env("CNI_CONTAINERID", &at.container).env("CNI_NETNS", &at.netns).env("CNI_IFNAME", &at.ifname);
        command.env("CNI_ARGS", &at.args);
        self.run(plugin, command, &config.to_string())
    }

    /// Calls a plug-in for a whole network (`GC`, `STATUS`): libcni leaves the other variables empty.
    #[track_caller]
    pub fn call_for_network(&self, plugin: &str, verb: Verb, config: &Value) -> Reply {
        let nothing = Attachment { netns: String::new(), ifname: String::new(), ..Attachment::new("", "") };
        self.call(plugin, verb, &nothing, config)
    }

    /// `VERSION`, with the placeholders that libcni sets.
    #[track_caller]
    pub fn version(&self, plugin: &str) -> Reply {
        let mut command = self.command(plugin, Verb::Version);
        for variable in ["CNI_NETNS", "CNI_IFNAME", "CNI_PATH"] {
            command.env(variable, "dummy");
        }
        self.run(plugin, command, &json!({ "cniVersion": "1.1.0" }).to_string())
    }

    /// Calls a plug-in with exactly these of the `CNI_` variables and exactly this input.
    #[track_caller]
    pub fn call_raw(&self, plugin: &str, variables: &[(&str, &str)], stdin: &str) -> Reply {
        let mut command = self.bare(plugin);
        command.envs(variables.iter().copied());
        self.run(plugin, command, stdin)
    }

    /// A plug-in, ready to start, with `CNI_COMMAND` and `CNI_PATH`: for tests that kill it.
    pub fn command(&self, plugin: &str, verb: Verb) -> Command {
        let mut command = self.bare(plugin);
        command.env("CNI_COMMAND", verb.word()).env("CNI_PATH", &self.search);
        command
    }

    fn bare(&self, plugin: &str) -> Command {
        let mut command = Command::new(self.folder.join(plugin));
        for variable in ["COMMAND", "CONTAINERID", "NETNS", "IFNAME", "ARGS", "PATH"] {
            command.env_remove(format!("CNI_{variable}"));
        }
        command.envs(self.env.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    #[track_caller]
    #[allow(clippy::unused_self, reason = "reads as an action of the caller")]
    fn run(&self, plugin: &str, mut command: Command, stdin: &str) -> Reply {
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        match child.stdin.take().expect("stdin").write_all(stdin.as_bytes()) {
            // A plug-in that failed early may not have read it.
            Err(e) if e.kind() != ErrorKind::BrokenPipe => panic!("{plugin}: {e}"),
            _ => {}
        }
        let output = child.wait_with_output().unwrap_or_else(|e| panic!("{plugin}: {e}"));
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        Reply {
            plugin: plugin.to_owned(),
            code: output.status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0)),
            value: serde_json::from_str(&out).unwrap_or(Value::Null),
            out,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
