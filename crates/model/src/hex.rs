//! Ids made of random bytes and written as lower-case hex digits.

use std::fmt::Write as _;

/// An id of `$bytes` random bytes: a newtype over its digits, read and written as text.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// From random bytes.
            pub fn from_random(bytes: [u8; $bytes]) -> Self {
                $name($crate::hex::digits(&bytes))
            }

            /// All digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first twelve digits, for tables.
            pub fn short(&self) -> &str {
                self.0.get(..12).unwrap_or(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Invalid;
            fn from_str(text: &str) -> Result<Self, $crate::Invalid> {
                $crate::hex::check($what, text, 2 * $bytes)?;
                Ok($name(text.to_owned()))
            }
        }

        $crate::text::written_as_text!($name);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}
pub(crate) use hex_id;

pub(crate) fn digits(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

pub(crate) fn check(what: &'static str, text: &str, count: usize) -> Result<(), crate::Invalid> {
    let fits = text.len() == count && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if fits { Ok(()) } else { Err(crate::Invalid::new(what, text, format!("is not {count} lower-case hex digits"))) }
}

#[cfg(test)]
mod tests {
    use crate::{EndpointId, LinkId, NetworkId};

    #[test]
    fn an_id_reads_back_as_written() {
        let id = NetworkId::from_random([0x0a; 32]);
        assert_eq!(id.as_str(), "0a".repeat(32));
        assert_eq!(id.short(), "0a0a0a0a0a0a");
        assert_eq!(id.to_string().parse::<NetworkId>().unwrap(), id);
        assert_eq!(LinkId::from_random([0xff; 5]).short(), "ffffffffff");
    }

    #[test]
    fn other_lengths_and_digits_are_refused() {
        for bad in ["", "0a", &"0A".repeat(32), &"0g".repeat(32), &"0a".repeat(33)] {
            assert!(bad.parse::<EndpointId>().is_err(), "{bad}");
        }
        let error = "xyz".parse::<LinkId>().unwrap_err().to_string();
        assert_eq!(error, "link id `xyz`: is not 10 lower-case hex digits");
    }
}
