//! Networks, which outlive the boot.

use crate::disk::{self, Draft, Durability};
use crate::key::{json_in, stem};
use crate::versioned::{from_json, to_json};
use crate::{Store, StoreError};
use std::path::{Path, PathBuf};
use zubi_model::{EndpointKey, Network, NetworkName, NetworkSource};

/// The record of a network, complete on the disk and not yet in its place. Unless it is published it goes away with the
/// value.
#[derive(Debug)]
pub struct NetworkDraft {
    network: Network,
    draft: Draft,
}

impl NetworkDraft {
    /// What it says.
    pub fn network(&self) -> &Network {
        &self.network
    }
}

/// A record that is in its place, and may be gone from there, or what it was before, after a power failure.
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
            // Only a whole one helps.
            kept if matches!(read(name, &kept), Ok(Some(_))) => e.and_next(&format!(
                "the version before it is whole, and this puts it back: cp {} {}",
                quoted(&kept),
                quoted(&path)
            )),
            _ => e,
        })
    }

    /// All networks by name; fails when one cannot be read.
    pub fn networks(&self) -> Result<Vec<Network>, StoreError> {
        self.each_network()?.into_iter().collect()
    }

    /// All networks that can be read by name, and what is wrong with the others.
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

    /// Writes a network down, in the place of an earlier version. On return it survives a power failure. A file
    /// that is there and cannot be read is left alone.
    pub fn write_network(&self, network: &Network) -> Result<(), StoreError> {
        let draft = self.draft_network(network)?;
        let unsynced = self.publish_network(draft)?;
        self.sync(unsynced)
    }

    /// The slow half of [`Store::write_network`]: nobody sees it, so it needs no lock.
    pub fn draft_network(&self, network: &Network) -> Result<NetworkDraft, StoreError> {
        let path = self.network_path(&network.name);
        let content = to_json(&path, network)?;
        let draft = self.disk.draft(path, content, durability(&network.name))?;
        Ok(NetworkDraft { network: network.clone(), draft })
    }

    /// Puts a draft in its place. The version before is kept beside it, as `NAME.json~`.
    pub fn publish_network(&self, draft: NetworkDraft) -> Result<Unsynced, StoreError> {
        let NetworkDraft { network, draft } = draft;
        let path = self.network_path(&network.name);
        match self.network(&network.name)? {
            Some(earlier) if earlier == network => {}
            Some(_) => drop(self.disk.keep(&path, &before(&path))?),
            // Of another network of that name.
            None => drop(self.disk.remove(&before(&path), Durability::Boot)?),
        }
        self.disk.publish(draft)?;
        Ok(Unsynced { path, durability: durability(&network.name) })
    }

    /// Makes a published record survive a power failure. Slow; needs no lock.
    pub fn sync(&self, unsynced: Unsynced) -> Result<(), StoreError> {
        let Unsynced { path, durability } = unsynced;
        self.disk.sync_above(&path, durability)
    }

    /// Says, before anything of it exists or goes, that a network is being made or taken away. Needs the host lock exclusively, as the
    /// others that work on these records do: one that is found then belongs to a process that died.
    pub fn begin_network(&self, network: &Network) -> Result<(), StoreError> {
        let path = self.making_path(&network.name);
        self.disk.replace(&path, &to_json(&path, network)?, Durability::Boot)
    }

    /// Says that a network is complete and written down, or that nothing of it exists any more.
    pub fn end_network(&self, name: &NetworkName) -> Result<(), StoreError> {
        self.disk.remove(&self.making_path(name), Durability::Boot)?;
        Ok(())
    }

    /// The networks that are being made, changed or taken away, and what is wrong with the files that cannot be read or
    /// are not named after what they hold.
    pub fn networks_in_making_lossy(&self) -> (Vec<Network>, Vec<StoreError>) {
        let folder = self.disk.run().join("making");
        disk::read_each(&folder, |file| match stem(file).and_then(|stem| stem.parse().ok()) {
            Some(name) => read(&name, &folder.join(file)),
            None => Err(StoreError::unreadable(&folder.join(file), "is not named as NETWORK.json")),
        })
    }

    /// Removes a network; one that is gone already is fine. A file that cannot be read is left alone.
    pub fn remove_network(&self, name: &NetworkName) -> Result<(), StoreError> {
        self.network(name)?;
        let path = self.network_path(name);
        // First: without the record nobody would come back for it.
        self.disk.remove(&before(&path), Durability::Boot)?;
        self.disk.remove(&path, durability(name))?;
        Ok(())
    }

    /// Removes what `run` holds about a network: names, cursors, locks and empty folders.
    ///
    /// Needs the host lock exclusively. Fails with [`StoreError::StillOwned`], before it removes anything, when
    /// endpoints own addresses or MACs on it. A lock that the caller itself holds stays.
    pub fn forget_network(&self, network: &NetworkName) -> Result<(), StoreError> {
        let mut owners: Vec<EndpointKey> = self.leases(network)?.into_iter().map(|(_, owner)| owner).collect();
        owners.extend(self.macs(network)?.into_iter().map(|(_, owner)| owner));
        if let Some(owner) = owners.first() {
            return Err(StoreError::StillOwned { network: network.clone(), count: owners.len(), owner: owner.clone() });
        }
        for kind in ["names", "leases", "macs"] {
            self.disk.clear(&self.disk.run().join(kind).join(network.as_str()))?;
        }
        self.remove_free_lock(&self.names_lock_path(network))?;
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
        // `a.json` comes behind `a-b.json`, but `a` before `a-b`.
        each.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(each.into_iter().map(|(_, read)| read).collect())
    }

    /// The networks that other programs describe and nobody is attached to, half made and half gone ones too.
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

    /// What other programs describe with every call has no need to outlive the boot.
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

