//! JSON files that start with their format version and a checksum of the rest.
//!
//! A file is one line: `{"version":3,"sum":"0123456789abcdef",` and the rest of the object. The sum is the hash of that
//! rest, including the newline: it detects any flipped bit, and a file that was cut off.

use crate::StoreError;
use crate::disk::failed;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use std::path::Path;
use zubi_model::fnv::fnv64;

/// The only version that this crate writes and reads.
const VERSION: u64 = 3;
/// The start of every file of that version. The sum follows, in sixteen hex digits, then [`BEHIND_SUM`].
const BEGINNING: &str = "{\"version\":3,\"sum\":\"";
const SUM_DIGITS: usize = 16;
const BEHIND_SUM: &[u8] = b"\",";

#[derive(Deserialize)]
struct VersionOnly {
    version: u64,
}

/// The text of a file for `path` that contains `body`, an object with at least one field.
pub(crate) fn to_json(path: &Path, body: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let object = serde_json::to_vec(body).map_err(|e| failed("write", path)(e.into()))?;
    let mut covered = object.strip_prefix(b"{").unwrap_or(&object).to_vec();
    covered.push(b'\n');
    let mut text = format!("{BEGINNING}{}", sum_of(&covered)).into_bytes();
    text.extend(BEHIND_SUM);
    text.extend(covered);
    Ok(text)
}

/// The value in the file at `path` with this content.
pub(crate) fn from_json<T: DeserializeOwned>(path: &Path, content: &[u8]) -> Result<T, StoreError> {
    let unreadable = |why: &str| StoreError::unreadable(path, why);
    if content.iter().all(u8::is_ascii_whitespace) {
        return Err(unreadable("is empty"));
    }
    let Some(rest) = content.strip_prefix(BEGINNING.as_bytes()) else { return Err(not_as_written(path, content)) };
    let (recorded, covered) = rest.split_at_checked(SUM_DIGITS + BEHIND_SUM.len()).unwrap_or((rest, &[]));
    let sum = sum_of(covered);
    if recorded.strip_suffix(BEHIND_SUM) != Some(sum.as_bytes()) {
        return Err(wrong_sum(path, content, &sum));
    }
    serde_json::from_slice(content).map_err(|e| explain(path, &e))
}

fn wrong_sum(path: &Path, content: &[u8], sum: &str) -> StoreError {
    match serde_json::from_slice::<IgnoredAny>(content) {
        Err(e) => explain(path, &e),
        Ok(_) => StoreError::Unreadable {
            path: path.to_owned(),
            why: "does not match its sum: it is damaged, or was changed by hand".into(),
            next: format!("restore the file or, if its content is intended, write \"sum\":\"{sum}\" into it"),
        },
    }
}

/// The error for a file with another start.
fn not_as_written(path: &Path, content: &[u8]) -> StoreError {
    // Read the version alone: another version may differ in everything else.
    let version = match serde_json::from_slice(content) {
        Ok(VersionOnly { version }) => version,
        Err(e) => return explain(path, &e),
    };
    if version > VERSION {
        return StoreError::NewerVersion { path: path.to_owned(), found: version, known: VERSION };
    }
    if version < VERSION {
        return StoreError::Unreadable {
            path: path.to_owned(),
            why: format!("has format version {version}, which this zubi does not read"),
            next:
                "take everything down with the zubi that wrote it, or remove its folder and run zubi repair --rebuild"
                    .into(),
        };
    }
    StoreError::unreadable(path, &format!("does not begin with {BEGINNING}: it is damaged, or was changed by hand"))
}

fn explain(path: &Path, error: &serde_json::Error) -> StoreError {
    let how = if error.is_eof() { "cut off" } else { "damaged" };
    StoreError::unreadable(path, &format!("is {how} ({error})"))
}

fn sum_of(covered: &[u8]) -> String {
    format!("{:0SUM_DIGITS$x}", fnv64(covered))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(content: &str) -> String {
        from_json::<serde_json::Value>(Path::new("x"), content.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_one_line_with_its_version_and_sum() {
        let text = String::from_utf8(to_json(Path::new("x"), &serde_json::json!({ "a": 1 })).unwrap()).unwrap();
        assert_eq!(text, format!("{{\"version\":3,\"sum\":\"{:016x}\",\"a\":1}}\n", fnv64(b"\"a\":1}\n")));
        assert!(BEGINNING.contains(&format!(":{VERSION},")));
        let read: serde_json::Value = from_json(Path::new("x"), text.as_bytes()).unwrap();
        assert_eq!(read["a"], 1);
    }

    #[test]
    fn a_change_by_hand_is_reported_with_the_sum_that_makes_it_valid() {
        let text = String::from_utf8(to_json(Path::new("x"), &serde_json::json!({ "a": 1 })).unwrap()).unwrap();
        let changed = text.replace("\"a\":1", "\"a\":2");
        let text = error(&changed);
        assert!(text.contains("x: does not match its sum") && text.contains("nothing was changed"), "{text}");
        let sum = |text: &str| {
            let behind = text.split("\"sum\":\"").nth(1).unwrap();
            behind[..SUM_DIGITS].to_owned()
        };
        let valid = changed.replace(&sum(&changed), &sum(&text));
        let read: serde_json::Value = from_json(Path::new("x"), valid.as_bytes()).unwrap();
        assert_eq!(read["a"], 2);
    }

    #[test]
    fn other_versions_and_forms_are_refused_with_the_next_step() {
        for (content, why, next) in [
            ("{\"version\":1,\"a\":1}\n", "has format version 1", "with the zubi that wrote it"),
            ("{\"version\":2,\"sum\":\"0\",\"a\":1}\n", "has format version 2", "run zubi repair --rebuild"),
            ("{\"version\":4,\"a\":1}\n", "has format version 4, this zubi knows up to 3", "use the newer zubi"),
            ("{ \"version\": 3, \"a\": 1 }\n", "does not begin with {\"version\":3,\"sum\":\"", "restore the file"),
            ("{\"version\":3,\"sum\":\"0\",\"a\":1,\"b\":22222}\n", "does not match its sum", "restore the file"),
            ("{\"version\":3,\"sum\":\"\",\"a\":\n", "is cut off", "restore the file"),
            ("{\"version\":3,\"sum\":\"0123456789abcdef\",\"a\" 1}\n", "is damaged", "restore the file"),
        ] {
            let text = error(content);
            assert!(text.contains(why) && text.contains(next), "{text}");
        }
    }
}
