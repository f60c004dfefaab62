//! Networks, which outlive the boot.

use crate::disk::{self, Durability};
use crate::key::{json_in, stem};
use crate::versioned::{from_json, to_json};
use crate::{Store, StoreError};
use std::path::PathBuf;
use zubi_model::{EndpointKey, Network, NetworkName, NetworkSource};

impl Store {
    /// The network of that name; `None` when there is none.
    pub fn network(&self, name: &NetworkName) -> Result<Option<Network>, StoreError> {
        let path = self.network_path(name);
        let Some(content) = disk::read(&path)? else { return Ok(None) };
        let network: Network = from_json(&path, &content)?;
        if network.name != *name {
            return Err(StoreError::Unreadable { path, why: format!("holds network {}", network.name) });
        }
        Ok(Some(network))
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
        self.network(&network.name)?;
        let path = self.network_path(&network.name);
        self.disk.replace(&path, &to_json(&path, network)?, durability(&network.name))
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

    /// The networks that are being made or taken away.
    pub fn networks_in_making(&self) -> Result<Vec<Network>, StoreError> {
        let folder = self.disk.run().join("making");
        let mut all = Vec::new();
        for file in disk::list(&folder)? {
            let path = folder.join(&file);
            if let Some(content) = disk::read(&path)? {
                all.push(from_json(&path, &content)?);
            }
        }
        Ok(all)
    }

    /// Removes a network; one that is gone already is fine. A file that cannot be read is left alone.
    pub fn remove_network(&self, name: &NetworkName) -> Result<(), StoreError> {
        self.network(name)?;
        self.disk.remove(&self.network_path(name), durability(name))?;
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
                        let why = "is in the wrong folder".into();
                        Err(StoreError::Unreadable { path: json_in(&folder, stem), why })
                    }
                    Ok(name) => self.network(&name).transpose()?,
                    Err(e) => Err(StoreError::Unreadable { path: json_in(&folder, stem), why: e.to_string() }),
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
        assert_eq!(store.networks_in_making().unwrap(), std::slice::from_ref(&blue));
        assert!(store.networks().unwrap().is_empty());
        store.end_network(&blue.name).unwrap();
        store.end_network(&blue.name).unwrap();
        assert!(store.networks_in_making().unwrap().is_empty());
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
        assert!(text.starts_with("{\"version\":1,\"name\":\"blue\",") && text.ends_with("}\n"), "{text}");
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
        for (file, content, why) in [
            ("newer.json", "{\"version\":2,\"what\":[]}", "has format version 2, this zubi knows up to 1"),
            ("zero.json", "{\"version\":0}", "version 0"),
            ("none.json", "{\"name\":\"none\"}", "missing field `version`"),
            ("text.json", "hello", "is damaged"),
            ("renamed.json", good.as_str(), "holds network good"),
            ("a b.json", good.as_str(), "network name `a b`"),
            ("host-bits.json", &good.replace("10.55.66.0/24", "10.55.66.7/24"), "did you mean 10.55.66.0/24?"),
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
