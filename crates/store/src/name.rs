//! Index of names: finds the cookie of a sandbox by its spelling on a network, without reading all records.

use crate::disk::{self, Durability};
use crate::lock::{Lock, Mode};
use crate::versioned::{from_json, to_json};
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::path::PathBuf;
use zubi_model::fnv::fnv128;
use zubi_model::{Endpoint, NetnsCookie, NetworkName};

/// A file name has at most 255 bytes; a spelled name may be a path of 4095.
const LONGEST_FILE_NAME: usize = 200;

#[derive(Serialize, Deserialize)]
struct Meaning {
    cookie: NetnsCookie,
    spelled: String,
}

impl Store {
    /// Makes an endpoint's spelling lead to its sandbox. Replaces an earlier sandbox of that spelling.
    pub fn write_name(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        let sandbox = &endpoint.sandbox;
        let path = self.name_path(&endpoint.network, &sandbox.spelled);
        let content = to_json(&path, &Meaning { cookie: sandbox.cookie, spelled: sandbox.spelled.clone() })?;
        let _held = self.lock_names(&endpoint.network)?;
        self.disk.replace(&path, &content, Durability::Boot)
    }

    /// The sandbox that a spelling leads to on a network.
    pub fn cookie_of_name(&self, network: &NetworkName, spelled: &str) -> Result<Option<NetnsCookie>, StoreError> {
        let path = self.name_path(network, spelled);
        let Some(content) = disk::read(&path)? else { return Ok(None) };
        let meaning: Meaning = from_json(&path, &content)?;
        Ok(Some(meaning.cookie).filter(|_| meaning.spelled == spelled))
    }

    /// The networks that have names.
    pub fn networks_with_names(&self) -> Result<Vec<NetworkName>, StoreError> {
        let folders = disk::list(&self.disk.run().join("names"))?;
        Ok(folders.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Removes an endpoint's spelling, unless another sandbox has it now.
    pub fn remove_name(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        let sandbox = &endpoint.sandbox;
        let path = self.name_path(&endpoint.network, &sandbox.spelled);
        // Taking the lock would create its file.
        if !disk::exists(&path)? {
            return Ok(());
        }
        let _held = self.lock_names(&endpoint.network)?;
        if self.cookie_of_name(&endpoint.network, &sandbox.spelled)? == Some(sandbox.cookie) {
            self.disk.remove(&path, Durability::Boot)?;
        }
        Ok(())
    }

    /// Records an attached endpoint under another name of its sandbox. Needs the lock of the sandbox. If it is killed
    /// meanwhile, both names lead to the sandbox.
    pub fn rename(&self, endpoint: &Endpoint, name: &str) -> Result<Endpoint, StoreError> {
        let mut renamed = endpoint.clone();
        name.clone_into(&mut renamed.sandbox.spelled);
        self.write_name(&renamed)?;
        self.update_endpoint(&renamed)?;
        self.remove_name(endpoint)?;
        Ok(renamed)
    }

    /// Needed because two sandboxes may have the same spelling, and neither command holds the other's sandbox lock.
    /// This lock is below all others.
    fn lock_names(&self, network: &NetworkName) -> Result<Lock, StoreError> {
        self.lock(&self.names_lock_path(network), Mode::Exclusive)
    }

    fn name_path(&self, network: &NetworkName, spelled: &str) -> PathBuf {
        self.disk.run().join("names").join(network.as_str()).join(file_name(spelled))
    }
}

/// A file name for any text. Letters, digits, `_`, `-` and inner dots stay, other bytes become `%XX`. A long text
/// becomes `%-` and a hash; the file contains the text itself.
pub(crate) fn file_name(spelled: &str) -> String {
    let mut escaped = String::new();
    for (place, byte) in spelled.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || (byte == b'.' && place > 0) {
            escaped.push(byte.into());
        } else {
            // Writing to a string does not fail.
            write!(escaped, "%{byte:02X}").unwrap_or_default();
        }
    }
    match escaped.len() {
        // The empty text becomes a bare escape character.
        0 => "%".into(),
        1..=LONGEST_FILE_NAME => escaped,
        _ => format!("%-{:032x}", fnv128(spelled.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, endpoint};

    #[test]
    fn names_become_harmless_and_distinct_file_names() {
        for (spelled, file) in [
            ("c1", "c1"),
            ("docker:web", "docker%3Aweb"),
            ("/run/netns/x", "%2Frun%2Fnetns%2Fx"),
            ("..", "%2E."),
            (".tmp-1", "%2Etmp-1"),
            ("a%2Fb", "a%252Fb"),
            ("ü\n", "%C3%BC%0A"),
            ("", "%"),
        ] {
            assert_eq!(file_name(spelled), file);
        }
        let long = |last: char| file_name(&format!("/{}{last}", "x".repeat(4000)));
        assert!(long('a').starts_with("%-") && long('a').len() == 34);
        assert_ne!(long('a'), long('b'));
    }

    #[test]
    fn a_name_leads_to_the_sandbox_that_wrote_it_last() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let long = format!("/run/{}", "x/".repeat(1000));
        for spelled in ["c1", "docker:web", "/run/netns/x", "..", long.as_str()] {
            let (old, new) = (endpoint(5, "blue", spelled), endpoint(6, "blue", spelled));
            let found = || store.cookie_of_name(&old.network, spelled).unwrap();
            assert_eq!(found(), None);
            store.write_name(&old).unwrap();
            assert_eq!(found(), Some(NetnsCookie(5)));
            store.write_name(&new).unwrap();
            store.remove_name(&old).unwrap();
            assert_eq!(found(), Some(NetnsCookie(6)));
            assert_eq!(store.cookie_of_name(&"green".parse().unwrap(), spelled).unwrap(), None);
            store.remove_name(&new).unwrap();
            store.remove_name(&new).unwrap();
            assert_eq!(found(), None);
        }
        assert!(scratch.tree("run").contains(&"names/blue/".into()), "{:?}", scratch.tree("run"));
    }

    #[test]
    fn a_renamed_endpoint_is_found_by_its_new_name_only() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let one = endpoint(5, "blue", "pid:7");
        store.begin_attach(&one, None).unwrap();
        store.write_name(&one).unwrap();
        store.finish_attach(&one.key()).unwrap();
        let renamed = store.rename(&one, "docker:web").unwrap();
        assert_eq!(renamed.sandbox.spelled, "docker:web");
        assert_eq!(store.endpoint(&one.key()).unwrap(), Some(renamed));
        assert_eq!(store.cookie_of_name(&one.network, "docker:web").unwrap(), Some(NetnsCookie(5)));
        assert_eq!(store.cookie_of_name(&one.network, "pid:7").unwrap(), None);
    }
}
