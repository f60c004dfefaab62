//! Names that users choose: networks, named sandboxes, aliases, labels.

use crate::Invalid;
use crate::text::written_as_text;
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
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

        written_as_text!($name);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

/// The name of a network, unique on a host: as a user chose it (`blue`), or `SOURCE:NAME` for a described network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

/// A program that describes its networks with every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkSource {
    /// `cni:NAME`, by a CNI configuration.
    Cni,
    /// `podman:NAME`, by Podman.
    Podman,
    /// `pipework:DEVICE`, by pipework's command line.
    Pipework,
    /// `docker:NAME`: a way to a zubi network that Docker knows by this name. No network is recorded under it.
    Docker,
}

impl NetworkSource {
    const ALL: [NetworkSource; 4] =
        [NetworkSource::Cni, NetworkSource::Podman, NetworkSource::Pipework, NetworkSource::Docker];

    fn prefix(self) -> &'static str {
        match self {
            NetworkSource::Cni => "cni:",
            NetworkSource::Podman => "podman:",
            NetworkSource::Pipework => "pipework:",
            NetworkSource::Docker => "docker:",
        }
    }
}

impl fmt::Display for NetworkSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NetworkSource::Cni => "a CNI configuration",
            NetworkSource::Podman => "Podman",
            NetworkSource::Pipework => "a call of pipework",
            NetworkSource::Docker => "Docker",
        })
    }
}

impl NetworkName {
    /// The longest name that a user may choose: it also stands inside other names, which have their own limits.
    const LONGEST: usize = 63;
    /// The longest name that another program may choose: a comment in nftables has 128 bytes, ours 15 besides the name.
    const LONGEST_DESCRIBED: usize = 100;

    /// The name of a network that another program describes.
    pub fn described(source: NetworkSource, name: &str) -> Result<Self, Invalid> {
        match refuse(name, Self::LONGEST_DESCRIBED) {
            Some(why) => Err(Invalid::new("network name", name, why)),
            None => Ok(NetworkName(format!("{}{name}", source.prefix()))),
        }
    }

    /// The program that describes the network; `None` for one that a user made.
    pub fn source(&self) -> Option<NetworkSource> {
        NetworkSource::ALL.into_iter().find(|source| self.0.starts_with(source.prefix()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NetworkName {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        for source in NetworkSource::ALL {
            if let Some(name) = text.strip_prefix(source.prefix()) {
                return Self::described(source, name);
            }
        }
        match refuse(text, Self::LONGEST) {
            Some(why) => Err(Invalid::new("network name", text, why)),
            None => Ok(NetworkName(text.to_owned())),
        }
    }
}

written_as_text!(NetworkName);

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

name_type!(
    /// The name of a named network namespace, as `ip netns` lists it.
    SandboxName, "sandbox name", 128
);
name_type!(
    /// A further name of an endpoint on its network.
    Alias, "alias", 63
);

impl Alias {
    /// The label of a host name that resembles it (RFC 1123, 2.1): letters, digits and inner hyphens. `None` when nothing is
    /// left.
    pub fn as_label(&self) -> Option<String> {
        let label = self.as_str().replace(['_', '.'], "-");
        let label = label.trim_matches('-');
        (!label.is_empty()).then(|| label.to_owned())
    }
}

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

    #[test]
    fn described_networks_say_by_whom() {
        let name: NetworkName = "cni:blue".parse().unwrap();
        assert_eq!(name.source(), Some(NetworkSource::Cni));
        assert_eq!(name, NetworkName::described(NetworkSource::Cni, "blue").unwrap());
        assert_eq!("blue".parse::<NetworkName>().unwrap().source(), None);
        for bad in ["cni:", "cni:a/b", "podman:..", "docker:a/b", "lxc:blue", "cni:podman:x"] {
            assert!(bad.parse::<NetworkName>().is_err(), "{bad}");
        }
        assert!(NetworkName::described(NetworkSource::Podman, &"x".repeat(100)).is_ok());
        assert!(NetworkName::described(NetworkSource::Podman, &"x".repeat(101)).is_err());
    }
}
