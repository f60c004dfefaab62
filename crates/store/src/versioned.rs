//! JSON files that say which version of their format they have.

use crate::StoreError;
use crate::disk::failed;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version that is written, and the newest that is read.
const VERSION: u64 = 1;
/// Of every file of that version.
const BEGINNING: &[u8] = b"{\"version\":1,";

#[derive(Serialize)]
struct Written<'a, T> {
    version: u64,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

/// The text of a file at `path` that holds `body`.
pub(crate) fn to_json(path: &Path, body: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut text =
        serde_json::to_vec(&Written { version: VERSION, body }).map_err(|e| failed("write", path)(e.into()))?;
    text.push(b'\n');
    Ok(text)
}

/// What the file at `path` with this content holds.
pub(crate) fn from_json<T: DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T, StoreError> {
    let unreadable = |why: String| StoreError::Unreadable { path: path.to_owned(), why };
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(unreadable("is empty".into()));
    }
    let explain = |e: serde_json::Error| {
        unreadable(if e.is_eof() { format!("is cut off ({e})") } else { format!("is damaged ({e})") })
    };
    // Asked alone, because a newer format may differ in everything else; not where it begins as we write it.
    if !content.starts_with(BEGINNING) {
        let VersionOnly { version } = serde_json::from_slice(content).map_err(explain)?;
        if version > VERSION {
            return Err(StoreError::NewerVersion { path: path.to_owned(), found: version, known: VERSION });
        }
        if version == 0 {
            return Err(unreadable("has format version 0, which never existed".into()));
        }
    }
    serde_json::from_slice(content).map_err(explain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_begins_with_its_version() {
        let text = to_json(Path::new("x"), &serde_json::json!({ "a": 1 })).unwrap();
        assert!(text.starts_with(BEGINNING));
        assert!(BEGINNING.ends_with(format!(":{VERSION},").as_bytes()));
    }
}
