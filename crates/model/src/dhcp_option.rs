//! What a client tells DHCP servers of itself, beside what the protocol needs.

use crate::{Alias, ClientId, Invalid};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What a caller wishes of the conversation with DHCP servers; everything left out is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DhcpWishes {
    /// How long to wait for a server; the usual time when absent.
    pub patience: Option<Duration>,
    /// The name that stays when the sandbox is made again, where its own is made anew with it. Servers know it by this.
    pub name: Option<String>,
    /// The client id; made from the name when absent.
    pub client: Option<ClientId>,
    /// Further options that servers are told.
    pub told: Vec<DhcpOption>,
}

/// An option that a client sends: a code with 1 to 255 bytes (RFC 2132). Written as the code and the bytes in hex:
/// `12=77:65:62`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DhcpOption {
    code: u8,
    value: Vec<u8>,
}

impl DhcpOption {
    /// The host name, for the server's DNS.
    pub const HOST_NAME: u8 = 12;
    /// What program the client is.
    pub const VENDOR_CLASS: u8 = 60;
    /// The client id: [`DhcpWishes::client`].
    pub const CLIENT_ID: u8 = 61;
    /// Codes of which the client itself decides: filler, requested address, lease time, overload, message type, server,
    /// wanted options, text, largest message, T1, T2, client id, end.
    const OF_THE_PROTOCOL: [u8; 13] = [0, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, DhcpOption::CLIENT_ID, 255];

    /// Refuses the codes of which the client itself decides.
    pub fn new(code: u8, value: impl Into<Vec<u8>>) -> Result<Self, Invalid> {
        let value = value.into();
        if Self::OF_THE_PROTOCOL.contains(&code) {
            return Err(Invalid::new("DHCP option", code, "is the protocol's own: the client sends it as it needs it"));
        }
        match value.len() {
            1..=255 => Ok(DhcpOption { code, value }),
            length => Err(Invalid::new("DHCP option", code, format!("has {length} bytes, not 1 to 255"))),
        }
    }

    /// The host name that resembles a name; `None` when nothing is left of it.
    pub fn host_name(name: &str) -> Option<Self> {
        let label = name.parse::<Alias>().ok()?.as_label()?;
        DhcpOption::new(Self::HOST_NAME, label).ok()
    }

    /// The code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// As on the wire.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

impl FromStr for DhcpOption {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("DHCP option", text, "is not a code and bytes in hex, as 12=77:65:62");
        let (code, value) = text.split_once('=').ok_or_else(wrong)?;
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let byte = |part: &str| u8::from_str_radix(part, 16).ok().filter(|_| digits(part)).ok_or_else(wrong);
        let value: Vec<u8> = value.split(':').map(byte).collect::<Result<_, _>>()?;
        DhcpOption::new(code.parse().map_err(|_| wrong())?, value)
    }
}

impl TryFrom<String> for DhcpOption {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<DhcpOption> for String {
    fn from(option: DhcpOption) -> String {
        option.to_string()
    }
}

impl fmt::Display for DhcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: Vec<String> = self.value.iter().map(|b| format!("{b:02x}")).collect();
        write!(f, "{}={}", self.code, digits.join(":"))
    }
}

impl fmt::Debug for DhcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_as_written() {
        let web = DhcpOption::new(12, "web").unwrap();
        assert_eq!(web.to_string(), "12=77:65:62");
        assert_eq!("12=77:65:62".parse(), Ok(web));
        for bad in
            ["", "12", "12=", "12=7", "12=zz", "256=00", "=00", "53=01", "255=00", &format!("12{}", ":00".repeat(256))]
        {
            assert!(bad.parse::<DhcpOption>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_name_is_one_label() {
        let text = |name: &str| DhcpOption::host_name(name).map(|option| String::from_utf8(option.value).unwrap());
        assert_eq!(text("web_1.example"), Some("web-1-example".into()));
        assert_eq!((text("-"), text("a b"), text(&"x".repeat(64))), (None, None, None));
    }
}
