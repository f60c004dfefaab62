//! Leases that other programs have written down: CNI's host-local, libvirt, and dnsmasq by whomever it was started.
//!
//! # Formats
//! - host-local: a file for each address, called like it, in a folder for each network; its first line is the
//!   container's id (plugins/ipam/host-local/backend/disk/backend.go).
//! - libvirt: a JSON array for each bridge (src/util/virlease.c).
//! - dnsmasq: a line for each lease: the time at which it ends in seconds of the epoch, 0 for never; MAC or IAID;
//!   address; name or `*`; client id. A line `duid` divides both families (lease_update_file in src/lease.c).
//!
//! # Limits
//! Only the folders below are looked at. A file that is not there has no leases; one that cannot be read is named in a
//! note.

use serde::Deserialize;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use zubi_model::visible;

/// host-local's folder, unless a configuration names another.
const HOST_LOCAL: &str = "/var/lib/cni/networks";
/// libvirt's folder.
const LIBVIRT: &str = "/var/lib/libvirt/dnsmasq";
/// Where dnsmasq's files are: of libvirt before 1.2.6, of Debian and LXC, of Fedora.
const DNSMASQ: [&str; 3] = [LIBVIRT, "/var/lib/misc", "/var/lib/dnsmasq"];
/// The largest file that is read, as in libvirt.
const MOST_BYTES: u64 = 32 << 20;

/// An address that another program has given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) address: IpAddr,
    /// Who has it, in the program's words. host-local's files say it themselves.
    holder: Option<String>,
    file: PathBuf,
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first_line = || Some(fs::read_to_string(&self.file).ok()?.lines().next()?.trim().to_owned());
        let holder = self.holder.clone().or_else(first_line).unwrap_or_default();
        write!(f, "{} ({})", visible(&holder), visible(&self.file.display().to_string()))
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    pub(crate) all: Vec<Lease>,
    /// The files that could not be read, with the reason.
    pub(crate) unread: Vec<String>,
}

/// The leases that are valid `now`, in seconds of the epoch.
pub(crate) fn leases(now: u64) -> Leases {
    let mut leases = Leases::default();
    for network in leases.list(Path::new(HOST_LOCAL)) {
        for file in leases.list(&network) {
            leases.all.extend(of_host_local(file));
        }
    }
    for folder in DNSMASQ {
        for file in leases.list(Path::new(folder)) {
            let parse = match file.extension().and_then(|end| end.to_str()) {
                Some("leases") => of_dnsmasq,
                Some("status") if folder == LIBVIRT => of_libvirt,
                _ => continue,
            };
            leases.read(&file, |text| parse(text, &file, now));
        }
    }
    leases
}

impl Leases {
    /// The entries of a folder; none for a file and for what is not there.
    fn list(&mut self, folder: &Path) -> Vec<PathBuf> {
        match fs::read_dir(folder) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
            Err(e) => {
                self.note(folder, &e);
                Vec::new()
            }
        }
    }

    fn read(&mut self, file: &Path, parse: impl FnOnce(&str) -> io::Result<Vec<Lease>>) {
        let read = || {
            let mut text = String::new();
            File::open(file)?.take(MOST_BYTES).read_to_string(&mut text)?;
            parse(&text)
        };
        match read() {
            Ok(found) => self.all.extend(found),
            Err(e) => self.note(file, &e),
        }
    }

    fn note(&mut self, path: &Path, error: &io::Error) {
        if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
            self.unread.push(format!("{}: {error}", path.display()));
        }
    }
}

/// The lease that a file is. Others beside them are host-local's own: `lock`, `last_reserved_ip.0`.
fn of_host_local(file: PathBuf) -> Option<Lease> {
    let address = file.file_name()?.to_str()?.parse().ok()?;
    Some(Lease { address, holder: None, file })
}

/// One lease of libvirt. An end that is missing is never.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Libvirt {
    ip_address: Option<IpAddr>,
    mac_address: Option<String>,
    hostname: Option<String>,
    #[serde(default)]
    expiry_time: u64,
}

fn of_libvirt(text: &str, file: &Path, now: u64) -> io::Result<Vec<Lease>> {
    // As after libvirt's first start.
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let all: Vec<Libvirt> = serde_json::from_str(text)?;
    let lease = |lease: Libvirt| {
        let holder = lease.hostname.or(lease.mac_address).unwrap_or_default();
        is_valid(lease.expiry_time, now).then_some(Lease {
            address: lease.ip_address?,
            holder: Some(holder),
            file: file.to_owned(),
        })
    };
    Ok(all.into_iter().filter_map(lease).collect())
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside of_libvirt")]
fn of_dnsmasq(text: &str, file: &Path, now: u64) -> io::Result<Vec<Lease>> {
    let lease = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (ends, mac, address) = (fields.next()?.parse().ok()?, fields.next()?, fields.next()?.parse().ok()?);
        let holder = fields.next().filter(|name| *name != "*").unwrap_or(mac).to_owned();
        is_valid(ends, now).then(|| Lease { address, holder: Some(holder), file: file.to_owned() })
    };
    Ok(text.lines().filter_map(lease).collect())
}

fn is_valid(ends: u64, now: u64) -> bool {
    ends == 0 || ends > now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(leases: &[Lease]) -> Vec<String> {
        leases.iter().map(|lease| format!("{} {lease}", lease.address)).collect()
    }

    #[test]
    fn a_line_of_dnsmasq_is_a_lease_until_it_ends() {
        let text = "\
            1500 02:00:00:00:00:05 10.1.0.5 vm5 01:02:00:00:00:00:05\n\
            0 06-02:00:00:00:00:06 10.1.0.6 * *\n\
            900 02:00:00:00:00:07 10.1.0.7 ended *\n\
            duid 00:01:00:01:2a:bb\n\
            1500 1234567 fd00::5 vm5 00:01:02\n\
            nonsense\n";
        let found = of_dnsmasq(text, Path::new("/f.leases"), 1000).unwrap();
        let wanted =
            ["10.1.0.5 vm5 (/f.leases)", "10.1.0.6 06-02:00:00:00:00:06 (/f.leases)", "fd00::5 vm5 (/f.leases)"];
        assert_eq!(words(&found), wanted);
    }

    #[test]
    fn an_object_of_libvirt_is_a_lease_until_it_ends() {
        let text = r#"[
            {"ip-address": "10.1.0.5", "mac-address": "52:54:00:00:00:05", "hostname": "vm5", "expiry-time": 1500},
            {"ip-address": "10.1.0.6", "mac-address": "52:54:00:00:00:06", "client-id": "ff:00"},
            {"ip-address": "10.1.0.7", "mac-address": "52:54:00:00:00:07", "expiry-time": 900}
        ]"#;
        let found = of_libvirt(text, Path::new("/br0.status"), 1000).unwrap();
        assert_eq!(words(&found), ["10.1.0.5 vm5 (/br0.status)", "10.1.0.6 52:54:00:00:00:06 (/br0.status)"]);
        assert_eq!(of_libvirt("\n", Path::new("/f"), 0).unwrap(), []);
        assert!(of_libvirt("{", Path::new("/f"), 0).is_err());
    }

    #[test]
    fn of_host_local_only_files_that_are_called_like_addresses_are_leases() {
        let of = |name: &str| of_host_local(Path::new("/cni/blue").join(name)).map(|lease| lease.address.to_string());
        assert_eq!(of("10.1.0.5").as_deref(), Some("10.1.0.5"));
        assert_eq!(of("fd00::5").as_deref(), Some("fd00::5"));
        assert_eq!((of("last_reserved_ip.0"), of("lock")), (None, None));
    }
}
