//! The text form of a snapshot: JSON with a version.

use crate::Snapshot;
use crate::place::PlaceSeen;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of the text. A program refuses every other version.
pub const VERSION: u32 = 2;

#[derive(Deserialize)]
struct Head {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Whole<T> {
    version: u32,
    snapshot: T,
}

/// Why a text cannot be read as a snapshot.
#[derive(Debug)]
pub enum Unreadable {
    /// It has another format version.
    Version(u32),
    /// It is not JSON, or not the JSON of a snapshot.
    Json(serde_json::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Version(found) => {
                write!(f, "the snapshot has format version {found}; this program reads version {VERSION}")
            }
            Unreadable::Json(error) => write!(f, "no snapshot: {error}"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Snapshot {
    /// The snapshot as text. The same snapshot gives the same text.
    ///
    /// # Errors
    /// If the path of a sandbox is not UTF-8.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Whole { version: VERSION, snapshot: self })
    }

    /// Reads what [`Snapshot::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, Unreadable> {
        // Read the version alone first: another version may have another form.
        let head: Head = serde_json::from_str(text).map_err(Unreadable::Json)?;
        if head.version != VERSION {
            return Err(Unreadable::Version(head.version));
        }
        let whole: Whole<Snapshot> = serde_json::from_str(text).map_err(Unreadable::Json)?;
        Ok(whole.snapshot)
    }
}

/// Keys of JSON objects are strings, so sandboxes are a list, sorted by path.
pub(crate) mod sandboxes {
    use super::PlaceSeen;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::HashMap;
    use zubi_model::NsRef;

    pub(crate) fn serialize<S: Serializer>(all: &HashMap<NsRef, PlaceSeen>, to: S) -> Result<S::Ok, S::Error> {
        let mut all: Vec<(&NsRef, &PlaceSeen)> = all.iter().collect();
        all.sort_by_key(|(sandbox, _)| sandbox.path());
        all.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<HashMap<NsRef, PlaceSeen>, D::Error> {
        let all: Vec<(NsRef, PlaceSeen)> = Vec::deserialize(from)?;
        Ok(all.into_iter().collect())
    }
}
