//! Links: two sandboxes, or one and the host, wired directly by a veth pair.

use crate::hex::hex_id;
use crate::{Family, IfName, Invalid, Mac, Mtu, NetnsCookie, SandboxIdentity, SandboxRef};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where a user wants an end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkPlaceRef {
    /// `host`.
    Host,
    /// Any spelling of a sandbox.
    Sandbox(SandboxRef),
}

impl fmt::Display for LinkPlaceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkPlaceRef::Host => f.write_str("host"),
            LinkPlaceRef::Sandbox(sandbox) => write!(f, "{sandbox}"),
        }
    }
}

/// An end of a link as a user writes it: `c1:veth0`, `docker:web:eth1`, `host:uplink0`. (A sandbox of the name `host`
/// is reached by its path.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEndRef {
    /// Where.
    pub place: LinkPlaceRef,
    /// The device there.
    pub ifname: IfName,
}

impl FromStr for LinkEndRef {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        // A device name has no colon, a sandbox's may.
        let Some((place, ifname)) = text.rsplit_once(':') else {
            return Err(Invalid::new("end of a link", text, "names no device").try_instead("write SANDBOX:DEVICE"));
        };
        if place.is_empty() {
            let next = "write SANDBOX:DEVICE, or host:DEVICE";
            return Err(Invalid::new("end of a link", text, "names no sandbox").try_instead(next));
        }
        if ["pid", "docker", "podman", "containerd"].contains(&place) {
            let next = format!("write {text}:DEVICE");
            return Err(Invalid::new("end of a link", text, "names no device").try_instead(next));
        }
        let place = if place == "host" { LinkPlaceRef::Host } else { LinkPlaceRef::Sandbox(place.parse()?) };
        Ok(LinkEndRef { place, ifname: ifname.parse()? })
    }
}

impl fmt::Display for LinkEndRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.place, self.ifname)
    }
}

/// One family's addresses of both ends: `10.0.0.1/24,10.0.0.2/24`. Either may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkAddresses {
    /// Of the first and of the second end.
    pub ends: [Option<IpNet>; 2],
}

impl FromStr for LinkAddresses {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = |why: &str| {
            Invalid::new("addresses", text, why)
                .try_instead("write them like 10.0.0.1/24,10.0.0.2/24; either may be left out")
        };
        let mut parts = text.split(',');
        let mut ends = [None, None];
        for end in &mut ends {
            let part = parts.next().ok_or_else(|| wrong("are not two, with a comma between"))?;
            if !part.is_empty() {
                *end = Some(part.parse().map_err(|_| wrong("are not addresses with a prefix length"))?);
            }
        }
        if parts.next().is_some() {
            return Err(wrong("are more than two"));
        }
        match ends {
            [None, None] => return Err(wrong("are both left out")),
            [Some(a), Some(b)] => check_together(text, a, b)?,
            _ => {}
        }
        for address in ends.iter().flatten() {
            check_address(*address)?;
        }
        Ok(LinkAddresses { ends })
    }
}

fn check_together(text: &str, a: IpNet, b: IpNet) -> Result<(), Invalid> {
    let refuse = |why: &str| Invalid::new("addresses", text, why);
    if Family::of(a.addr()) != Family::of(b.addr()) {
        return Err(refuse("mix IPv4 and IPv6").try_instead("give --address once for each family"));
    }
    if a.addr() == b.addr() {
        return Err(refuse("are the same"));
    }
    if !a.contains(&b.addr()) || !b.contains(&a.addr()) {
        return Err(refuse("are not in one subnet: the ends would not reach each other"));
    }
    Ok(())
}

/// Refuses an address that no device can have.
fn check_address(address: IpNet) -> Result<(), Invalid> {
    let ip = address.addr();
    let refuse = |why: String| Err(Invalid::new("address", address, why));
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || ip == IpAddr::from([255; 4]) {
        return refuse("is not an address of one device".into());
    }
    if address.prefix_len() == 0 {
        return refuse("has a subnet that is everything".into());
    }
    let most = if ip.is_ipv4() { 31 } else { 127 };
    if address.prefix_len() < most && ip == address.network() {
        return refuse(format!("is the name of its subnet {}", address.trunc()));
    }
    if ip.is_ipv4() && address.prefix_len() < most && ip == address.broadcast() {
        return refuse("is the broadcast address of its subnet".into());
    }
    Ok(())
}

