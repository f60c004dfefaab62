//! cnitool, the CNI project's own client, built from a Debian source package: no binary package has it.
//!
//! # How it works
//! The build needs the network and, where Go is missing, root, so `cargo xtask setup` does it beforehand, outside every
//! lab. The result stays in cargo's target folder. The machine's package lists and sources stay untouched: the source
//! comes by separate lists, which are derived from the machine's sources.

use crate::cni::Attachment;
use crate::docker::find;
use crate::host::{Answer, answer};
use crate::mirror::{Mirror, codename};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PACKAGE: &str = "golang-github-appc-cni";
/// The Go path of Debian's library packages.
const GOPATH: &str = "/usr/share/gocode";
/// A file of the library that cnitool uses.
const LIBRARY: &str = "/usr/share/gocode/src/github.com/containernetworking/cni/libcni/api.go";

/// A built cnitool, for the plug-ins in one folder and the network lists in another.
#[derive(Debug, Clone)]
pub struct Cnitool {
    plugins: PathBuf,
    conf: PathBuf,
    env: Vec<(String, String)>,
}

impl Cnitool {
    /// Why cnitool cannot be used here.
    pub fn missing() -> Option<&'static str> {
        (!program().is_some_and(|program| program.is_file())).then_some("cnitool, which `cargo xtask setup` builds")
    }

    /// A cnitool for these plug-ins and these network lists.
    pub fn new(plugins: impl AsRef<Path>, conf: impl AsRef<Path>) -> Self {
        Cnitool { plugins: plugins.as_ref().to_owned(), conf: conf.as_ref().to_owned(), env: Vec::new() }
    }

    /// Adds a variable to the environment: `CAP_ARGS`, `CNI_ARGS`, `CNI_IFNAME`, or one that plug-ins read.
    pub fn with_env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Runs `cnitool VERB NETWORK NETNS`. cnitool derives the container's id from the namespace's path.
    #[track_caller]
    pub fn call(&self, verb: &str, network: &str, netns: &str) -> Answer {
        let mut command = Command::new(program().expect("a folder of cargo's results"));
        command.args([verb, network, netns]).env("CNI_PATH", &self.plugins).env("NETCONFPATH", &self.conf);
        command.envs(self.env.iter().cloned()).stdin(Stdio::null());
        answer(command)
    }

    /// Runs `cnitool VERB NETWORK NETNS` with everything that a runtime passes on for the attachment except its
    /// container.
    #[track_caller]
    pub fn attachment(&self, verb: &str, network: &str, at: &Attachment) -> Answer {
        let capabilities = Value::Object(at.capabilities().clone()).to_string();
        let tool = self.clone().with_env("CAP_ARGS", &capabilities).with_env("CNI_IFNAME", &at.key().1);
        tool.with_env("CNI_ARGS", at.cni_args()).call(verb, network, at.netns())
    }

    /// Builds cnitool if it is missing. The error says which step failed.
    pub fn build() -> Result<(), String> {
        if Self::missing().is_none() {
            return Ok(());
        }
        let program = program().ok_or("no folder of cargo's results above this program")?;
        let go = find("go").ok_or("golang-go is not installed")?;
        for (file, package) in [(LIBRARY, "golang-github-appc-cni-dev"), ("/usr/bin/dpkg-source", "dpkg-dev")] {
            if !Path::new(file).is_file() {
                return Err(format!("{package} is not installed"));
            }
        }
        let folder = program.parent().expect("a folder");
        let source = fetch(folder)?;
        let mut command = Command::new(go);
        command.args(["build", "-o"]).arg(&program).arg(".").current_dir(source.join("cnitool"));
        command.env("GO111MODULE", "off").env("GOPATH", GOPATH).env("GOCACHE", folder.join("go-cache"));
        command.env("CGO_ENABLED", "0").env("GOFLAGS", "");
        succeeds(command)
    }
}

/// Its path, once built: beside the results of the calling program's build.
fn program() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    // Cargo marks its target folder with this file (https://bford.info/cachedir).
    let target = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file())?;
    Some(target.join("cnitool").join("cnitool"))
}

/// Fetches the source and returns its folder.
fn fetch(folder: &Path) -> Result<PathBuf, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
    let source = folder.join("source");
    if source.join("cnitool").is_dir() {
        return Ok(source);
    }
    let (lists, parts) = (folder.join("lists"), folder.join("sources.list.d"));
    for new in [&lists.join("partial"), &parts] {
        fs::create_dir_all(new).map_err(failed)?;
    }
    let release = codename().ok_or("/etc/os-release names no release of Debian")?;
    let list = Mirror::of_this_machine()?.line("deb-src", &release);
    fs::write(parts.join("debian.list"), list).map_err(failed)?;
    let apt_get = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        let option = |name: &str, path: &Path| format!("-oDir::{name}={}", path.display());
        command.arg(option("Etc::sourcelist", Path::new("/dev/null"))).arg(option("Etc::sourceparts", &parts));
        command.arg(option("State::lists", &lists)).args(["-oAPT::Sandbox::User=root", "-q"]).args(words);
        command.current_dir(folder).env("DEBIAN_FRONTEND", "noninteractive");
        succeeds(command)
    };
    apt_get(&["update"])?;
    apt_get(&["source", "--download-only", PACKAGE])?;
    let all = fs::read_dir(folder).map_err(failed)?.flatten().map(|entry| entry.path());
    let description = all.into_iter().find(|file| file.extension().is_some_and(|e| e == "dsc"));
    let mut command = Command::new("dpkg-source");
    command.arg("-x").arg(description.ok_or("apt-get fetched no .dsc")?).arg(&source);
    succeeds(command)?;
    // The lists are large and no longer needed.
    fs::remove_dir_all(&lists).map_err(failed)?;
    Ok(source)
}

fn succeeds(mut command: Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", command.get_program().display(), String::from_utf8_lossy(&output.stderr).trim()))
}
