//! Records of endpoints. The folder of a record shows the state of its endpoint:
//!
//! ```text
//!            begin_attach            finish_attach              begin_detach            finish_detach
//!   nothing ------------> pending/ ---------------> endpoints/ -------------> pending/ ---------------> nothing
//! ```
//!
//! The pending record of an endpoint that takes over a pair also has the pair as it was before, see [`Store::taken`].
//!
//! A pending record whose sandbox is not locked belongs to a process that was killed. Attach and detach use the same
//! folder because the recovery is the same: undo.

use crate::disk::{self, Creation, Durability};
use crate::key::{json_in, parse_cookie, parse_key, stem};
use crate::versioned::{from_json, to_json};
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use zubi_model::{Endpoint, EndpointKey, NetnsCookie, NetworkName};
use zubi_plan::Taken;

/// An endpoint that is being attached or detached, or whose process was killed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The key, as in the file's name.
    pub key: EndpointKey,
    /// The endpoint.
    pub endpoint: Endpoint,
}

#[derive(Serialize, Deserialize)]
struct Record<E> {
    endpoint: E,
    /// Counts while the endpoint is being attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken: Option<Box<Taken>>,
}

/// All changes need the lock of the sandbox.
impl Store {
    /// Writes the record, before any part of the endpoint exists. `taken`: the pair that it is to take over.
    ///
    /// Fails with [`StoreError::InProgress`] or [`StoreError::AlreadyAttached`] if the endpoint has a record.
    pub fn begin_attach(&self, endpoint: &Endpoint, taken: Option<&Taken>) -> Result<(), StoreError> {
        let key = endpoint.key();
        let attached = self.attached_path(&key);
        if disk::exists(&attached)? {
            return Err(StoreError::AlreadyAttached { key, path: attached });
        }
        let path = self.pending_path(&key);
        let record = Record { endpoint, taken: taken.cloned().map(Box::new) };
        match self.disk.create(&path, &to_json(&path, &record)?)? {
            Creation::Created => Ok(()),
            Creation::AlreadyThere => Err(StoreError::InProgress { key, path }),
        }
    }

    /// Records a change of an endpoint that is being attached. The pair that it takes over stays in the
    /// record. Fails with [`StoreError::NoRecord`] if the endpoint is not pending.
    pub fn update_pending(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        let key = endpoint.key();
        let taken = self.taken(&key)?.map(Box::new);
        self.replace_record(endpoint, self.pending_path(&key), taken)
    }

    /// Records that the endpoint is complete. Fails with [`StoreError::NoRecord`] if it is not pending.
    pub fn finish_attach(&self, key: &EndpointKey) -> Result<(), StoreError> {
        self.move_record(key, self.pending_path(key), &self.attached_path(key))
    }

    /// Takes [`Store::finish_attach`] back: the attach failed after it. Does nothing if the endpoint is not attached.
    pub fn resume_attach(&self, key: &EndpointKey) -> Result<(), StoreError> {
        self.disk.rename(&self.attached_path(key), &self.pending_path(key)).map(drop)
    }

    /// Records a change of an attached endpoint. Fails with [`StoreError::NoRecord`] if it is not attached.
    pub fn update_endpoint(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        let key = endpoint.key();
        self.replace_record(endpoint, self.attached_path(&key), None)?;
        self.update_followed(endpoint)
    }

    /// Records that the endpoint is about to be detached. Fails with [`StoreError::NoRecord`] if it is not attached,
    /// and with [`StoreError::InProgress`] if it is pending.
    pub fn begin_detach(&self, key: &EndpointKey) -> Result<(), StoreError> {
        let pending = self.pending_path(key);
        if disk::exists(&pending)? {
            return Err(StoreError::InProgress { key: key.clone(), path: pending });
        }
        let attached = self.attached_path(key);
        if let Some(Record { endpoint, taken: Some(_) }) = read_whole(key, &attached)? {
            // The pair of an endpoint that is complete is not given back any more.
            self.update_endpoint(&endpoint)?;
        }
        self.move_record(key, attached, &pending)
    }

