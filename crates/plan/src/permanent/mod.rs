//! The permanent form of a bridge with a network card: files by which the host's own program makes at boot what zubi has
//! made by hand.
//!
//! # How it works
//! [`OnBridge`] says what the host has on the bridge. [`Host`] sorts that into what each program has a word for: of each
//! family a method, addresses, a gateway and further routes. One file per program turns it into [`ConfigFile`]s, which
//! are printed as commands that write them. The files take effect at the next boot.
//!
//! A bridge that was made that way has no mark of zubi's; see [`take_from_host`](crate::driver::take_from_host).
//!
//! # Limits
//! What a program has no word for is named in a comment: policy rules, and addresses and routes with rare options.
//! VLANs are not in the form: zubi adds them to the bridge.

mod host;
mod ifupdown;
mod networkd;
mod nm;

use host::Host;
use std::fmt;
use zubi_model::{HostNetworking, IfName};
use zubi_wire::shell_word;

pub use host::{ConfigFile, OnBridge};

/// The files that make a bridge at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permanent {
    /// The files.
    pub files: Vec<ConfigFile>,
    /// What to know before they are written.
    pub notes: Vec<String>,
}

impl Permanent {
    /// The files by which `program` makes the bridge of a network; `None` for a network without a card.
    pub fn new(program: HostNetworking, on: &OnBridge<'_>) -> Option<Permanent> {
        let part = on.network.bridge()?;
        let host = Host::new(on, part, part.parent.as_ref()?);
        let files = match program {
            HostNetworking::Networkd => networkd::files(&host),
            HostNetworking::NetworkManager => nm::files(&host),
            HostNetworking::Ifupdown => ifupdown::files(&host),
        };
        let files: Vec<ConfigFile> = files.into_iter().chain(settings(&host)).collect();
        let (bridge, card) = (host.bridge, host.card);
        let mut notes =
            vec![format!("As root. From the next boot on, the host makes {bridge} itself; nothing changes now.")];
        notes.extend(match program {
            HostNetworking::Networkd => networkd::notes(&host),
            HostNetworking::NetworkManager => Vec::new(),
            HostNetworking::Ifupdown => ifupdown::notes(&host),
        });
        if program != HostNetworking::Ifupdown {
            notes.extend(host.beyond.iter().map(|command| format!("Not in these files: {command}")));
        }
        let paths: Vec<String> = files.iter().map(|file| shell_word(&file.path)).collect();
        notes.push(format!(
            "To have {card} without a bridge again: zubi network rm {}, then rm {}",
            on.network.name,
            paths.join(" ")
        ));
        Some(Permanent { files, notes })
    }
}

/// Where each program's files for a bridge are.
pub fn paths(bridge: &IfName, card: &IfName) -> Vec<String> {
    let of_programs =
        [networkd::paths(bridge, card).to_vec(), nm::paths(bridge, card).to_vec(), vec![ifupdown::path(bridge)]];
    of_programs.into_iter().flatten().chain([path_of_settings(bridge)]).collect()
}

/// As commands of a shell that write the files.
impl fmt::Display for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "# {note}")?;
        }
        for ConfigFile { path, mode, text } in &self.files {
            writeln!(f, "install -D -m {mode:o} /dev/stdin {} <<'END'\n{text}END", shell_word(path))?;
        }
        Ok(())
    }
}

fn path_of_settings(bridge: &IfName) -> String {
    format!("/etc/sysctl.d/90-{bridge}.conf")
}

/// Udev applies these when the bridge appears.
fn settings(host: &Host<'_>) -> Option<ConfigFile> {
    let line = |(family, name, value): &&(String, String, String)| {
        format!("net.{family}.conf.{}.{name} = {value}\n", sysctl_word(host.bridge))
    };
    let text: String = host.settings.iter().map(line).collect();
    (!text.is_empty()).then(|| ConfigFile { path: path_of_settings(host.bridge), mode: 0o644, text })
}

/// sysctl(8) takes a dot in a name as a slash, and the reverse.
fn sysctl_word(device: &IfName) -> String {
    device.as_str().replace('.', "/")
}

#[cfg(test)]
mod tests;
