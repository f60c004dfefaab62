//! Owners of the host's published ports.
//!
//! Each block of 256 ports has a file, so the cost of a query or a claim does not depend on how many other ports are
//! published. A line is `FIRST-LAST ADDRESS COOKIE.NETWORK`. A range over several blocks has a line in each of them.

use crate::disk::{self, Durability};
use crate::key::parse_key;
use crate::{PortsLock, Store, StoreError};
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use zubi_model::{EndpointKey, PortNumber, PortRange, Protocol};

/// Ports that have an owner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortClaim {
    /// The protocol.
    pub protocol: Protocol,
    /// The host's address; the unspecified address stands for all of its family.
    pub address: IpAddr,
    /// The ports.
    pub ports: PortRange,
    /// The endpoint that publishes them.
    pub owner: EndpointKey,
}

impl PortClaim {
    /// Whether the two exclude each other, as sockets bound to these ports would.
    pub fn collides(&self, other: &PortClaim) -> bool {
        let one_of_many = self.address.is_unspecified() || other.address.is_unspecified();
        self.protocol == other.protocol
            && self.ports.overlaps(other.ports)
            && self.address.is_ipv4() == other.address.is_ipv4()
            && (self.address == other.address || one_of_many)
    }

    fn blocks(&self) -> impl Iterator<Item = u8> {
        let block = |port: PortNumber| port.0.to_be_bytes()[0];
        block(self.ports.first())..=block(self.ports.last())
    }
}

impl fmt::Display for PortClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {} at {} of sandbox {}", self.protocol, self.ports, self.address, self.owner)
    }
}

impl Store {
    /// The claims of other endpoints that collide with this one.
    pub fn ports_in_the_way(&self, claim: &PortClaim) -> Result<Vec<PortClaim>, StoreError> {
        let mut found = Vec::new();
        for number in claim.blocks() {
            let block = self.block(claim.protocol, number)?;
            for line in block.lines() {
                let other = line?.claim;
                if other.collides(claim) && other.owner != claim.owner && !found.contains(&other) {
                    found.push(other);
                }
            }
        }
        Ok(found)
    }

    /// Claims ports, after [`Store::ports_in_the_way`] found none. A second claim changes nothing.
    pub fn claim_ports(&self, _ports: &PortsLock, claim: &PortClaim) -> Result<(), StoreError> {
        for number in claim.blocks() {
            let mut block = self.block(claim.protocol, number)?;
            let mut is_there = false;
            for line in block.lines() {
                is_there |= line?.claim == *claim;
            }
            if !is_there {
                let PortClaim { ports, address, owner, .. } = claim;
                // Writing to a string does not fail.
                writeln!(block.text, "{ports} {address} {owner}").unwrap_or_default();
                self.disk.replace(&block.path, block.text.as_bytes(), Durability::Boot)?;
            }
        }
        Ok(())
    }

    /// Releases ports. Does nothing if they are free or have another owner.
    pub fn release_ports(&self, _ports: &PortsLock, claim: &PortClaim) -> Result<(), StoreError> {
        for number in claim.blocks() {
            let block = self.block(claim.protocol, number)?;
            let mut kept = String::with_capacity(block.text.len());
            for line in block.lines() {
                let Line { text, claim: other } = line?;
                if other != *claim {
                    kept.push_str(text);
                    kept.push('\n');
                }
            }
            if kept.len() == block.text.len() {
                continue;
            }
            if kept.is_empty() {
                self.disk.remove(&block.path, Durability::Boot)?;
            } else {
                self.disk.replace(&block.path, kept.as_bytes(), Durability::Boot)?;
            }
        }
        Ok(())
    }

    /// All claimed ports, in order.
    pub fn ports(&self) -> Result<Vec<PortClaim>, StoreError> {
        let mut all = Vec::new();
        for protocol in Protocol::ALL {
            let folder = self.ports_folder(protocol);
            for name in disk::list(&folder)? {
                let Some(block) = name.parse().ok().filter(|b: &u8| b.to_string() == name) else {
                    return Err(StoreError::unreadable(&folder.join(name), "is not named as a block of ports"));
                };
                for line in self.block(protocol, block)?.lines() {
                    all.push(line?.claim);
                }
            }
        }
        all.sort_unstable();
        // A range has a line in each of its blocks.
        all.dedup();
        Ok(all)
    }

    fn block(&self, protocol: Protocol, number: u8) -> Result<Block, StoreError> {
        let path = self.ports_folder(protocol).join(number.to_string());
        let content = disk::read(&path)?.unwrap_or_default();
        let text = String::from_utf8(content).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        Ok(Block { protocol, path, text })
    }

