//! Records of networks. Those of users survive a reboot; those of described networks do not.

use crate::disk::{self, Draft, Durability};
use crate::key::{json_in, stem};
use crate::versioned::{from_json, to_json};
use crate::{ExclusiveHost, LeaseOwner, Store, StoreError};
use std::path::{Path, PathBuf};
use zubi_model::{EndpointKey, Network, NetworkName, NetworkSource};

/// The record of a network, complete on disk but not visible yet. It is deleted with the value, unless it is published.
#[derive(Debug)]
pub struct NetworkDraft {
    network: Network,
    draft: Draft,
}

impl NetworkDraft {
    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }
}

/// A published record. A power failure may bring back the earlier one, or none.
#[derive(Debug)]
#[must_use = "without `Store::sync` it may not survive a power failure"]
pub struct Unsynced {
    path: PathBuf,
    durability: Durability,
}

impl Store {
    /// The network of that name; `None` when there is none.
    pub fn network(&self, name: &NetworkName) -> Result<Option<Network>, StoreError> {
        let path = self.network_path(name);
        read(name, &path).map_err(|e| match before(&path) {
            // Offer the earlier version only if it can be read.
            kept if matches!(read(name, &kept), Ok(Some(_))) => e.and_next(&format!(
                "the version before it is whole, and this puts it back: cp {} {}",
                quoted(&kept),
                quoted(&path)
            )),
            _ => e,
        })
    }

    /// All networks by name; fails if one cannot be read.
    pub fn networks(&self) -> Result<Vec<Network>, StoreError> {
        self.each_network()?.into_iter().collect()
    }

    /// All networks that can be read, by name, and the errors of the others.
    pub fn networks_lossy(&self) -> (Vec<Network>, Vec<StoreError>) {
        match self.each_network() {
            Err(e) => (Vec::new(), vec![e]),
            Ok(each) => {
                let (mut good, mut bad) = (Vec::new(), Vec::new());
                for one in each {
                    match one {
                        Ok(network) => good.push(network),
                        Err(e) => bad.push(e),
                    }
                }
                (good, bad)
            }
        }
    }

    /// Writes a network's record, and replaces an earlier version. On return the record survives a power failure. Fails
    /// if the existing file cannot be read, and leaves it unchanged.
    pub fn write_network(&self, host: &ExclusiveHost, network: &Network) -> Result<(), StoreError> {
        let draft = self.draft_network(network)?;
        let unsynced = self.publish_network(host, draft)?;
        self.sync(unsynced)
    }

    /// The slow half of [`Store::write_network`]. The draft is invisible, so no lock is needed.
    pub fn draft_network(&self, network: &Network) -> Result<NetworkDraft, StoreError> {
        let path = self.network_path(&network.name);
        let content = to_json(&path, network)?;
        let draft = self.disk.draft(path, content, durability(&network.name))?;
        Ok(NetworkDraft { network: network.clone(), draft })
    }

    /// Publishes a draft. Keeps the earlier version next to it, as `NAME.json~`.
    pub fn publish_network(&self, _host: &ExclusiveHost, draft: NetworkDraft) -> Result<Unsynced, StoreError> {
        let NetworkDraft { network, draft } = draft;
        let path = self.network_path(&network.name);
        match self.network(&network.name)? {
            Some(earlier) if earlier == network => {}
            Some(_) => drop(self.disk.keep(&path, &before(&path))?),
            // An earlier version of another network of that name.
            None => drop(self.disk.remove(&before(&path), Durability::Boot)?),
        }
        self.disk.publish(draft)?;
        Ok(Unsynced { path, durability: durability(&network.name) })
    }

    /// Makes a published record survive a power failure. This is slow and needs no lock.
    pub fn sync(&self, unsynced: Unsynced) -> Result<(), StoreError> {
        let Unsynced { path, durability } = unsynced;
        self.disk.sync_above(&path, durability)
    }

    /// Records that a network is about to be created, changed or removed. If a process with the exclusive host lock
    /// finds such a record, the process that wrote it was killed.
    pub fn begin_network(&self, _host: &ExclusiveHost, network: &Network) -> Result<(), StoreError> {
        let path = self.making_path(&network.name);
        self.disk.replace(&path, &to_json(&path, network)?, Durability::Boot)
    }

