//! By what a DHCP server recognises a client (option 61).

use crate::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A client identifier: 2 to 255 bytes (RFC 2132, 9.14). Written in hex: `ff:0a:1b`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(Vec<u8>);

impl ClientId {
    /// As on the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for ClientId {
    type Error = Invalid;
    fn try_from(bytes: Vec<u8>) -> Result<Self, Invalid> {
        match bytes.len() {
            2..=255 => Ok(ClientId(bytes)),
            length => Err(Invalid::new("client id", format!("of {length} bytes"), "is not 2 to 255 bytes long")),
        }
    }
}

impl FromStr for ClientId {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let byte = |part: &str| u8::from_str_radix(part, 16).ok().filter(|_| digits(part));
        let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
        match bytes {
            Some(bytes) if (2..=255).contains(&bytes.len()) => Ok(ClientId(bytes)),
            _ => Err(Invalid::new("client id", text, "is not 2 to 255 bytes in hex")
                .try_instead("write it like 01:02:42:0a:00:00:02")),
        }
    }
}

impl TryFrom<String> for ClientId {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> String {
        id.to_string()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: Vec<String> = self.0.iter().map(|b| format!("{b:02x}")).collect();
        f.pad(&digits.join(":"))
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_as_written() {
        for text in ["01:02:42:0a:00:00:02", "ff:00"] {
            assert_eq!(text.parse::<ClientId>().unwrap().to_string(), text);
        }
        for bad in ["", "01", "01:", "1:2", "01:zz", "+1:02", &["00"; 256].join(":")] {
            assert!(bad.parse::<ClientId>().is_err(), "{bad}");
        }
    }
}
