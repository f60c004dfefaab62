//! The DHCP client of the host that keeps the address of a network card, and by what servers recognise it.
//!
//! # Formats
//! - dhclient.leases(5), dhclient.conf(5): statements that end with a semicolon. A client id is a quoted string, in which
//!   `\123` is octal, or bytes in hex with colons between them.
//! - udhcpc (networking/udhcp/dhcpc.c of busybox) has no files. It sends type 1 and its MAC, unless `-C` or `-x` says
//!   otherwise.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zubi_model::{ClientId, IfIndex, IfName, Invalid, Mac};

/// The names of DHCP clients.
const CLIENTS: [&str; 5] = ["dhclient", "dhcpcd", "udhcpc", "busybox", "pump"];
/// The hardware type of Ethernet (RFC 1700), which a client id begins with that is a MAC.
const ETHERNET: u8 = 1;
/// The type of a client id that is made of IAID and DUID (RFC 4361, 6.1).
const NODE_SPECIFIC: u8 = 255;

/// A process that renews the lease of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResidentClient {
    pub(crate) pid: u32,
    /// The name of its program.
    pub(crate) name: String,
    /// Its command line.
    words: Vec<String>,
}

impl ResidentClient {
    /// Whether it can be ended at once: of the others one process is left that takes the address away.
    pub(crate) fn can_be_replaced(&self) -> bool {
        matches!(self.name.as_str(), "dhclient" | "udhcpc" | "busybox")
    }

    /// By what servers recognise it; `None`: by the MAC.
    pub(crate) fn id(&self, card: &IfName, mac: Mac) -> Result<Option<ClientId>, Invalid> {
        if self.name != "dhclient" {
            return id_of_udhcpc(&self.words, mac);
        }
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let usual = format!("/var/lib/dhcp/dhclient.{card}.leases");
        let leases = match self.after("-lf") {
            Some(path) => read(path),
            None => read(&usual) + &read("/var/lib/dhcp/dhclient.leases"),
        };
        let settings = read(self.after("-cf").unwrap_or("/etc/dhcp/dhclient.conf"));
        let is_by_duid = self.words.iter().any(|word| word == "-i");
        id_of_dhclient(&leases, &settings, is_by_duid, card, mac)
    }

    /// The word that follows an option.
    fn after(&self, option: &str) -> Option<&str> {
        let at = self.words.iter().position(|word| word == option)?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// Whether it is still the process that was found.
    pub(crate) fn is_there(&self) -> bool {
        name_of(self.pid) == self.name
    }
}

fn name_of(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

/// The DHCP client of a card. Most hold a packet socket on the card, since no other kind of socket hears an answer without
/// an address. udhcpc closes its own while it has a lease, so it is known by its command line.
pub(crate) fn resident_client(IfIndex(index): IfIndex, card: &IfName) -> Option<ResidentClient> {
    let sockets = fs::read_to_string("/proc/thread-self/net/packet").unwrap_or_default();
    let inodes = packet_sockets(&sockets, index);
    let here = fs::read_link("/proc/thread-self/ns/net").ok()?;
    let owner = |process: &Path| fs::metadata(process).map(|seen| seen.uid()).ok();
    let own = owner(Path::new("/proc/self"));
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let name = name_of(pid);
        let is_here = fs::read_link(entry.path().join("ns/net")).ok().as_ref() == Some(&here);
        if !CLIENTS.contains(&name.as_str()) || !is_here {
            continue;
        }
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<String> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        // A packet socket takes rights. A command line does not, so another user's program has no say by it.
        let says = owner(&entry.path()) == own && card_of_udhcpc(&words).as_deref() == Some(card.as_str());
        if says || holds(&entry.path(), &inodes) {
            return Some(ResidentClient { pid, name, words });
        }
    }
    None
}

/// Whether a process has one of these sockets open.
fn holds(process: &Path, inodes: &[u64]) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| inodes.iter().any(|inode| target.to_str() == Some(&format!("socket:[{inode}]"))))
}

/// The card of a udhcpc: `eth0` unless its command line names another.
fn card_of_udhcpc(words: &[String]) -> Option<String> {
    let is_it = |word: &String| word.rsplit('/').next() == Some("udhcpc");
    let options = &words[words.iter().take(2).position(is_it)? + 1..];
    let after = |option: &str| options.windows(2).find(|pair| pair[0] == option).map(|pair| pair[1].clone());
    let joined = |option: &str| options.iter().find_map(|word| word.strip_prefix(option)).map(str::to_owned);
    let named =
        after("-i").or_else(|| after("--interface")).or_else(|| joined("--interface=")).or_else(|| joined("-i"));
    Some(named.unwrap_or_else(|| "eth0".to_owned()))
}

