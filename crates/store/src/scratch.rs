//! A folder for one test, removed at its end, and values to put into it.

use crate::{Dirs, ExclusiveHost, HostId, LeasesLock, Reservation, Store};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use zubi_model::{Endpoint, EndpointAddress, EndpointKey, Mac, NetnsCookie, Network};

pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("zubi-store-{}-{number}", std::process::id()));
            if fs::create_dir(&path).is_ok() {
                return Scratch(path);
            }
        }
    }

    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.0.join(below)
    }

    pub(crate) fn dirs(&self) -> Dirs {
        Dirs { state: self.path("state"), run: self.path("run") }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(self.dirs(), host("boot-1", 1)).unwrap()
    }

    /// The paths of all files below a folder, and of empty folders with a trailing slash.
    pub(crate) fn tree(&self, below: &str) -> Vec<String> {
        fn walk(folder: &Path, root: &Path, out: &mut Vec<String>) {
            let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
            paths.sort();
            if paths.is_empty() {
                out.push(format!("{}/", folder.strip_prefix(root).unwrap().display()));
            }
            for path in paths {
                if path.is_dir() {
                    walk(&path, root, out);
                } else {
                    out.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let mut out = Vec::new();
        let root = self.path(below);
        if root.exists() {
            walk(&root, &root, &mut out);
        }
        out
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

pub(crate) fn host(boot: &str, cookie: u64) -> HostId {
    HostId { boot_id: boot.into(), netns_cookie: cookie }
}

pub(crate) fn key(cookie: u64, network: &str) -> EndpointKey {
    EndpointKey { cookie: NetnsCookie(cookie), network: network.parse().unwrap() }
}

pub(crate) fn network(name: &str) -> Network {
    serde_json::from_value(serde_json::json!({
        "name": name, "id": "ab".repeat(32), "created": 1_700_000_000,
        "driver": {"kind": "bridge", "device": "zb-test", "mac": "02:42:0a:37:42:01", "icc": "allowed"},
        "pools": [
            {"subnet": "10.55.66.0/24", "gateway": "10.55.66.1", "exclude": ["10.55.66.9"]},
            {"subnet": "fd00:55::/64", "gateway": "fd00:55::1"}
        ],
        "scope": "routed", "egress": "masquerade", "labels": {"a": "b"}
    }))
    .unwrap()
}

pub(crate) fn endpoint(cookie: u64, network: &str, spelled: &str) -> Endpoint {
    serde_json::from_value(serde_json::json!({
        "id": "cd".repeat(32), "network": network, "network_id": "ab".repeat(32),
        "sandbox": {"cookie": cookie, "spelled": spelled, "reached_by": {"named": "c1"}},
        "ifname": "eth0", "mac": "02:42:0a:37:42:02",
        "device": {"kind": "pair", "host": "zv1", "bridge": "zb-test"},
        "addresses": [{"address": "10.55.66.2/24", "gateway": "10.55.66.1"}],
        "default_route": "eligible", "attached_at": cookie * 10
    }))
    .unwrap()
}

pub(crate) fn leases(store: &Store, network: &str) -> LeasesLock {
    store.lock_leases(&store.lock_host().unwrap(), &network.parse().unwrap()).unwrap()
}

pub(crate) fn reservation(owner: &str, network: &str, addresses: &[&str], mac: Option<Mac>) -> Reservation {
    let address = |text: &&str| EndpointAddress { address: text.parse().unwrap(), gateway: None };
    Reservation {
        id: None,
        owner: owner.into(),
        network: network.parse().unwrap(),
        addresses: addresses.iter().map(address).collect(),
        mac,
        names: Vec::new(),
        kept_for: None,
        made_at: 7,
    }
}

pub(crate) fn alone(store: &Store) -> ExclusiveHost {
    store.lock_host_exclusive().unwrap()
}

pub(crate) fn write(store: &Store, network: &Network) {
    store.write_network(&alone(store), network).unwrap();
}