    /// Removes the record of [`Store::begin_network`]: the network is now complete and recorded, or completely removed.
    pub fn end_network(&self, _host: &ExclusiveHost, name: &NetworkName) -> Result<(), StoreError> {
        self.disk.remove(&self.making_path(name), Durability::Boot)?;
        Ok(())
    }

    /// Whether a network is being created, changed or removed.
    pub fn is_in_making(&self, name: &NetworkName) -> bool {
        self.making_path(name).exists()
    }

    /// The networks that are being created, changed or removed, and the errors of the files that cannot be read or are
    /// not named after their network.
    pub fn networks_in_making_lossy(&self) -> (Vec<Network>, Vec<StoreError>) {
        let folder = self.disk.run().join("making");
        disk::read_each(&folder, |file| match stem(file).and_then(|stem| stem.parse().ok()) {
            Some(name) => read(&name, &folder.join(file)),
            None => Err(StoreError::unreadable(&folder.join(file), "is not named as NETWORK.json")),
        })
    }

    /// Removes a network's record; it may be missing. Fails if the file cannot be read, and leaves it unchanged.
    pub fn remove_network(&self, _host: &ExclusiveHost, name: &NetworkName) -> Result<(), StoreError> {
        self.network(name)?;
        let path = self.network_path(name);
        // This comes first: without the record no command would ever remove the earlier version.
        self.disk.remove(&before(&path), Durability::Boot)?;
        self.disk.remove(&path, durability(name))?;
        Ok(())
    }

    /// Removes the remaining files of a network from `run`: names, cursors, locks and empty folders.
    ///
    /// Fails with [`StoreError::StillOwned`], and removes nothing, if endpoints own addresses or MACs on the network.
    /// Reservations do not depend on the network's record: as long as there are any, leases, MACs and their lock stay.
    /// A lock that the caller itself holds stays too.
    pub fn forget_network(&self, _host: &ExclusiveHost, network: &NetworkName) -> Result<(), StoreError> {
        let mut owners: Vec<LeaseOwner> = self.leases(network)?.into_iter().map(|(_, owner)| owner).collect();
        owners.extend(self.macs(network)?.into_iter().map(|(_, owner)| owner));
        let is_reserved =
            self.has_reservations(network)? || owners.iter().any(|owner| matches!(owner, LeaseOwner::Reservation(_)));
        let of_endpoint = |owner| if let LeaseOwner::Endpoint(key) = owner { Some(key) } else { None };
        let keys: Vec<EndpointKey> = owners.into_iter().filter_map(of_endpoint).collect();
        if let Some(owner) = keys.first() {
            return Err(StoreError::StillOwned { network: network.clone(), count: keys.len(), owner: owner.clone() });
        }
        let clear = |kind: &str| self.disk.clear(&self.disk.run().join(kind).join(network.as_str()));
        clear("names")?;
        self.remove_free_lock(&self.names_lock_path(network))?;
        if is_reserved {
            return Ok(());
        }
        clear("leases")?;
        clear("macs")?;
        self.remove_free_lock(&self.leases_lock_path(network))
    }

    fn each_network(&self) -> Result<Vec<Result<Network, StoreError>>, StoreError> {
        let mut each: Vec<(String, Result<Network, StoreError>)> = Vec::new();
        for folder in [self.disk.state(), self.disk.run()].map(|base| base.join("networks")) {
            let files = disk::list(&folder)?;
            each.extend(files.iter().filter_map(|file| stem(file)).filter_map(|stem| {
                let read = match stem.parse::<NetworkName>() {
                    Ok(name) if json_in(&folder, stem) != self.network_path(&name) => {
                        Err(StoreError::unreadable(&json_in(&folder, stem), "is in the wrong folder"))
                    }
                    Ok(name) => self.network(&name).transpose()?,
                    Err(e) => Err(StoreError::unreadable(&json_in(&folder, stem), &e.to_string())),
                };
                Some((stem.to_owned(), read))
            }));
        }
        // One that is not confirmed has all that a network has.
        for network in self.unconfirmed_lossy() {
            each.push((network.name.to_string(), Ok(network)));
        }
        // Files sort `a-b.json` before `a.json`; names sort `a` before `a-b`.
        each.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(each.into_iter().map(|(_, read)| read).collect())
    }

