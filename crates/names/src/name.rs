//! Names in questions and records.

use domain::base::name::{Name as WireName, ToLabelIter};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use zubi_model::{Alias, Invalid};

/// A name without regard to case: lower-case labels, each behind its length, without the root's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

/// The most bytes of a name on the wire without the root's label (RFC 1035, 2.3.4).
const LONGEST: usize = 254;
/// The most bytes of a label.
const LONGEST_LABEL: usize = 63;

impl Name {
    /// A name of a packet.
    pub(crate) fn of_wire(name: &impl ToLabelIter) -> Name {
        let mut bytes = Vec::with_capacity(32);
        for label in name.iter_labels().filter(|label| !label.is_root()) {
            bytes.push(u8::try_from(label.len()).unwrap_or(0));
            bytes.extend(label.iter().map(|byte| byte.to_ascii_lowercase()));
        }
        Name(bytes.into())
    }

    /// The name that an alias is asked by. `None` when it has a label that no question can have.
    pub fn of_alias(alias: &Alias) -> Option<Name> {
        alias.as_str().parse().ok()
    }

    /// Its labels, each behind its length.
    pub(crate) fn labels(&self) -> &[u8] {
        &self.0
    }

    /// The labels before those of a domain that it is in; empty labels for the domain itself.
    pub(crate) fn before(&self, domain: &Name) -> Option<&[u8]> {
        before(&self.0, &domain.0)
    }

    /// As a packet has it.
    pub(crate) fn to_wire(&self) -> Option<WireName<Vec<u8>>> {
        let mut bytes = self.0.to_vec();
        bytes.push(0);
        WireName::from_octets(bytes).ok()
    }
}

/// Where each suffix of labels begins, the longest first; the last is empty.
pub(crate) fn suffixes(labels: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let at = next?;
        next = labels.get(at).map(|length| at + 1 + usize::from(*length));
        Some(at)
    })
}

/// What stands before the labels of a domain.
pub(crate) fn before<'a>(labels: &'a [u8], domain: &[u8]) -> Option<&'a [u8]> {
    let at = suffixes(labels).find(|at| labels.len().checked_sub(*at) == Some(domain.len()))?;
    (labels[at..] == *domain).then(|| &labels[..at])
}

/// The labels as text.
pub(crate) fn texts(labels: &[u8]) -> impl Iterator<Item = &[u8]> {
    suffixes(labels).filter_map(|at| {
        let length = usize::from(*labels.get(at)?);
        labels.get(at + 1..at + 1 + length)
    })
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = |why: &str| Invalid::new("name", text, why);
        let without_root = text.strip_suffix('.').unwrap_or(text);
        let mut bytes = Vec::with_capacity(text.len() + 1);
        for label in without_root.split('.') {
            if label.is_empty() {
                return Err(refuse("has an empty label"));
            }
            if !label.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(refuse("has a character that is not printable ASCII"));
            }
            let length = u8::try_from(label.len()).ok().filter(|length| usize::from(*length) <= LONGEST_LABEL);
            bytes.push(length.ok_or_else(|| refuse("has a label of more than 63 bytes"))?);
            bytes.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        if bytes.len() > LONGEST {
            return Err(refuse("has more than 253 bytes"));
        }
        Ok(Name(bytes.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for (index, label) in texts(&self.0).enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            // As zone files have it (RFC 1035, 5.1): a packet can have any byte in a label.
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' => write!(f, "\\{}", char::from(byte))?,
                    0x21..=0x7e => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn case_and_a_last_dot_make_no_difference() {
        assert_eq!(name("Web.Blue."), name("web.blue"));
        assert_eq!(name("WEB.blue").to_string(), "web.blue");
    }

    #[test]
    fn a_name_is_in_a_domain_by_whole_labels() {
        let inner = |text: &str, domain: &str| name(text).before(&name(domain)).map(<[u8]>::to_vec);
        assert_eq!(inner("web.zubi.internal", "zubi.internal"), Some(b"\x03web".to_vec()));
        assert_eq!(inner("zubi.internal", "zubi.internal"), Some(Vec::new()));
        assert_eq!(inner("xzubi.internal", "zubi.internal"), None);
        assert_eq!(inner("internal", "zubi.internal"), None);
    }

    #[test]
    fn what_no_question_can_ask_for_is_no_name() {
        let long = "a".repeat(64);
        for bad in ["", ".", "a..b", "a b", "ü", &long, &["a".repeat(63).as_str(); 4].join(".")] {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
        assert!(["a".repeat(63).as_str(); 3].join(".").parse::<Name>().is_ok());
    }
}