/// Where the version before the one at `path` is kept: names of networks have no `~`.
fn before(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("~");
    name.into()
}

/// As a shell takes it for one word.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn durability(name: &NetworkName) -> Durability {
    if name.source().is_some() { Durability::Boot } else { Durability::Forever }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_network_in_making_is_no_network_yet() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue = network("blue");
        store.begin_network(&blue).unwrap();
        assert_eq!(store.networks_in_making_lossy().0, std::slice::from_ref(&blue));
        assert!(store.networks().unwrap().is_empty());
        store.end_network(&blue.name).unwrap();
        store.end_network(&blue.name).unwrap();
        assert!(store.networks_in_making_lossy().0.is_empty());
    }

    #[test]
    fn a_file_in_making_that_is_not_named_after_its_content_is_reported() {
        let scratch = Scratch::new();
        let store = scratch.store();
        store.begin_network(&network("blue")).unwrap();
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
        store.write_network(&blue).unwrap();
        assert_eq!(scratch.tree("state"), ["networks/blue.json"]);
        blue.labels.clear();
        store.write_network(&blue).unwrap();
        store.write_network(&blue).unwrap();
        assert_eq!(scratch.tree("state"), ["networks/blue.json", "networks/blue.json~"]);
        assert_eq!(store.networks().unwrap(), std::slice::from_ref(&blue));

        let path = scratch.path("state/networks/blue.json");
        fs::write(&path, "{").unwrap();
        let told = store.network(&blue.name).unwrap_err().to_string();
        let (_, command) = told.split_once("this puts it back: ").expect(&told);
        assert!(store.networks_lossy().1[0].to_string().contains(command));
        assert!(store.write_network(&blue).is_err());
        assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success());
        assert_eq!(store.network(&blue.name).unwrap(), Some(network("blue")));

        // One that is not whole itself is not offered.
        fs::write(scratch.path("state/networks/blue.json~"), "{").unwrap();
        fs::write(&path, "{").unwrap();
        assert!(!store.network(&blue.name).unwrap_err().to_string().contains("puts it back"));
        fs::remove_file(&path).unwrap();
        store.write_network(&blue).unwrap();
        assert_eq!(scratch.tree("state"), ["networks/blue.json"]);
        store.write_network(&network("blue")).unwrap();
        store.remove_network(&blue.name).unwrap();
        assert_eq!(scratch.tree("state"), ["networks/"]);
    }

    #[test]
    fn a_draft_is_seen_by_nobody_until_it_is_published() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let draft = store.draft_network(&network("blue")).unwrap();
        assert!(store.networks().unwrap().is_empty());
        drop(draft);
        assert_eq!(scratch.tree("state"), ["networks/"]);
        let draft = store.draft_network(&network("blue")).unwrap();
        // What tidies up takes it for a leftover.
        assert_eq!(store.remove_leftovers().unwrap(), 1);
        let unsynced = store.publish_network(draft).unwrap();
        store.sync(unsynced).unwrap();
        assert_eq!(store.networks().unwrap(), [network("blue")]);
        assert_eq!(scratch.tree("state"), ["networks/blue.json"]);
    }

    use super::*;
    use crate::scratch::{Scratch, endpoint, network};
    use std::fs;

    #[test]
    fn a_network_reads_back_as_written() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let blue = "blue".parse().unwrap();
        assert_eq!(store.network(&blue).unwrap(), None);
        store.write_network(&network("blue")).unwrap();
        assert_eq!(store.network(&blue).unwrap(), Some(network("blue")));
        let text = fs::read_to_string(scratch.path("state/networks/blue.json")).unwrap();
        assert!(text.contains("\",\"name\":\"blue\",") && text.ends_with("}\n"), "{text}");
        store.remove_network(&blue).unwrap();
        store.remove_network(&blue).unwrap();
        assert_eq!(scratch.tree("state"), ["networks/"]);
    }

    #[test]
    fn networks_come_sorted_by_name_and_foreign_files_are_ignored() {
        let scratch = Scratch::new();
        let store = scratch.store();
        assert!(store.networks().unwrap().is_empty());
        for name in ["b", "a-b", "a", "x.json"] {
            store.write_network(&network(name)).unwrap();
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
        store.write_network(&network("blue")).unwrap();
        let path = scratch.path("state/networks/blue.json");
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() - 1 {
            fs::write(&path, &whole[..length]).unwrap();
            for outcome in [
                store.network(&blue).map(drop),
                store.networks().map(drop),
                store.write_network(&network("blue")),
                store.remove_network(&blue),
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
        store.write_network(&network("good")).unwrap();
        let folder = scratch.path("state/networks");
        let good = fs::read_to_string(folder.join("good.json")).unwrap();
        let mut host_bits = serde_json::to_value(network("host-bits")).unwrap();
        host_bits["pools"][0]["subnet"] = "10.55.66.7/24".into();
        let host_bits = String::from_utf8(to_json(&folder, &host_bits).unwrap()).unwrap();
        for (file, content, why) in [
            ("newer.json", "{\"version\":4,\"what\":[]}", "has format version 4, this zubi knows up to 3"),
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
        store.claim(&e.network, address, &e.key()).unwrap();
        store.set_cursor(&e.network, 0, address).unwrap();
        store.write_name(&e).unwrap();
        let before = scratch.tree("run");
        let error = store.forget_network(&e.network).unwrap_err().to_string();
        assert!(error.contains("1 addresses or MACs on it are still owned, the first by endpoint 5.blue"), "{error}");
        assert_eq!(scratch.tree("run"), before);

        store.release(&e.network, address, &e.key()).unwrap();
        drop(store.lock_leases(&e.network).unwrap());
        store.forget_network(&e.network).unwrap();
        store.forget_network(&e.network).unwrap();
        assert_eq!(scratch.tree("run"), ["host.json", "leases/", "lock/host", "names/"]);
    }
}