/// What a caller wishes of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkWishes {
    /// Its ends.
    pub ends: [LinkEndRef; 2],
    /// The addresses of each; none, or at most one of a family.
    pub addresses: [Vec<IpNet>; 2],
    /// The kernel's default (1500) when absent.
    pub mtu: Option<Mtu>,
}

impl LinkWishes {
    /// Gives each end its addresses, and refuses what could never be granted.
    pub fn new(ends: [LinkEndRef; 2], addresses: &[LinkAddresses], mtu: Option<Mtu>) -> Result<Self, Invalid> {
        let mut of_ends: [Vec<IpNet>; 2] = [Vec::new(), Vec::new()];
        for pair in addresses {
            for (end, address) in pair.ends.iter().enumerate() {
                let Some(address) = address else { continue };
                let family = Family::of(address.addr());
                if of_ends[end].iter().any(|a| Family::of(a.addr()) == family) {
                    let why = format!("is a second {family} address of {}", ends[end]);
                    return Err(Invalid::new("address", address, why));
                }
                of_ends[end].push(*address);
            }
        }
        for a in &of_ends[0] {
            if let Some(b) = of_ends[1].iter().find(|b| Family::of(a.addr()) == Family::of(b.addr())) {
                check_together(&format!("{a},{b}"), *a, *b)?;
            }
        }
        for addresses in &mut of_ends {
            addresses.sort_by_key(|a| Family::of(a.addr()));
        }
        let has_ipv6 = of_ends.iter().flatten().any(|a| a.addr().is_ipv6());
        if let Some(mtu) = mtu.filter(|_| has_ipv6) {
            mtu.carries_ipv6()?;
        }
        if ends.iter().all(|e| e.place == LinkPlaceRef::Host) {
            let why = "has both ends on the host";
            let link = format!("{} {}", ends[0], ends[1]);
            return Err(
                Invalid::new("link", link, why).try_instead("put one into a sandbox: zubi sandbox add makes one")
            );
        }
        if ends[0] == ends[1] {
            return Err(Invalid::new("link", format!("{} {}", ends[0], ends[1]), "has the same end twice"));
        }
        Ok(LinkWishes { ends, addresses: of_ends, mtu })
    }
}

/// Where an end of a link is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkPlace {
    /// On the host.
    Host,
    /// In a sandbox.
    Sandbox(SandboxIdentity),
}

impl LinkPlace {
    /// Its sandbox, unless it is the host.
    pub fn sandbox(&self) -> Option<&SandboxIdentity> {
        match self {
            LinkPlace::Host => None,
            LinkPlace::Sandbox(sandbox) => Some(sandbox),
        }
    }

    /// Which namespace it is; `None` for the host.
    pub fn cookie(&self) -> Option<NetnsCookie> {
        self.sandbox().map(|s| s.cookie)
    }

    /// As the user called it.
    pub fn spelled(&self) -> &str {
        self.sandbox().map_or("host", |s| &s.spelled)
    }
}

/// One end of a link with everything decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkEnd {
    /// Where it is.
    pub place: LinkPlace,
    /// The device there.
    pub ifname: IfName,
    /// Chosen at random, so that the device is recognised by it.
    pub mac: Mac,
    /// IPv4 first; may be none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpNet>,
}

impl LinkEnd {
    /// Whether this is the device of that name in that namespace (`None`: the host).
    pub fn is(&self, cookie: Option<NetnsCookie>, ifname: &IfName) -> bool {
        self.place.cookie() == cookie && self.ifname == *ifname
    }

    /// Whether it has an IPv6 address.
    pub fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(|a| a.addr().is_ipv6())
    }
}

impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.place.spelled(), self.ifname)
    }
}

hex_id!(
    /// What distinguishes links: ten hex digits.
    LinkId, "link id", 5
);

/// A link as it is recorded: enough to make it, to recognise it and to undo it when one of the namespaces is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectLink {
    /// Its number.
    pub id: LinkId,
    /// Both ends, in the order they were asked for.
    pub ends: [LinkEnd; 2],
    /// Of both ends; the kernel's default (1500) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// Nanoseconds of the boot clock.
    pub made_at: u64,
}

impl DirectLink {
    /// The sandboxes it wires, each once, in the order in which they are locked.
    pub fn cookies(&self) -> Vec<NetnsCookie> {
        let mut cookies: Vec<NetnsCookie> = self.ends.iter().filter_map(|e| e.place.cookie()).collect();
        cookies.sort_unstable();
        cookies.dedup();
        cookies
    }
}

