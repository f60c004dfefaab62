//! What the host's files say: who answers names for it, and which names are its own.

use std::fs;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zubi_model::{ServerWord, servers_in};
use zubi_names::{HostNames, Name, PORT};

/// A file that is larger is read as far as this.
const LONGEST: usize = 1 << 20;
/// The host's list of servers.
const SERVERS: &str = "/etc/resolv.conf";
/// The host's list of names.
const HOSTS: &str = "/etc/hosts";
/// The host's own name.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// What makes a file another one.
type Mark = Option<(u64, u64, i64, i64)>;

/// The files, read again when they are others.
#[derive(Debug, Default)]
pub(crate) struct HostFiles {
    servers_mark: Mark,
    hosts_mark: (Mark, String),
    servers: Vec<SocketAddr>,
    was_read: bool,
}

impl HostFiles {
    /// The servers that the host asks.
    pub(crate) fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Reads the servers again; whether they are others.
    pub(crate) fn reread_servers(&mut self) -> bool {
        let mark = mark(SERVERS);
        if self.was_read && mark == self.servers_mark {
            return false;
        }
        (self.servers_mark, self.was_read) = (mark, true);
        let servers = servers_in(&text(SERVERS)).iter().map(socket_address).collect::<Vec<_>>();
        let are_others = servers != self.servers;
        self.servers = servers;
        are_others
    }

    /// Reads the host's names again, if they are others.
    pub(crate) fn reread_names(&mut self) -> Option<HostNames> {
        let own = text(HOSTNAME);
        let mark = (mark(HOSTS), own);
        if mark == self.hosts_mark {
            return None;
        }
        let names = names_in(&text(HOSTS), mark.1.trim());
        self.hosts_mark = mark;
        Some(names)
    }
}

fn mark(path: &str) -> Mark {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.mtime(), file.mtime_nsec()))
}

fn text(path: impl AsRef<Path>) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).into_owned()
}

/// The number of a device of the host, as a scope names it.
fn index_of(device: &str) -> Option<u32> {
    device.parse().ok().or_else(|| {
        let index = fs::read_to_string(Path::new("/sys/class/net").join(device).join("ifindex")).ok()?;
        index.trim().parse().ok()
    })
}

/// Where a server listens.
fn socket_address(server: &ServerWord) -> SocketAddr {
    match (server.address, &server.scope) {
        // An address of one link says by its scope on which.
        (IpAddr::V6(address), Some(device)) => {
            SocketAddrV6::new(address, PORT, 0, index_of(device).unwrap_or(0)).into()
        }
        (address, _) => SocketAddr::new(address, PORT),
    }
}

/// The host's names in a hosts(5).
fn names_in(text: &str, own: &str) -> HostNames {
    let mut names = HostNames::default();
    names.own.extend(own.parse::<Name>());
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let is_loopback =
            words.next().and_then(|word| word.parse::<IpAddr>().ok()).is_some_and(|address| address.is_loopback());
        if !is_loopback {
            continue;
        }
        let all: Vec<Name> = words.filter_map(|word| word.parse().ok()).collect();
        // `127.0.1.1 box.example.org box`, as Debian has it.
        if all.iter().any(|name| names.own.contains(name)) {
            names.own.extend(all);
        } else {
            names.loopback.extend(all);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_loopback_are_the_hosts_own_or_nobodys() {
        let text = "127.0.0.1 localhost dev.example.org # not this\n127.0.1.1 box.example.org box\n::1 ip6-loopback\n\
                    192.0.2.1 printer\n";
        let names = names_in(text, "box");
        let sorted = |names: &std::collections::HashSet<Name>| {
            let mut all: Vec<String> = names.iter().map(ToString::to_string).collect();
            all.sort();
            all.join(" ")
        };
        assert_eq!(sorted(&names.own), "box box.example.org");
        assert_eq!(sorted(&names.loopback), "dev.example.org ip6-loopback localhost");
    }
}