/// The inodes of the packet sockets on a device: the fifth and the ninth column of packet(7)'s file.
fn packet_sockets(text: &str, index: u32) -> Vec<u64> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let of: u32 = fields.get(4)?.parse().ok()?;
        (of == index).then(|| fields.get(8)?.parse().ok()).flatten()
    };
    text.lines().filter_map(row).collect()
}

fn of_mac(mac: Mac) -> Result<ClientId, Invalid> {
    let mut bytes = vec![ETHERNET];
    bytes.extend(mac.bytes());
    bytes.try_into()
}

fn id_of_udhcpc(words: &[String], mac: Mac) -> Result<Option<ClientId>, Invalid> {
    let is_switch = |word: &String| {
        word.strip_prefix('-').is_some_and(|letters| letters.chars().all(|letter| "fbnqRBSaoCv".contains(letter)))
    };
    if words.iter().any(|word| word == "--clientid-none" || is_switch(word) && word.contains('C')) {
        return Ok(None);
    }
    let given = words.windows(2).filter(|pair| pair[0] == "-x").map(|pair| pair[1].as_str());
    let hex =
        given.filter_map(|option| option.strip_prefix("0x3d:").or_else(|| option.strip_prefix("61:"))).next_back();
    let Some(hex) = hex else { return of_mac(mac).map(Some) };
    let hex: String = hex.chars().filter(|digit| *digit != ':').collect();
    let pairs: Vec<String> = hex.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect();
    pairs.join(":").parse().map(Some)
}

/// What the server has repeated in the lease counts first, then what the settings say.
fn id_of_dhclient(
    leases: &str,
    settings: &str,
    is_by_duid: bool,
    card: &IfName,
    mac: Mac,
) -> Result<Option<ClientId>, Invalid> {
    const OPTION: &str = "option dhcp-client-identifier ";
    let interface = format!("interface \"{card}\"");
    let mut last = None;
    let mut on_card = false;
    for statement in statements(leases) {
        let statement = statement.trim_start_matches("lease {").trim();
        if statement.starts_with("interface ") {
            on_card = statement == interface;
        } else if let Some(value) = statement.strip_prefix(OPTION).filter(|_| on_card) {
            last = Some(value.to_owned());
        }
    }
    if let Some(value) = last {
        return bytes_of(&value)?.try_into().map(Some);
    }
    let sent =
        statements(settings).find_map(|line| line.strip_prefix("send dhcp-client-identifier").map(str::to_owned));
    if let Some(value) = sent {
        let value = value.trim().trim_start_matches('=').trim();
        return if value == "hardware" { of_mac(mac).map(Some) } else { bytes_of(value)?.try_into().map(Some) };
    }
    if !is_by_duid {
        return Ok(None);
    }
    let duid = statements(leases).find_map(|line| line.strip_prefix("default-duid ").map(str::to_owned));
    let Some(duid) = duid else {
        return Err(Invalid::new("client id", "of dhclient -i", "is not in its lease file, which has no default-duid"));
    };
    // The IAID is the end of the MAC (client/dhclient.c).
    let mut bytes = vec![NODE_SPECIFIC];
    bytes.extend(&mac.bytes()[2..]);
    bytes.extend(bytes_of(&duid)?);
    bytes.try_into().map(Some)
}

/// The statements of a file of dhclient's, without comments. A semicolon inside a quoted string ends none.
fn statements(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut all = vec![String::new()];
    let (mut is_quoted, mut is_escaped) = (false, false);
    for letter in lines.flat_map(|line| line.chars().chain([' '])) {
        is_quoted ^= letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        match letter {
            ';' | '}' if !is_quoted => all.push(String::new()),
            _ => all.iter_mut().rev().take(1).for_each(|statement| statement.push(letter)),
        }
    }
    all.into_iter().map(|statement| statement.trim().to_owned()).filter(|statement| !statement.is_empty())
}

/// A quoted string, or bytes in hex.
fn bytes_of(value: &str) -> Result<Vec<u8>, Invalid> {
    let unknown = || Invalid::new("client id", value, "is no string and no bytes: zubi cannot send it");
    if let Some(quoted) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return unescaped(quoted).ok_or_else(unknown);
    }
    value.split(':').map(|part| u8::from_str_radix(part, 16).map_err(|_| unknown())).collect()
}

