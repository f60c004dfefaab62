//! Records of the settings.

use crate::name::{Name, suffixes};
use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;
use zubi_model::Invalid;

/// What a record of the settings stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// One name.
    Name(Name),
    /// `*.DOMAIN`: every name in the domain that is nowhere else.
    Below(Name),
}

impl FromStr for Pattern {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let pattern = match text.strip_prefix("*.") {
            Some(domain) => Pattern::Below(domain.parse()?),
            None => Pattern::Name(text.parse()?),
        };
        let (Pattern::Name(name) | Pattern::Below(name)) = &pattern;
        if name.labels().contains(&b'*') {
            return Err(Invalid::new("name", text, "has `*` elsewhere than as its first label"));
        }
        Ok(pattern)
    }
}

/// The records of the settings: every sandbox finds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    exact: HashMap<Name, Vec<IpAddr>>,
    below: HashMap<Name, Vec<IpAddr>>,
}

impl Records {
    /// Adds addresses.
    pub fn add(&mut self, pattern: Pattern, addresses: impl IntoIterator<Item = IpAddr>) {
        let all = match pattern {
            Pattern::Name(name) => self.exact.entry(name),
            Pattern::Below(name) => self.below.entry(name),
        };
        all.or_default().extend(addresses);
    }

    /// What a name stands for.
    pub(crate) fn exact(&self, name: &Name) -> Option<&[IpAddr]> {
        self.exact.get(name).map(Vec::as_slice)
    }

    /// What the closest wildcard above a name stands for.
    pub(crate) fn wildcard(&self, name: &Name) -> Option<&[IpAddr]> {
        let labels = name.labels();
        // A wildcard does not stand for its own domain (RFC 4592, 2.2.2).
        suffixes(labels).skip(1).find_map(|at| self.below.get(&labels[at..])).map(Vec::as_slice)
    }

    /// The names of an address.
    pub(crate) fn names_of(&self, address: IpAddr) -> Vec<Name> {
        let mut names: Vec<Name> =
            self.exact.iter().filter(|(_, all)| all.contains(&address)).map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_wildcard_is_taken() {
        let mut records = Records::default();
        for (pattern, address) in [("*.example.org", "10.0.0.1"), ("*.apps.example.org", "10.0.0.2")] {
            records.add(pattern.parse().unwrap(), [address.parse().unwrap()]);
        }
        let found = |name: &str| records.wildcard(&name.parse().unwrap()).map(|all| all[0].to_string());
        assert_eq!(found("a.b.apps.example.org").as_deref(), Some("10.0.0.2"));
        assert_eq!(found("apps.example.org").as_deref(), Some("10.0.0.1"));
        assert_eq!(found("example.org"), None);
    }

    #[test]
    fn a_star_stands_for_whole_labels_in_front() {
        for bad in ["*", "*.", "a.*.b", "*a.b", "*.*.b", ""] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }
}