impl fmt::Display for DirectLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - {}", self.ends[0], self.ends[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_split_at_its_last_colon() {
        for text in ["c1:veth0", "pid:4711:eth1", "docker:web:eth1", "lxc:web:eth1", "/run/a:b/ns:x", "host:lan0"] {
            assert_eq!(text.parse::<LinkEndRef>().unwrap().to_string(), text);
        }
        assert_eq!("host:x".parse::<LinkEndRef>().unwrap().place, LinkPlaceRef::Host);
    }

    #[test]
    fn an_end_without_a_device_says_how_to_write_it() {
        let error = |text: &str| text.parse::<LinkEndRef>().unwrap_err().to_string();
        assert_eq!(error("c1"), "end of a link `c1`: names no device; write SANDBOX:DEVICE");
        assert_eq!(error("docker:web"), "end of a link `docker:web`: names no device; write docker:web:DEVICE");
        for bad in [":eth0", "c1:", "c1:a/b", "a/b:eth0", "rkt:a:eth0", "c1:sixteen-bytes-ab"] {
            assert!(bad.parse::<LinkEndRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_come_in_pairs_of_one_subnet() {
        let read = |text: &str| text.parse::<LinkAddresses>();
        assert_eq!(read("10.0.0.1/24,").unwrap().ends[1], None);
        assert_eq!(read(",fd00::2/64").unwrap().ends[0], None);
        for good in [
            "10.0.0.0/31,10.0.0.1/31",
            "10.0.0.1/30,10.0.0.2/30",
            "fd00::1/127,fd00::/127",
            "169.254.1.1/30,169.254.1.2/30",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("10.0.0.1/24", "are not two"),
            (",", "both left out"),
            ("10.0.0.1/24,10.0.0.2/24,", "more than two"),
            ("10.0.0.1,10.0.0.2", "prefix length"),
            ("10.0.0.1/24,fd00::2/64", "mix IPv4 and IPv6"),
            ("10.0.0.1/24,10.0.0.1/24", "are the same"),
            ("10.0.0.1/24,10.0.1.2/24", "not in one subnet"),
            ("10.0.0.1/16,10.0.1.2/24", "not in one subnet"),
            ("10.0.0.0/24,", "name of its subnet"),
            ("10.0.0.255/24,", "broadcast"),
            ("127.0.0.1/8,", "not an address of one device"),
            ("224.0.0.1/24,", "not an address of one device"),
            ("::1/128,", "not an address of one device"),
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    fn wishes(addresses: &[&str], mtu: Option<u32>) -> Result<LinkWishes, Invalid> {
        let addresses: Vec<LinkAddresses> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        let ends = ["c1:a".parse().unwrap(), "c2:b".parse().unwrap()];
        LinkWishes::new(ends, &addresses, mtu.map(|m| m.try_into().unwrap()))
    }

    #[test]
    fn each_end_has_one_address_of_a_family() {
        let both = wishes(&["fd00::1/64,fd00::2/64", "10.0.0.1/24,10.0.0.2/24"], None).unwrap();
        assert_eq!(
            both.addresses[0].iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.1/24", "fd00::1/64"]
        );
        assert!(
            wishes(&["10.0.0.1/24,", "10.0.0.2/24,"], None).unwrap_err().why.contains("second IPv4 address of c1:a")
        );
        assert!(wishes(&["10.0.0.1/24,", ",10.0.0.1/24"], None).unwrap_err().why.contains("are the same"));
    }

    #[test]
    fn ipv6_needs_its_mtu() {
        assert!(wishes(&["fd00::1/64,fd00::2/64"], Some(1279)).is_err());
        assert!(wishes(&["10.0.0.1/24,10.0.0.2/24"], Some(1279)).is_ok());
    }

    #[test]
    fn a_link_has_two_ends_and_one_is_in_a_sandbox() {
        let link = |a: &str, b: &str| LinkWishes::new([a.parse().unwrap(), b.parse().unwrap()], &[], None);
        assert!(link("c1:a", "c1:a").unwrap_err().why.contains("same end twice"));
        assert!(link("host:a", "host:b").unwrap_err().why.contains("both ends on the host"));
        assert!(link("c1:a", "c1:b").is_ok());
    }
}
