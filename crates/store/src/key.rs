//! Keys of endpoints as text, and names of files.

use std::path::{Path, PathBuf};
use zubi_model::{EndpointKey, NetnsCookie};

/// Reads the text of an `EndpointKey`: `COOKIE.NETWORK`. Each number has only one valid spelling, so that each key has
/// one file name.
pub(crate) fn parse_key(text: &str) -> Option<EndpointKey> {
    let (cookie, network) = text.split_once('.')?;
    Some(EndpointKey { cookie: parse_cookie(cookie)?, network: network.parse().ok()? })
}

pub(crate) fn parse_cookie(text: &str) -> Option<NetnsCookie> {
    let is_canonical = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    if is_canonical { text.parse().ok().map(NetnsCookie) } else { None }
}

/// `NAME` of `NAME.json`.
pub(crate) fn stem(file_name: &str) -> Option<&str> {
    file_name.strip_suffix(".json")
}

/// `folder/NAME.json`. (`Path::with_extension` would cut a name at its last dot.)
pub(crate) fn json_in(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_have_one_spelling() {
        for text in ["5.blue", "0.a.json", "18446744073709551615.x"] {
            assert_eq!(parse_key(text).unwrap().to_string(), text);
        }
        for bad in ["05.blue", "+5.blue", "5", "5.", ".blue", "5./x", "18446744073709551616.x", "x.y"] {
            assert_eq!(parse_key(bad), None, "{bad}");
        }
    }
}
