//! JSON objects whose keys are names: a key that comes twice is an error, as nobody knows which one is meant.

use crate::request::{NetworkEntry, Networks};
use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

/// An object by its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByName<T>(pub(crate) BTreeMap<String, T>);

impl<T> Default for ByName<T> {
    fn default() -> Self {
        ByName(BTreeMap::new())
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for ByName<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NetworksVisitor)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for ObjectVisitor<T> {
    type Value = ByName<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, T>()? {
            if all.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key `{key}`")));
            }
            all.insert(key, value);
        }
        Ok(ByName(all))
    }
}

struct NetworksVisitor;

impl<'de> Visitor<'de> for NetworksVisitor {
    type Value = Networks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of networks")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Networks, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = map.next_entry::<String, NetworkEntry>()? {
            all.push(entry);
        }
        distinct(Networks::Map(all))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Networks, A::Error> {
        let mut all = Vec::new();
        while let Some(mut entry) = seq.next_element::<NetworkEntry>()? {
            let name = entry.name.take().ok_or_else(|| A::Error::missing_field("name"))?;
            all.push((name, entry));
        }
        distinct(Networks::Array(all))
    }
}

fn distinct<E: serde::de::Error>(networks: Networks) -> Result<Networks, E> {
    let mut seen = BTreeSet::new();
    for (name, _) in networks.entries() {
        if !seen.insert(name) {
            return Err(E::custom(format_args!("duplicate network `{name}`")));
        }
    }
    Ok(networks)
}
