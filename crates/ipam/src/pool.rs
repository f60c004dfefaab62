//! Address pools: the source of subnets for networks that name none.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use zubi_model::{Family, Invalid, Subnet};

/// A prefix to be cut into subnets of one size. Written `BASE,SIZE`, as in `10.201.0.0/16,24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    base: IpNet,
    size: u8,
}

impl AddressPool {
    /// The pool that cuts `base` into subnets with prefix length `size`.
    pub fn new(base: IpNet, size: u8) -> Result<Self, Invalid> {
        let text = format!("{base},{size}");
        Subnet::try_from(base).map_err(|e| Invalid { what: "address pool", value: text.clone(), ..e })?;
        let longest = if base.addr().is_ipv4() { 30 } else { 126 };
        if size < base.prefix_len() {
            return Err(Invalid::new(
                "address pool",
                text,
                format!("subnets of size /{size} do not fit into a /{}", base.prefix_len()),
            )
            .try_instead(format!("choose a size from {} to {longest}", base.prefix_len())));
        }
        if size > longest {
            return Err(Invalid::new(
                "address pool",
                text,
                format!("subnets of size /{size} have no room for a gateway and an endpoint"),
            )
            .try_instead(format!("choose a size from {} to {longest}", base.prefix_len())));
        }
        Ok(AddressPool { base, size })
    }

    /// The prefix that is cut into subnets.
    pub fn base(self) -> IpNet {
        self.base
    }

    /// The prefix length of the subnets.
    pub fn size(self) -> u8 {
        self.size
    }

    /// The family of base and subnets.
    pub fn family(self) -> Family {
        Family::of(self.base.addr())
    }
}

impl FromStr for AddressPool {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = |why: &str| Invalid::new("address pool", text, why).try_instead("write it as in 10.201.0.0/16,24");
        let (base, size) = text.split_once(',').ok_or_else(|| wrong("has no comma between base and size"))?;
        let base: IpNet = base.parse().map_err(|_| wrong("does not begin with an address and prefix length"))?;
        if size.is_empty() || !size.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong("does not end with a prefix length"));
        }
        let size: u8 = size.parse().map_err(|_| wrong("does not end with a prefix length"))?;
        AddressPool::new(base, size)
    }
}

impl fmt::Display for AddressPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.base, self.size)
    }
}

/// The pools of a host, tried in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPools(Vec<AddressPool>);

impl AddressPools {
    /// The pools that an administrator configured.
    pub fn new(pools: Vec<AddressPool>) -> Self {
        AddressPools(pools)
    }

    /// The pools of a host without configuration: a part of 10/8 that few other programs use, the other private IPv4
    /// prefixes, and one IPv6 prefix from `global_id` (RFC 4193, 3.2): 40 random bits that the host keeps.
    pub fn standard(global_id: [u8; 5]) -> Self {
        let v4 = |a, b, bits| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), bits));
        let mut ula = [0; 16];
        ula[0] = 0xfd;
        ula[1..6].copy_from_slice(&global_id);
        AddressPools(vec![
            AddressPool { base: v4(10, 201, 16), size: 24 },
            AddressPool { base: v4(172, 16, 12), size: 24 },
            AddressPool { base: v4(192, 168, 16), size: 24 },
            AddressPool { base: IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(ula), 48)), size: 64 },
        ])
    }

    /// The pools of one family, in order.
    pub fn of(&self, family: Family) -> impl Iterator<Item = AddressPool> + '_ {
        self.0.iter().copied().filter(move |pool| pool.family() == family)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_reads_back_as_written() {
        for text in ["10.200.0.0/16,24", "10.0.0.0/24,24", "fd00:1::/48,64", "192.168.0.0/16,30"] {
            assert_eq!(text.parse::<AddressPool>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn pools_that_cannot_be_cut_are_refused() {
        for (text, why) in [
            ("10.200.0.0/16", "no comma"),
            ("10.200.0.0,24", "does not begin"),
            ("10.200.0.0/16,", "does not end"),
            ("10.200.0.0/16,+24", "does not end"),
            ("10.200.0.0/16,999", "does not end"),
            ("10.200.0.0/16,15", "do not fit into a /16; choose a size from 16 to 30"),
            ("10.200.0.0/16,31", "no room"),
            ("fd00::/48,127", "no room"),
            ("10.200.0.9/16,24", "host bits"),
            ("127.0.0.0/8,24", "loopback"),
            ("fe80::/10,64", "link-local"),
        ] {
            let error = text.parse::<AddressPool>().unwrap_err();
            assert_eq!(error.what, "address pool");
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn the_standard_pools_obey_the_rules_for_pools() {
        let pools = AddressPools::standard([0x12, 0x34, 0x56, 0x78, 0x9a]);
        for pool in pools.of(Family::V4).chain(pools.of(Family::V6)) {
            assert_eq!(AddressPool::new(pool.base(), pool.size()).unwrap(), pool);
        }
        assert_eq!(pools.of(Family::V6).next().unwrap().to_string(), "fd12:3456:789a::/48,64");
    }
}
