//! The programs by which hosts configure their network at boot.

use crate::Invalid;
use std::fmt;
use std::str::FromStr;

/// A program that configures the host's network at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostNetworking {
    /// systemd-networkd.
    Networkd,
    /// NetworkManager.
    NetworkManager,
    /// Debian's ifupdown.
    Ifupdown,
}

impl HostNetworking {
    /// All of them.
    pub const ALL: [HostNetworking; 3] =
        [HostNetworking::Networkd, HostNetworking::NetworkManager, HostNetworking::Ifupdown];
}

impl fmt::Display for HostNetworking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            HostNetworking::Networkd => "networkd",
            HostNetworking::NetworkManager => "nm",
            HostNetworking::Ifupdown => "ifupdown",
        })
    }
}

impl FromStr for HostNetworking {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "networkd" | "systemd-networkd" => Ok(HostNetworking::Networkd),
            "nm" | "NetworkManager" => Ok(HostNetworking::NetworkManager),
            "ifupdown" => Ok(HostNetworking::Ifupdown),
            _ => Err(Invalid::new("program", text, "is unknown; there are: networkd, nm, ifupdown")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_as_it_is_written() {
        for program in HostNetworking::ALL {
            assert_eq!(program.to_string().parse(), Ok(program));
        }
        assert!("netplan".parse::<HostNetworking>().is_err());
    }
}