    /// The networks with a network card of the host that are complete and not confirmed. They are in `making/`.
    pub fn unconfirmed_lossy(&self) -> Vec<Network> {
        let waits = |name: &NetworkName| {
            self.takeover(name).ok().flatten().is_some_and(|record| record.until.is_some()) && self.is_in_making(name)
        };
        let names = self.takeovers_lossy().0.into_iter().map(|record| record.network).filter(waits);
        names.filter_map(|name| read(&name, &self.making_path(&name)).ok().flatten()).collect()
    }

    /// The described networks without an endpoint, including half made and half removed ones.
    pub fn empty_described(&self) -> Result<Vec<NetworkName>, StoreError> {
        let mut empty = Vec::new();
        for folder in ["networks", "making"] {
            for file in disk::list(&self.disk.run().join(folder))? {
                let Some(Ok(name)) = stem(&file).map(str::parse::<NetworkName>) else { continue };
                if name.source().is_some() && !empty.contains(&name) && self.is_empty(&name)? {
                    empty.push(name);
                }
            }
        }
        Ok(empty)
    }

    fn making_path(&self, name: &NetworkName) -> PathBuf {
        json_in(&self.disk.run().join("making"), name.as_str())
    }

    fn network_path(&self, name: &NetworkName) -> PathBuf {
        json_in(&self.networks_folder(name.source()), name.as_str())
    }

    /// A described network need not survive a reboot.
    fn networks_folder(&self, source: Option<NetworkSource>) -> PathBuf {
        let base = if source.is_some() { self.disk.run() } else { self.disk.state() };
        base.join("networks")
    }
}

fn read(name: &NetworkName, path: &Path) -> Result<Option<Network>, StoreError> {
    let Some(content) = disk::read(path)? else { return Ok(None) };
    let network: Network = from_json(path, &content)?;
    if network.name != *name {
        return Err(StoreError::unreadable(path, &format!("holds network {}", network.name)));
    }
    Ok(Some(network))
}

/// The path of the version before the one at `path`: names of networks contain no `~`.
fn before(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("~");
    name.into()
}

