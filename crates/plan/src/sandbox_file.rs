//! Files that `ip netns exec` shows in the place of the host's (ip-netns(8)): who answers names for a named sandbox, and
//! what it is called itself.

use std::path::PathBuf;
use zubi_model::{NetnsCookie, SandboxName};

/// The folder of the files, by sandbox.
const FOLDER: &str = "/etc/netns";

/// Which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// resolv.conf(5).
    Servers,
    /// hosts(5).
    Hosts,
}

/// One file of a named sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxFile {
    /// The sandbox.
    pub sandbox: SandboxName,
    /// The namespace that it has. Another one of the same name has files of its own.
    pub cookie: NetnsCookie,
    /// Which file.
    pub kind: FileKind,
    /// What stands in it, below the mark.
    pub text: String,
}

impl SandboxFile {
    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.folder().join(match self.kind {
            FileKind::Servers => "resolv.conf",
            FileKind::Hosts => "hosts",
        })
    }

    /// The folder of all files of the sandbox.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(FOLDER).join(self.sandbox.as_str())
    }

    /// Its first line, by which zubi recognises it. A file without it is the user's.
    pub fn mark(&self) -> String {
        format!("# zubi made this file for namespace {}; without this line it is yours\n", self.cookie)
    }

    /// The whole file.
    pub fn content(&self) -> String {
        self.mark() + &self.text
    }

    /// The command that writes it.
    pub(crate) fn writing(&self) -> String {
        let content = zubi_wire::shell_word(&self.content().replace('\n', "\\n"));
        format!("mkdir -p {} && printf {content} >{}", self.folder().display(), self.path().display())
    }

    /// The command that removes it.
    pub(crate) fn removing(&self) -> String {
        let (path, folder) = (self.path(), self.folder());
        format!("rm -f {} && rmdir --ignore-fail-on-non-empty {}", path.display(), folder.display())
    }
}
