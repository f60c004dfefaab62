//! A lease: an address for some time, and what a server says of the network.

use crate::domain;
use crate::hosts::{hosts_in, is_host};
use crate::message::Message;
use crate::moment::{Moment, Seconds};
use crate::options::{Options, code};
use crate::routes::Routes;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::time::Duration;
use zubi_model::{Mtu, StaticRoute};

/// As a number of seconds: for ever (RFC 2131, 3.3).
const FOR_EVER: u32 = u32::MAX;

/// An address for some time, with what the server says of the network. Everything that came from the server is
/// checked: a name can stand in resolv.conf, an address is that of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// With the prefix length of the subnet mask. Without a mask it is 32: the classes that a mask was once derived from
    /// are gone, and too short a prefix would hide hosts, while hosts that a /32 leaves out are reached by the router.
    pub address: Ipv4Net,
    /// Who gave it, and renews it.
    pub server: Ipv4Addr,
    /// When the client asked for it: the lease's time begins here (RFC 2131, 4.4.1).
    pub obtained_at: Moment,
    /// How long it lasts; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Seconds>,
    /// T1 as the server says it, counted from the beginning; absent when it does not, or when T2 does not follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t1: Option<Seconds>,
    /// T2 likewise; absent when the end of the lease does not follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t2: Option<Seconds>,
    /// Routers for everything outside, the preferred one first. With an address of prefix length 32 they are on the link
    /// all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routers: Vec<Ipv4Addr>,
    /// Further routes. One to 0.0.0.0/0 has no next hop: everything is on the link.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<StaticRoute>,
    /// The preferred one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<Ipv4Addr>,
    /// The preferred one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp_servers: Vec<Ipv4Addr>,
    /// The domain that the client is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Domains to search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Of the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
}

/// Why an offer or acknowledgement cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Option 54 is missing.
    #[error("it does not say which server it is from")]
    NoServer,
    /// Option 51 is missing or 0.
    #[error("it does not say how long the lease lasts")]
    NoLifetime,
    /// `yiaddr` is no unicast address.
    #[error("{0} is not an address for a host")]
    Address(Ipv4Addr),
    /// Option 1 is no mask.
    #[error("{0} is not a subnet mask")]
    Mask(Ipv4Addr),
}

impl Lease {
    /// What an offer or an acknowledgement gives.
    pub(crate) fn from_reply(reply: &Message, obtained_at: Moment) -> Result<Lease, Unusable> {
        let options = &reply.options;
        let server = reply.server().filter(|server| is_host(*server)).ok_or(Unusable::NoServer)?;
        if !is_host(reply.yours) {
            return Err(Unusable::Address(reply.yours));
        }
        let seconds = options.u32(code::LEASE_TIME).filter(|seconds| *seconds > 0).ok_or(Unusable::NoLifetime)?;
        let lifetime = (seconds != FOR_EVER).then_some(Seconds(seconds));
        let (t1, t2) = lifetime.map_or((None, None), |lifetime| renewal_times(options, lifetime));
        let Routes { routers, further } = Routes::from_options(options);
        Ok(Lease {
            address: Ipv4Net::new_assert(reply.yours, prefix_length(options)?),
            server,
            obtained_at,
            lifetime,
            t1,
            t2,
            routers,
            routes: further,
            dns_servers: hosts_in(options, code::DNS_SERVERS),
            ntp_servers: hosts_in(options, code::NTP_SERVERS),
            domain: options.get(code::DOMAIN).and_then(domain::from_text),
            search: options.get(code::DOMAIN_SEARCH).map(domain::from_wire).unwrap_or_default(),
            mtu: options.u16(code::MTU).and_then(|bytes| Mtu::try_from(u32::from(bytes)).ok()),
        })
    }

    /// T1: the client asks the server that gave the lease. Half of its time unless the server says otherwise. `None`: it
    /// lasts for ever.
    pub fn renew_at(&self) -> Option<Moment> {
        let lifetime = self.lifetime()?;
        Some(self.obtained_at + self.t1.map_or(lifetime / 2, Duration::from))
    }