/// One word for a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn durability(name: &NetworkName) -> Durability {
    if name.source().is_some() { Durability::Boot } else { Durability::Forever }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, alone, endpoint, leases, network, reservation, write};
    use std::fs;

    #[test]
    fn a_network_in_making_is_no_network_yet() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue = network("blue");
        let host = alone(&store);
        store.begin_network(&host, &blue).unwrap();
        assert_eq!(store.networks_in_making_lossy().0, std::slice::from_ref(&blue));
        assert!(store.networks().unwrap().is_empty());
        store.end_network(&host, &blue.name).unwrap();
        store.end_network(&host, &blue.name).unwrap();
        assert!(store.networks_in_making_lossy().0.is_empty());
    }

    #[test]
    fn a_file_in_making_that_is_not_named_after_its_content_is_reported() {
        let scratch = Scratch::new();
        let store = scratch.store();
        store.begin_network(&alone(&store), &network("blue")).unwrap();
        let folder = scratch.path("run/making");
        fs::copy(folder.join("blue.json"), folder.join("green.json")).unwrap();
        fs::write(folder.join("red.json"), "{").unwrap();
        let (good, bad) = store.networks_in_making_lossy();
        assert_eq!((good.as_slice(), bad.len()), (std::slice::from_ref(&network("blue")), 2));
        assert!(bad[0].to_string().contains("making/green.json: holds network blue"), "{}", bad[0]);
    }

    #[test]
    fn the_version_before_is_kept_and_named_when_the_record_cannot_be_read() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let mut blue = network("blue");
        write(&store, &blue);
        assert_eq!(scratch.tree("state"), ["networks/blue.json"]);
        blue.labels.clear();
        write(&store, &blue);
        write(&store, &blue);
        assert_eq!(scratch.tree("state"), ["networks/blue.json", "networks/blue.json~"]);
        assert_eq!(store.networks().unwrap(), std::slice::from_ref(&blue));

        let path = scratch.path("state/networks/blue.json");
        fs::write(&path, "{").unwrap();
        let error = store.network(&blue.name).unwrap_err().to_string();
        let (_, command) = error.split_once("this puts it back: ").expect(&error);
        assert!(store.networks_lossy().1[0].to_string().contains(command));
        assert!(store.write_network(&alone(&store), &blue).is_err());
        assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success());
        assert_eq!(store.network(&blue.name).unwrap(), Some(network("blue")));

        // A damaged earlier version is not offered.
        fs::write(scratch.path("state/networks/blue.json~"), "{").unwrap();
        fs::write(&path, "{").unwrap();
        assert!(!store.network(&blue.name).unwrap_err().to_string().contains("puts it back"));
        fs::remove_file(&path).unwrap();
        write(&store, &blue);
        assert_eq!(scratch.tree("state"), ["networks/blue.json"]);
        write(&store, &network("blue"));
        store.remove_network(&alone(&store), &blue.name).unwrap();
        assert_eq!(scratch.tree("state"), ["networks/"]);
    }

    #[test]
    fn a_draft_is_invisible_until_it_is_published() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let draft = store.draft_network(&network("blue")).unwrap();
        assert!(store.networks().unwrap().is_empty());
        drop(draft);
        assert_eq!(scratch.tree("state"), ["networks/"]);
        let draft = store.draft_network(&network("blue")).unwrap();
        // Cleaning up takes it for a leftover.
        assert_eq!(store.remove_leftovers().unwrap(), 1);
        let unsynced = store.publish_network(&alone(&store), draft).unwrap();
        store.sync(unsynced).unwrap();
        assert_eq!(store.networks().unwrap(), [network("blue")]);
        assert_eq!(scratch.tree("state"), ["networks/blue.json"]);
    }

    #[test]
    fn a_network_reads_back_as_written() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue = "blue".parse().unwrap();
        assert_eq!(store.network(&blue).unwrap(), None);
        write(&store, &network("blue"));
        assert_eq!(store.network(&blue).unwrap(), Some(network("blue")));
        let text = fs::read_to_string(scratch.path("state/networks/blue.json")).unwrap();
        assert!(text.contains("\",\"name\":\"blue\",") && text.ends_with("}\n"), "{text}");
        store.remove_network(&alone(&store), &blue).unwrap();
        store.remove_network(&alone(&store), &blue).unwrap();
        assert_eq!(scratch.tree("state"), ["networks/"]);
    }

    #[test]
    fn networks_come_sorted_by_name_and_foreign_files_are_ignored() {
        let scratch = Scratch::new();
        let store = scratch.store();
        assert!(store.networks().unwrap().is_empty());
        for name in ["b", "a-b", "a", "x.json"] {
            write(&store, &network(name));
        }
        fs::write(scratch.path("state/networks/README"), "x").unwrap();
        fs::write(scratch.path("state/networks/.tmp-1-1"), "x").unwrap();
        let names: Vec<String> = store.networks().unwrap().into_iter().map(|n| n.name.to_string()).collect();
        assert_eq!(names, ["a", "a-b", "b", "x.json"]);
    }

    #[test]
    fn a_file_cut_off_anywhere_is_reported_and_kept() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue: NetworkName = "blue".parse().unwrap();
        write(&store, &network("blue"));
        let path = scratch.path("state/networks/blue.json");
        let whole = fs::read(&path).unwrap();
        let host = alone(&store);
        for length in 0..whole.len() - 1 {
            fs::write(&path, &whole[..length]).unwrap();
            for outcome in [
                store.network(&blue).map(drop),
                store.networks().map(drop),
                store.write_network(&host, &network("blue")),
                store.remove_network(&host, &blue),
            ] {
                let error = outcome.unwrap_err().to_string();
                let why = if length == 0 { "is empty" } else { "is cut off" };
                assert!(error.contains("networks/blue.json") && error.contains(why), "{length}: {error}");
                assert!(error.contains("nothing was changed"), "{error}");
            }
            assert_eq!(fs::read(&path).unwrap(), &whole[..length]);
        }
    }

    #[test]
    fn one_bad_file_does_not_hide_the_others() {
        let scratch = Scratch::new();
        let store = scratch.store();
        write(&store, &network("good"));
        let folder = scratch.path("state/networks");
        let good = fs::read_to_string(folder.join("good.json")).unwrap();
        let mut host_bits = serde_json::to_value(network("host-bits")).unwrap();
        host_bits["pools"][0]["subnet"] = "10.55.66.7/24".into();
        let host_bits = String::from_utf8(to_json(&folder, &host_bits).unwrap()).unwrap();
        for (file, content, why) in [
            ("newer.json", "{\"version\":4,\"what\":[]}", "has format version 4, this zubi knows up to 3"),
            ("older.json", "{\"version\":2,\"sum\":\"0\"}", "has format version 2"),
            ("zero.json", "{\"version\":0}", "version 0"),
            ("none.json", "{\"name\":\"none\"}", "missing field `version`"),
            ("text.json", "hello", "is damaged"),
            ("renamed.json", good.as_str(), "holds network good"),
            ("a b.json", good.as_str(), "network name `a b`"),
            ("changed.json", &good.replace("10.55.66.0/24", "10.55.66.0/25"), "does not match its sum"),
            ("host-bits.json", host_bits.as_str(), "did you mean 10.55.66.0/24?"),
        ] {
            fs::write(folder.join(file), content).unwrap();
            let (networks, errors) = store.networks_lossy();
            assert_eq!(networks, [network("good")]);
            let text = errors[0].to_string();
            assert!(errors.len() == 1 && text.contains(file) && text.contains(why), "{text}");
            assert!(store.networks().is_err());
            fs::remove_file(folder.join(file)).unwrap();
        }
    }

    #[test]
    fn a_network_with_leases_is_not_forgotten() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let e = endpoint(5, "blue", "c1");
        let address = "10.55.66.2".parse().unwrap();
        let (held, owner) = (leases(&store, "blue"), LeaseOwner::Endpoint(e.key()));
        store.claim(&held, address, &owner).unwrap();
        store.set_cursor(&held, 0, address).unwrap();
        drop(held);
        store.write_name(&e).unwrap();
        let before = scratch.tree("run");
        let error = store.forget_network(&alone(&store), &e.network).unwrap_err().to_string();
        assert!(error.contains("1 addresses or MACs on it are still owned, the first by endpoint 5.blue"), "{error}");
        assert_eq!(scratch.tree("run"), before);

        store.release(&e.network, address, &owner).unwrap();
        store.forget_network(&alone(&store), &e.network).unwrap();
        store.forget_network(&alone(&store), &e.network).unwrap();
        assert_eq!(scratch.tree("run"), ["host.json", "leases/", "lock/host", "names/"]);
    }

    #[test]
    fn reservations_stay_when_a_network_is_forgotten() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let (e, held) = (endpoint(5, "cni:blue", "c1"), leases(&store, "cni:blue"));
        let mac = "02:42:0a:37:42:03".parse().unwrap();
        let r = reservation("c2@eth0", "cni:blue", &["10.55.66.3/24"], Some(mac));
        assert_eq!(store.reserve(&held, &r).unwrap(), crate::Reserved::Done);
        store.write_name(&e).unwrap();
        write(&store, &network("cni:blue"));
        assert_eq!(store.empty_described().unwrap(), std::slice::from_ref(&e.network));
        drop(held);
        store.forget_network(&alone(&store), &e.network).unwrap();
        assert!(scratch.path("run/lock/leases-cni:blue").exists() && !scratch.path("run/names/cni:blue").exists());
        assert_eq!(store.reservations(&e.network).unwrap(), [r]);
        assert_eq!((store.leases(&e.network).unwrap().len(), store.macs(&e.network).unwrap().len()), (1, 1));

        store.unreserve(&leases(&store, "cni:blue"), "c2@eth0").unwrap();
        store.forget_network(&alone(&store), &e.network).unwrap();
        assert!(!scratch.path("run/leases/cni:blue").exists() && !scratch.path("run/lock/leases-cni:blue").exists());
    }
}
