//! The interfaces for other programs ("doors"). The name that zubi was called by selects one.
//!
//! # How it works
//!
//! A door reads the environment and stdin, has its protocol's crate parse the request, carries the request out through
//! the session, and writes one document to stdout. It starts no program except other IPAM plug-ins that a CNI
//! configuration names. Work that takes the kernel long is left to the engine's detached child, which holds none of the
//! caller's descriptors.
//!
//! If the answer cannot be written (stdout is closed or full), the caller does not know what was made. So an ADD or a
//! setup is undone, and the exit code reports a failure.
#![deny(clippy::print_stdout, clippy::print_stderr, reason = "they panic when nobody reads; see `answer`")]

mod answer;
mod cni;
mod input;
mod pipework;
mod podman;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use zubi_cni::Plugin;
use zubi_netavark::Program;

/// An interface for another program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A CNI plug-in.
    Cni(Plugin),
    /// The CNI plug-in whose work zubi's others do themselves.
    Dhcp,
    /// Podman's network programs.
    Podman(Program),
    /// A shell script of 2014 that plugs containers in.
    Pipework,
}

impl Door {
    /// The door that a program name selects. `zubi` itself is a CNI plug-in if it has no arguments and the environment
    /// has a request of a runtime.
    pub fn named(program: &OsStr, words: usize, variable: impl Fn(&str) -> bool) -> Option<Door> {
        let name = Path::new(program).file_name()?.to_str()?;
        match name {
            "dhcp" => Some(Door::Dhcp),
            "netavark" => Some(Door::Podman(Program::Netavark)),
            "aardvark-dns" => Some(Door::Podman(Program::AardvarkDns)),
            "pipework" => Some(Door::Pipework),
            "zubi" => (words == 0 && variable("CNI_COMMAND")).then_some(Door::Cni(Plugin::Zubi)),
            other => Plugin::named(other).map(Door::Cni),
        }
    }

    /// Carries out the request and returns the exit code.
    pub fn open(self) -> ExitCode {
        match self {
            Door::Cni(plugin) => cni::answer(plugin),
            Door::Dhcp => cni::answer_as_dhcp(),
            Door::Podman(program) => podman::answer(program),
            Door::Pipework => pipework::answer(),
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
        assert_eq!(door("/opt/cni/bin/dhcp", 1, false), Some(Door::Dhcp));
        assert_eq!(door("netavark", 3, false), Some(Door::Podman(Program::Netavark)));
        assert_eq!(door("zubi", 0, true), Some(Door::Cni(Plugin::Zubi)));
        assert_eq!(door("zubi", 1, true), None);
        assert_eq!(door("zubi", 0, false), None);
        assert_eq!(door("/usr/local/bin/zubi-1", 0, true), None);
    }
}