    /// T2: the client asks every server. Seven eighths of the lease's time unless the server says otherwise.
    pub fn rebind_at(&self) -> Option<Moment> {
        let lifetime = self.lifetime()?;
        Some(self.obtained_at + self.t2.map_or(lifetime * 7 / 8, Duration::from))
    }

    /// From here on nobody may use the address.
    pub fn expires_at(&self) -> Option<Moment> {
        Some(self.obtained_at + self.lifetime()?)
    }

    /// How long it lasts; `None`: for ever.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.lifetime.map(Duration::from)
    }
}

fn prefix_length(options: &Options) -> Result<u8, Unusable> {
    match options.address(code::SUBNET_MASK) {
        None => Ok(32),
        // 0.0.0.0 would put the whole world on the link.
        Some(mask) => match ipnet::ipv4_mask_to_prefix(mask) {
            Ok(length) if length > 0 => Ok(length),
            _ => Err(Unusable::Mask(mask)),
        },
    }
}

/// T1 and T2, as far as the server says them and they keep the order T1, T2, end.
fn renewal_times(options: &Options, lifetime: Seconds) -> (Option<Seconds>, Option<Seconds>) {
    let seconds = |code| options.u32(code).filter(|seconds| *seconds > 0).map(Seconds);
    let lifetime = Duration::from(lifetime);
    let t2 = seconds(code::REBINDING_TIME).filter(|t2| Duration::from(*t2) < lifetime);
    let latest = t2.map_or(lifetime * 7 / 8, Duration::from);
    let t1 = seconds(code::RENEWAL_TIME).filter(|t1| Duration::from(*t1) < latest);
    match t1 {
        None if lifetime / 2 >= latest => (None, None),
        t1 => (t1, t2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Kind, Xid};

    const START: Moment = Moment(1_000_000);

    fn read(options: &[(u8, &[u8])]) -> Result<Lease, Unusable> {
        read_for(Ipv4Addr::new(192, 168, 1, 50), options)
    }

    fn read_for(yours: Ipv4Addr, options: &[(u8, &[u8])]) -> Result<Lease, Unusable> {
        let mac = "02:42:0a:00:00:02".parse().unwrap();
        let mut reply = Message::from_client(Kind::Ack, Xid(1), mac);
        reply.yours = yours;
        for (code, value) in options {
            reply.options = reply.options.with(*code, value);
        }
        Lease::from_reply(&reply, START)
    }

    fn lease(further: &[(u8, &[u8])]) -> Lease {
        let needed: [(u8, &[u8]); 2] = [(54, &[192, 168, 1, 1]), (51, &[0, 0, 14, 16])];
        read(&[&needed[..], further].concat()).unwrap()
    }

    fn seconds(moment: Option<Moment>) -> Option<u64> {
        moment.map(|moment| moment.since(START).as_secs())
    }

    #[test]
    fn times_that_are_missing_are_half_and_seven_eighths() {
        let times = |lease: Lease| [lease.renew_at(), lease.rebind_at(), lease.expires_at()].map(seconds);
        assert_eq!(times(lease(&[])), [Some(1800), Some(3150), Some(3600)]);
        let said = lease(&[(58, &[0, 0, 0, 9]), (59, &[0, 0, 1, 0])]);
        assert_eq!(times(said), [Some(9), Some(256), Some(3600)]);
        assert_eq!(times(lease(&[(58, &[0, 0, 0, 9])])), [Some(9), Some(3150), Some(3600)]);
        assert_eq!(times(lease(&[(59, &[0, 0, 8, 0])])), [Some(1800), Some(2048), Some(3600)]);
    }

    #[test]
    fn times_out_of_order_do_not_count() {
        let times = |lease: Lease| [lease.renew_at(), lease.rebind_at(), lease.expires_at()].map(seconds);
        let defaults = [Some(1800), Some(3150), Some(3600)];
        assert_eq!(times(lease(&[(58, &[0, 0, 1, 0]), (59, &[0, 0, 0, 9])])), defaults);
        assert_eq!(times(lease(&[(58, &[0, 0, 13, 0]), (59, &[0, 0, 15, 0])])), defaults);
        assert_eq!(times(lease(&[(58, &[0; 4]), (59, &[0; 4])])), defaults);
    }

    #[test]
    fn a_lease_for_ever_has_no_times() {
        let lease = read(&[(54, &[10, 0, 0, 1]), (51, &[255; 4]), (58, &[0, 0, 0, 9]), (59, &[0, 0, 1, 0])]).unwrap();
        assert_eq!((lease.lifetime, lease.t1, lease.t2), (None, None, None));
        assert_eq!((lease.renew_at(), lease.rebind_at(), lease.expires_at()), (None, None, None));
    }

    #[test]
    fn a_lease_of_one_second_still_has_an_order_of_times() {
        let lease = read(&[(54, &[10, 0, 0, 1]), (51, &[0, 0, 0, 1])]).unwrap();
        let at = |milliseconds| Some(START + Duration::from_millis(milliseconds));
        assert_eq!((lease.renew_at(), lease.rebind_at(), lease.expires_at()), (at(500), at(875), at(1000)));
    }

    #[test]
    fn an_answer_that_lacks_what_a_lease_needs_is_unusable() {
        assert_eq!(read(&[(51, &[0, 0, 0, 9])]), Err(Unusable::NoServer));
        assert_eq!(read(&[(54, &[255; 4]), (51, &[0, 0, 0, 9])]), Err(Unusable::NoServer));
        assert_eq!(read(&[(54, &[10, 0, 0, 1])]), Err(Unusable::NoLifetime));
        assert_eq!(read(&[(54, &[10, 0, 0, 1]), (51, &[0; 4])]), Err(Unusable::NoLifetime));
        for no_host in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, Ipv4Addr::LOCALHOST, Ipv4Addr::new(224, 0, 0, 1)] {
            let answer = read_for(no_host, &[(54, &[10, 0, 0, 1]), (51, &[0, 0, 0, 9])]);
            assert_eq!(answer, Err(Unusable::Address(no_host)));
        }
        for mask in [[255, 0, 255, 0], [0; 4]] {
            let answer = read(&[(54, &[10, 0, 0, 1]), (51, &[0, 0, 0, 9]), (1, &mask)]);
            assert_eq!(answer, Err(Unusable::Mask(mask.into())));
        }
    }

    #[test]
    fn without_a_mask_the_prefix_is_that_of_one_host() {
        assert_eq!(lease(&[]).address.to_string(), "192.168.1.50/32");
        assert_eq!(lease(&[(1, &[255, 255, 255, 0])]).address.to_string(), "192.168.1.50/24");
        assert_eq!(lease(&[(1, &[255, 255, 255, 0, 255, 255, 255, 0])]).address.prefix_len(), 24);
    }

    #[test]
    fn an_mtu_that_no_link_has_is_left_out() {
        assert_eq!(lease(&[(26, &[5, 220])]).mtu, Some(Mtu::STANDARD));
        assert_eq!(lease(&[(26, &[0, 67])]).mtu, None);
    }

    #[test]
    fn a_record_keeps_all_of_it() {
        let all = lease(&[
            (1, &[255, 255, 255, 0]),
            (58, &[0, 0, 0, 9]),
            (59, &[0, 0, 1, 0]),
            (3, &[192, 168, 1, 1]),
            (33, &[10, 9, 9, 9, 192, 168, 1, 2]),
            (6, &[9, 9, 9, 9]),
            (42, &[8, 8, 8, 8]),
            (15, b"example.org"),
            (119, b"\x01a\x03org\x00"),
            (26, &[5, 120]),
        ]);
        for lease in [all, lease(&[])] {
            let text = serde_json::to_string(&lease).unwrap();
            assert_eq!(serde_json::from_str::<Lease>(&text).unwrap(), lease, "{text}");
        }
    }
}