fn unescaped(quoted: &str) -> Option<Vec<u8>> {
    let mut bytes = quoted.bytes().peekable();
    let mut all = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            all.push(byte);
            continue;
        }
        let mut value = 0u32;
        let mut digits = 0;
        while let Some(digit) = bytes.next_if(|next| digits < 3 && (b'0'..=b'7').contains(next)) {
            value = value * 8 + u32::from(digit - b'0');
            digits += 1;
        }
        all.push(if digits == 0 { bytes.next()? } else { u8::try_from(value).ok()? });
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASES: &str = r#"
        default-duid "\000\001\000\001+\241\017\340RT\000\000\000\005";
        lease {
          interface "eth1";
          option dhcp-client-identifier 1:2:3;
        }
        lease {
          interface "eth0";
          fixed-address 192.168.1.50;
          option domain-name "a;b";
          option dhcp-client-identifier ff:0:0:0:5:0:1;
          renew 1 2026/11/30 11:00:00;
        }
    "#;

    fn mac() -> Mac {
        "52:54:00:00:00:05".parse().unwrap()
    }

    fn of_dhclient(leases: &str, settings: &str, is_by_duid: bool) -> Option<String> {
        let id = id_of_dhclient(leases, settings, is_by_duid, &"eth0".parse().unwrap(), mac()).unwrap();
        id.map(|id| id.to_string())
    }

    fn of_udhcpc(line: &str) -> Option<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        id_of_udhcpc(&words, mac()).unwrap().map(|id| id.to_string())
    }

    #[test]
    fn packet_sockets_are_found_by_the_device() {
        let text = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n\
                    ffff888 3      3    0003   2     1 0      0      17071 \n\
                    ffff889 3      2    0800   3     1 0      0      17072\n";
        assert_eq!(packet_sockets(text, 2), [17071]);
        assert!(packet_sockets(text, 4).is_empty());
    }

    #[test]
    fn dhclient_has_the_id_of_its_lease_of_its_settings_or_none() {
        assert_eq!(of_dhclient(LEASES, "", false).as_deref(), Some("ff:00:00:00:05:00:01"));
        assert_eq!(
            of_dhclient("", "#send dhcp-client-identifier 1:0:a0;\nsend host-name = gethostname();", false),
            None
        );
        let settings = "send dhcp-client-identifier 1:0:a0;";
        assert_eq!(of_dhclient("", settings, false).as_deref(), Some("01:00:a0"));
        let hardware = "send dhcp-client-identifier = hardware;";
        assert_eq!(of_dhclient("", hardware, false).as_deref(), Some("01:52:54:00:00:00:05"));
        let text = r#"send dhcp-client-identifier "na\163\";";"#;
        assert_eq!(of_dhclient("", text, false).as_deref(), Some("6e:61:73:22:3b"));
        let duid = LEASES.replace("option dhcp-client-identifier", "option other");
        let by_duid = "ff:00:00:00:05:00:01:00:01:2b:a1:0f:e0:52:54:00:00:00:05";
        assert_eq!(of_dhclient(&duid, "", true).as_deref(), Some(by_duid));
        let unknown = "send dhcp-client-identifier = concat(1, hardware);";
        assert!(id_of_dhclient("", unknown, false, &"eth0".parse().unwrap(), mac()).is_err());
    }

    #[test]
    fn the_card_of_a_udhcpc_stands_on_its_command_line() {
        let card = |line: &str| card_of_udhcpc(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(card("/sbin/udhcpc -b -i wan0 -s x").as_deref(), Some("wan0"));
        assert_eq!(card("busybox udhcpc --interface=wan0").as_deref(), Some("wan0"));
        assert_eq!(card("udhcpc").as_deref(), Some("eth0"));
        assert_eq!(card("busybox sh -c udhcpc"), None);
    }

    #[test]
    fn udhcpc_sends_its_mac_unless_its_command_line_says_otherwise() {
        assert_eq!(of_udhcpc("udhcpc -i eth0 -s /usr/share/udhcpc/Cscript").as_deref(), Some("01:52:54:00:00:00:05"));
        assert_eq!(of_udhcpc("udhcpc -bC -i eth0"), None);
        assert_eq!(of_udhcpc("udhcpc -x hostname:nas -x 0x3d:ff0a1b").as_deref(), Some("ff:0a:1b"));
    }
}