    /// Removes the record. This is the last step, when no part of the endpoint exists any more. The record may be
    /// missing.
    pub fn finish_detach(&self, key: &EndpointKey) -> Result<(), StoreError> {
        self.disk.remove_if_empty(&self.folder_of(key.cookie))?;
        // This comes last: without the record no command would ever remove the folder.
        self.disk.remove(&self.pending_path(key), Durability::Boot)?;
        Ok(())
    }

    /// An attached endpoint.
    pub fn endpoint(&self, key: &EndpointKey) -> Result<Option<Endpoint>, StoreError> {
        read_record(key, &self.attached_path(key))
    }

    /// An endpoint that is being attached or detached.
    pub fn pending_endpoint(&self, key: &EndpointKey) -> Result<Option<Endpoint>, StoreError> {
        read_record(key, &self.pending_path(key))
    }

    /// The pair that an endpoint which is being attached takes over, as it was before.
    pub fn taken(&self, key: &EndpointKey) -> Result<Option<Taken>, StoreError> {
        let record = read_whole(key, &self.pending_path(key))?;
        Ok(record.and_then(|record| record.taken).map(|taken| *taken))
    }

    /// All endpoints that are being attached or detached, with an error for each that cannot be read.
    pub fn pending(&self) -> Result<Vec<Result<Pending, StoreError>>, StoreError> {
        let folder = self.pending_folder();
        let read = |file: &String| match stem(file).and_then(parse_key) {
            Some(key) => {
                let endpoint = self.pending_endpoint(&key).transpose()?;
                Some(endpoint.map(|endpoint| Pending { key, endpoint }))
            }
            None => Some(Err(misnamed(&folder, file, "COOKIE.NETWORK.json"))),
        };
        Ok(disk::list(&folder)?.iter().filter_map(read).collect())
    }

    /// The attached endpoints of a sandbox, oldest first.
    pub fn endpoints_of(&self, cookie: NetnsCookie) -> Result<Vec<Endpoint>, StoreError> {
        let mut endpoints = self.each_of(cookie)?.into_iter().collect::<Result<Vec<_>, _>>()?;
        endpoints.sort_by_key(|e| e.attached_at);
        Ok(endpoints)
    }

    /// The attached endpoints of a network, oldest first.
    pub fn endpoints_on(&self, network: &NetworkName) -> Result<Vec<Endpoint>, StoreError> {
        let mut endpoints = Vec::new();
        for cookie in self.cookies()? {
            endpoints.extend(self.endpoint(&EndpointKey { cookie: cookie?, network: network.clone() })?);
        }
        endpoints.sort_by_key(|e| e.attached_at);
        Ok(endpoints)
    }

