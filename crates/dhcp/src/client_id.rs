//! By what a server recognises a client (option 61).
//!
//! # The format
//!
//! ```text
//!  ff | IAID, 4 bytes | 00 04 | UUID, 16 bytes            RFC 4361, 6.1; RFC 6355: DUID-UUID
//!     | network       |       | sandbox
//! ```
//!
//! The UUID (version 8, RFC 9562) is a hash of the sandbox's name and the IAID one of the network's, both under the
//! host's key. So a sandbox that is made again under its name gets the same address again, one that is on two networks
//! of one server gets two, and sandboxes of the same name on two hosts are two clients: with the names alone, two hosts
//! on one LAN would be given one address. The hash keeps the key secret, as machine-id(5) asks for.

use crate::siphash::siphash128;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use zubi_model::{Invalid, NetworkName};

/// The type that announces IAID and DUID (RFC 4361, 6.1).
const NODE_SPECIFIC: u8 = 255;
const DUID_UUID: [u8; 2] = [0, 4];

/// What distinguishes this host from others and stays: the machine id, or 16 random bytes on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HostKey(pub [u8; 16]);

/// A client identifier: 2 to 255 bytes (RFC 2132, 9.14). Written in hex: `ff:0a:1b`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(Vec<u8>);

impl ClientId {
    /// That of the endpoint of `sandbox` on `network`. `sandbox` is the name that stays when the sandbox is made again:
    /// `web`, not the id of a container.
    pub fn new(host: HostKey, network: &NetworkName, sandbox: &str) -> Self {
        let [a, b, c, d, ..] = siphash128(host.0, format!("network\0{network}").as_bytes());
        let mut uuid = siphash128(host.0, format!("sandbox\0{sandbox}").as_bytes());
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        let mut bytes = vec![NODE_SPECIFIC, a, b, c, d];
        bytes.extend(DUID_UUID);
        bytes.extend(uuid);
        ClientId(bytes)
    }

    /// As on the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.0
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

impl fmt::Debug for HostKey {
    /// It is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: HostKey = HostKey(*b"0123456789abcdef");

    fn id(host: HostKey, network: &str, sandbox: &str) -> ClientId {
        ClientId::new(host, &network.parse().unwrap(), sandbox)
    }

    /// A change of this text costs every endpoint its address.
    #[test]
    fn the_identifier_of_an_endpoint_never_changes() {
        assert_eq!(
            id(HOST, "lan", "web").to_string(),
            "ff:d8:1c:b0:a9:00:04:80:a3:38:c4:65:9d:83:a9:86:4c:77:d9:e6:dd:4c:e7"
        );
    }

    #[test]
    fn host_network_and_sandbox_each_make_a_difference() {
        let web = id(HOST, "lan", "web");
        assert_eq!(web.bytes().len(), 23);
        assert_ne!(web, id(HostKey(*b"0123456789abcdeg"), "lan", "web"));
        let (other_network, other_sandbox) = (id(HOST, "dmz", "web"), id(HOST, "lan", "db"));
        assert_eq!((&web.bytes()[5..], &web.bytes()[..5]), (&other_network.bytes()[5..], &other_sandbox.bytes()[..5]));
        assert_ne!(web.bytes()[..5], other_network.bytes()[..5]);
        assert_ne!(web.bytes()[5..], other_sandbox.bytes()[5..]);
    }

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
