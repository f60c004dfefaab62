//! The environment variables of a request, and what they name.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use zubi_model::Invalid;

/// The variables, unchecked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment {
    /// `CNI_COMMAND`
    pub command: Option<OsString>,
    /// `CNI_CONTAINERID`
    pub container: Option<OsString>,
    /// `CNI_NETNS`
    pub netns: Option<OsString>,
    /// `CNI_IFNAME`
    pub ifname: Option<OsString>,
    /// `CNI_ARGS`
    pub args: Option<OsString>,
    /// `CNI_PATH`
    pub path: Option<OsString>,
}

impl Environment {
    /// Reads all variables. An empty one counts as missing; nothing else is checked.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let read = |name| variable(name).filter(|value| !value.is_empty());
        Environment {
            command: read("CNI_COMMAND"),
            container: read("CNI_CONTAINERID"),
            netns: read("CNI_NETNS"),
            ifname: read("CNI_IFNAME"),
            args: read("CNI_ARGS"),
            path: read("CNI_PATH"),
        }
    }

    /// The folders of `CNI_PATH`.
    pub(crate) fn search_path(&self) -> Vec<PathBuf> {
        let Some(path) = &self.path else { return Vec::new() };
        std::env::split_paths(path).filter(|p| !p.as_os_str().is_empty()).collect()
    }
}

/// A container's id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerId {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        // The id becomes part of a sandbox's name: at most 128 bytes of the characters allowed there.
        match text.parse::<zubi_model::SandboxName>() {
            Ok(_) => Ok(ContainerId(text.to_owned())),
            Err(e) => Err(Invalid { what: "container id", ..e }),
        }
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The identity of an attachment within its network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attachment {
    /// The container.
    pub container: String,
    /// The device in the container.
    pub ifname: String,
}