    /// All attached endpoints, oldest first; fails if one cannot be read.
    pub fn all_endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        let mut endpoints = self.each_endpoint()?.into_iter().collect::<Result<Vec<_>, _>>()?;
        endpoints.sort_by_key(|e| e.attached_at);
        Ok(endpoints)
    }

    /// All attached endpoints that can be read, oldest first, and the errors of the others.
    pub fn all_endpoints_lossy(&self) -> (Vec<Endpoint>, Vec<StoreError>) {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for one in self.each_endpoint().unwrap_or_else(|e| vec![Err(e)]) {
            match one {
                Ok(endpoint) => good.push(endpoint),
                Err(e) => bad.push(e),
            }
        }
        good.sort_by_key(|e: &Endpoint| e.attached_at);
        (good, bad)
    }

    fn each_endpoint(&self) -> Result<Vec<Result<Endpoint, StoreError>>, StoreError> {
        let mut each = Vec::new();
        for cookie in self.cookies()? {
            match cookie.and_then(|cookie| self.each_of(cookie)) {
                Ok(of_one) => each.extend(of_one),
                Err(e) => each.push(Err(e)),
            }
        }
        Ok(each)
    }

    fn each_of(&self, cookie: NetnsCookie) -> Result<Vec<Result<Endpoint, StoreError>>, StoreError> {
        let folder = self.folder_of(cookie);
        let read = |file: &String| match stem(file).and_then(|stem| stem.parse().ok()) {
            Some(network) => self.endpoint(&EndpointKey { cookie, network }).transpose(),
            None => Some(Err(misnamed(&folder, file, "NETWORK.json"))),
        };
        Ok(disk::list(&folder)?.iter().filter_map(read).collect())
    }

    fn cookies(&self) -> Result<Vec<Result<NetnsCookie, StoreError>>, StoreError> {
        let folder = self.disk.run().join("endpoints");
        let read = |name: &String| parse_cookie(name).ok_or_else(|| misnamed(&folder, name, "the cookie of a sandbox"));
        Ok(disk::list(&folder)?.iter().map(read).collect())
    }

    fn replace_record(&self, endpoint: &Endpoint, path: PathBuf, taken: Option<Box<Taken>>) -> Result<(), StoreError> {
        if !disk::exists(&path)? {
            return Err(StoreError::NoRecord { key: endpoint.key(), path });
        }
        self.disk.replace(&path, &to_json(&path, &Record { endpoint, taken })?, Durability::Boot)
    }

    fn move_record(&self, key: &EndpointKey, from: PathBuf, to: &Path) -> Result<(), StoreError> {
        if self.disk.rename(&from, to)? { Ok(()) } else { Err(StoreError::NoRecord { key: key.clone(), path: from }) }
    }

    fn pending_folder(&self) -> PathBuf {
        self.disk.run().join("pending")
    }

    fn folder_of(&self, cookie: NetnsCookie) -> PathBuf {
        self.disk.run().join("endpoints").join(cookie.to_string())
    }

    fn pending_path(&self, key: &EndpointKey) -> PathBuf {
        json_in(&self.pending_folder(), &key.to_string())
    }

    /// The folder of the records of a sandbox.
    pub fn endpoints_folder(&self, cookie: NetnsCookie) -> PathBuf {
        self.folder_of(cookie)
    }

    fn attached_path(&self, key: &EndpointKey) -> PathBuf {
        json_in(&self.folder_of(key.cookie), key.network.as_str())
    }
}

fn read_record(key: &EndpointKey, path: &Path) -> Result<Option<Endpoint>, StoreError> {
    Ok(read_whole(key, path)?.map(|record| record.endpoint))
}

fn read_whole(key: &EndpointKey, path: &Path) -> Result<Option<Record<Endpoint>>, StoreError> {
    let Some(content) = disk::read(path)? else { return Ok(None) };
    let record = from_json::<Record<Endpoint>>(path, &content)?;
    if record.endpoint.key() != *key {
        return Err(StoreError::unreadable(path, &format!("holds endpoint {}", record.endpoint.key())));
    }
    Ok(Some(record))
}