    pub(crate) fn ports_folder(&self, protocol: Protocol) -> PathBuf {
        self.disk.run().join("ports").join(protocol.to_string())
    }
}

/// The file of 256 ports.
struct Block {
    protocol: Protocol,
    path: PathBuf,
    text: String,
}

struct Line<'a> {
    text: &'a str,
    claim: PortClaim,
}

impl Block {
    fn lines(&self) -> impl Iterator<Item = Result<Line<'_>, StoreError>> {
        self.text.lines().map(|text| Ok(Line { text, claim: read_line(self.protocol, text, &self.path)? }))
    }
}

fn read_line(protocol: Protocol, line: &str, path: &Path) -> Result<PortClaim, StoreError> {
    let read = || {
        let (ports, rest) = line.split_once(' ')?;
        let (address, owner) = rest.split_once(' ')?;
        let (ports, address, owner) = (ports.parse().ok()?, address.parse().ok()?, parse_key(owner)?);
        Some(PortClaim { protocol, address, ports, owner })
    };
    let why = || format!("has a line that is not PORTS ADDRESS ENDPOINT: {line:?}");
    read().ok_or_else(|| StoreError::unreadable(path, &why()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, key};
    use std::fs;

    fn claim(ports: &str, address: &str, cookie: u64) -> PortClaim {
        PortClaim {
            protocol: Protocol::Tcp,
            address: address.parse().unwrap(),
            ports: ports.parse().unwrap(),
            owner: key(cookie, "blue"),
        }
    }

    #[test]
    fn a_port_has_one_owner_until_that_one_releases_it() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = store.lock_ports(&store.lock_host().unwrap()).unwrap();
        let (a, b) = (claim("8080", "0.0.0.0", 5), claim("8080", "127.0.0.1", 6));
        store.claim_ports(&held, &a).unwrap();
        store.claim_ports(&held, &a).unwrap();
        assert_eq!(store.ports_in_the_way(&b).unwrap(), std::slice::from_ref(&a));
        assert!(store.ports_in_the_way(&a).unwrap().is_empty());
        assert!(store.ports_in_the_way(&claim("8080", "::", 6)).unwrap().is_empty());
        store.release_ports(&held, &claim("8080", "0.0.0.0", 6)).unwrap();
        assert_eq!(store.ports().unwrap(), std::slice::from_ref(&a));
        store.release_ports(&held, &a).unwrap();
        store.release_ports(&held, &a).unwrap();
        assert!(store.ports_in_the_way(&b).unwrap().is_empty());
        drop(held);
        assert_eq!(scratch.tree("run"), ["host.json", "lock/host", "lock/ports", "ports/tcp/"]);
    }

    #[test]
    fn a_range_over_several_blocks_is_one_claim() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = store.lock_ports(&store.lock_host().unwrap()).unwrap();
        let range = claim("250-1000", "192.0.2.1", 5);
        store.claim_ports(&held, &range).unwrap();
        assert_eq!(store.ports().unwrap(), std::slice::from_ref(&range));
        for port in ["250", "255", "256", "700", "1000"] {
            assert_eq!(store.ports_in_the_way(&claim(port, "0.0.0.0", 6)).unwrap().len(), 1, "{port}");
        }
        for port in ["249", "1001"] {
            assert!(store.ports_in_the_way(&claim(port, "0.0.0.0", 6)).unwrap().is_empty(), "{port}");
        }
        assert_eq!(store.ports_in_the_way(&claim("1-65535", "192.0.2.1", 6)).unwrap(), std::slice::from_ref(&range));
        store.release_ports(&held, &range).unwrap();
        assert!(store.ports().unwrap().is_empty());
    }

    #[test]
    fn a_file_that_makes_no_sense_is_reported_and_kept() {
        let scratch = Scratch::new();
        let store = scratch.store();
        let held = store.lock_ports(&store.lock_host().unwrap()).unwrap();
        store.claim_ports(&held, &claim("80", "0.0.0.0", 5)).unwrap();
        let path = scratch.path("run/ports/tcp/0");
        for bad in ["80", "80 0.0.0.0", "80 x 5.blue", "0 0.0.0.0 5.blue", "80 0.0.0.0 blue"] {
            fs::write(&path, bad).unwrap();
            let error = store.claim_ports(&held, &claim("81", "0.0.0.0", 5)).unwrap_err().to_string();
            assert!(error.contains("is not PORTS ADDRESS ENDPOINT"), "{bad}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
    }
}
