//! Names that users choose: networks, named sandboxes, aliases, labels.

use crate::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why `text` is not a name made of letters, digits, `_`, `.` and `-` that starts with a letter or digit.
///
/// The rule is Docker's for object names. It makes every name safe as a file name, as a shell word and
/// inside nft syntax.
fn refuse(text: &str, longest: usize) -> Option<String> {
    if text.is_empty() {
        return Some("is empty".into());
    }
    if text.len() > longest {
        return Some(format!("has {} bytes, at most {longest} are allowed", text.len()));
    }
    if let Some(c) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.-".contains(*c))) {
        return Some(format!("has {c:?}; allowed are letters, digits, `_`, `.` and `-`"));
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Some("does not start with a letter or digit".into());
    }
    None
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $longest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Invalid;
            fn from_str(text: &str) -> Result<Self, Invalid> {
                match refuse(text, $longest) {
                    Some(why) => Err(Invalid::new($what, text, why)),
                    None => Ok($name(text.to_owned())),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Invalid;
            fn try_from(text: String) -> Result<Self, Invalid> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type!(
    /// The name of a network, unique on a host.
    NetworkName, "network name", 63
);
name_type!(
    /// The name of a named network namespace, as `ip netns` lists it.
    SandboxName, "sandbox name", 128
);
name_type!(
    /// A further name of an endpoint on its network.
    Alias, "alias", 63
);

/// A `key=value` pair that users attach to a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Before the first `=`.
    pub key: String,
    /// Behind it; may be empty.
    pub value: String,
}

impl FromStr for Label {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.is_empty() {
            return Err(Invalid::new("label", text, "has no key").try_instead("write key=value"));
        }
        if text.len() > 4096 || text.chars().any(char::is_control) {
            return Err(Invalid::new("label", text, "is longer than 4096 bytes or has control characters"));
        }
        Ok(Label { key: key.into(), value: value.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_docker_takes_are_taken() {
        for good in ["blue", "web.1", "a_b-c", "0"] {
            assert!(good.parse::<NetworkName>().is_ok(), "{good}");
        }
    }

    #[test]
    fn names_that_could_be_paths_or_syntax_are_refused() {
        for bad in ["", "a/b", "..", ".", "a b", "a;b", "$(id)", "a\"b", "{x}", "-x", "ü", "a\nb", "a\0b"] {
            let error = bad.parse::<NetworkName>().unwrap_err();
            assert_eq!(error.what, "network name", "{bad:?}");
        }
        assert!("x".repeat(64).parse::<NetworkName>().is_err());
    }
}