fn misnamed(folder: &Path, name: &str, expected: &str) -> StoreError {
    StoreError::unreadable(&folder.join(name), &format!("is not named as {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, endpoint};
    use std::fs;

    #[test]
    fn a_record_goes_from_pending_to_attached_and_back() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let e = endpoint(5, "blue", "c1");
        let key = e.key();
        store.begin_attach(&e, None).unwrap();
        assert!(matches!(store.begin_attach(&e, None), Err(StoreError::InProgress { .. })));
        assert_eq!(store.endpoint(&key).unwrap(), None);
        assert_eq!(store.pending_endpoint(&key).unwrap(), Some(e.clone()));
        assert_eq!(store.pending().unwrap().remove(0).unwrap(), Pending { key: key.clone(), endpoint: e.clone() });

        store.finish_attach(&key).unwrap();
        assert!(matches!(store.finish_attach(&key), Err(StoreError::NoRecord { .. })));
        assert!(matches!(store.begin_attach(&e, None), Err(StoreError::AlreadyAttached { .. })));
        assert!(store.pending().unwrap().is_empty());
        assert_eq!(store.endpoint(&key).unwrap(), Some(e.clone()));

        store.begin_detach(&key).unwrap();
        assert!(matches!(store.begin_detach(&key), Err(StoreError::InProgress { .. })));
        assert_eq!(store.pending().unwrap().len(), 1);
        store.finish_detach(&key).unwrap();
        store.finish_detach(&key).unwrap();
        assert!(matches!(store.begin_detach(&key), Err(StoreError::NoRecord { .. })));
        assert_eq!(scratch.tree("run"), ["endpoints/", "host.json", "lock/host", "pending/"]);
    }

    #[test]
    fn endpoints_are_found_by_sandbox_and_by_network() {
        let scratch = Scratch::new();
        let store = scratch.store();
        for (cookie, network) in [(6, "blue"), (5, "blue"), (5, "a.json"), (7, "green")] {
            let e = endpoint(cookie, network, "c");
            store.begin_attach(&e, None).unwrap();
            store.finish_attach(&e.key()).unwrap();
        }
        let keys = |found: Result<Vec<Endpoint>, StoreError>| -> Vec<String> {
            found.unwrap().iter().map(|e| e.key().to_string()).collect()
        };
        assert_eq!(keys(store.endpoints_of(NetnsCookie(5))), ["5.a.json", "5.blue"]);
        assert_eq!(keys(store.endpoints_on(&"blue".parse().unwrap())), ["5.blue", "6.blue"]);
        assert_eq!(keys(store.all_endpoints()), ["5.a.json", "5.blue", "6.blue", "7.green"]);
        assert!(keys(store.endpoints_of(NetnsCookie(1))).is_empty());
    }

    #[test]
    fn records_that_cannot_be_read_are_reported_next_to_the_good_ones() {
        let scratch = Scratch::new();
        let store = scratch.store();
        store.begin_attach(&endpoint(5, "blue", "c1"), None).unwrap();
        let pending = scratch.path("run/pending");
        let whole = fs::read(pending.join("5.blue.json")).unwrap();
        for length in 0..whole.len() - 1 {
            fs::write(pending.join("6.blue.json"), &whole[..length]).unwrap();
            let (good, bad): (Vec<_>, Vec<_>) = store.pending().unwrap().into_iter().partition(Result::is_ok);
            assert_eq!((good.len(), bad.len()), (1, 1), "{length}");
        }
        fs::write(pending.join("6.blue.json"), &whole).unwrap();
        fs::write(pending.join("nonsense"), "").unwrap();
        let errors: Vec<String> =
            store.pending().unwrap().into_iter().filter_map(|p| Some(p.err()?.to_string())).collect();
        assert!(errors[0].contains("6.blue.json: holds endpoint 5.blue"), "{errors:?}");
        assert!(errors[1].contains("nonsense: is not named as COOKIE.NETWORK.json"), "{errors:?}");

        store.finish_attach(&endpoint(5, "blue", "c1").key()).unwrap();
        fs::write(scratch.path("run/endpoints/5/green.json"), "{").unwrap();
        fs::create_dir(scratch.path("run/endpoints/x")).unwrap();
        let (good, bad) = store.all_endpoints_lossy();
        assert_eq!((good.len(), bad.len()), (1, 2));
        assert!(store.all_endpoints().is_err());
    }

    #[test]
    fn listing_survives_records_that_come_and_go() {
        let scratch = Scratch::new();
        let store = scratch.store();
        std::thread::scope(|scope| {
            for cookie in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for _ in 0..100 {
                        let e = endpoint(cookie, "blue", "c");
                        store.begin_attach(&e, None).unwrap();
                        store.finish_attach(&e.key()).unwrap();
                        store.begin_detach(&e.key()).unwrap();
                        store.finish_detach(&e.key()).unwrap();
                    }
                });
            }
            for _ in 0..200 {
                store.all_endpoints().unwrap();
                store.endpoints_on(&"blue".parse().unwrap()).unwrap();
                assert!(store.pending().unwrap().iter().all(Result::is_ok));
            }
        });
        assert!(store.all_endpoints().unwrap().is_empty());
    }
}
