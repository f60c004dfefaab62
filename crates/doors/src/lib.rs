//! The doors that other programs come in by. Which one is meant says the name that zubi was called by.
//!
//! # How it works
//!
//! A door reads the environment and stdin, has the request read by its protocol's crate, does through the session what
//! that crate found in it, and writes one document to stdout. It starts no program but the IPAM plug-ins of others that
//! a CNI configuration names, and what the kernel takes its time for is left to the engine's detached child, which
//! holds none of the caller's descriptors.
//!
//! A caller that cannot be given its answer (stdout is closed or full) does not know what was made, so what an ADD or a
//! setup has made is taken away again, and the exit code says that the call failed.
#![deny(clippy::print_stdout, clippy::print_stderr, reason = "they panic when nobody reads; see `answer`")]

mod answer;
mod cni;
mod input;
mod podman;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use zubi_cni::Plugin;
use zubi_netavark::Program;

/// A door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A CNI plug-in.
    Cni(Plugin),
    /// Podman's network programs.
    Podman(Program),
}

impl Door {
    /// The door that is meant when zubi is called by this name. `zubi` itself is a CNI plug-in when a runtime says what
    /// it wants, which it does in the environment, without words.
    pub fn named(program: &OsStr, words: usize, variable: impl Fn(&str) -> bool) -> Option<Door> {
        let name = Path::new(program).file_name()?.to_str()?;
        match name {
            "netavark" => Some(Door::Podman(Program::Netavark)),
            "aardvark-dns" => Some(Door::Podman(Program::AardvarkDns)),
            "zubi" => (words == 0 && variable("CNI_COMMAND")).then_some(Door::Cni(Plugin::Zubi)),
            other => Plugin::named(other).map(Door::Cni),
        }
    }

    /// Does what is asked for, and gives the exit code.
    pub fn open(self) -> ExitCode {
        match self {
            Door::Cni(plugin) => cni::answer(plugin),
            Door::Podman(program) => podman::answer(program),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_chosen_by_the_name_of_the_program() {
        let door = |name: &str, words, cni| Door::named(OsStr::new(name), words, |_| cni);
        assert_eq!(door("/opt/cni/bin/host-local", 0, false), Some(Door::Cni(Plugin::HostLocal)));
        assert_eq!(door("netavark", 3, false), Some(Door::Podman(Program::Netavark)));
        assert_eq!(door("zubi", 0, true), Some(Door::Cni(Plugin::Zubi)));
        assert_eq!(door("zubi", 1, true), None);
        assert_eq!(door("zubi", 0, false), None);
        assert_eq!(door("/usr/local/bin/zubi-1", 0, true), None);
    }
}
