//! A snapshot as text: JSON with a version.

use crate::Snapshot;
use crate::place::PlaceSeen;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of the text. One that a program does not know is refused.
pub const VERSION: u32 = 1;

#[derive(Deserialize)]
struct Head {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Whole<T> {
    version: u32,
    snapshot: T,
}

/// Why a text is no snapshot.
#[derive(Debug)]
pub enum Unreadable {
    /// It is of another version of the format.
    Version(u32),
    /// It is no JSON, or not that of a snapshot.
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
    /// When the path of a sandbox is not UTF-8.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Whole { version: VERSION, snapshot: self })
    }

    /// Reads what [`Snapshot::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, Unreadable> {
        // The version alone first: another one may have another form.
        let head: Head = serde_json::from_str(text).map_err(Unreadable::Json)?;
        if head.version != VERSION {
            return Err(Unreadable::Version(head.version));
        }
        let whole: Whole<Snapshot> = serde_json::from_str(text).map_err(Unreadable::Json)?;
        Ok(whole.snapshot)
    }
}

/// Keys of JSON objects are texts, so sandboxes are a list, by their paths.
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
