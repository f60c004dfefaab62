//! The raw kernel: the fewest messages that attach a sandbox.
//!
//! # How it works
//! An attach is one `RTM_NEWLINK`, which creates the pair with the peer in the sandbox under its final name and the
//! host end up and on the bridge; one send of four messages in the sandbox (loopback up, eth0 up, address, default
//! route); and one firewall element. No lookup, record, lock or check.

use super::{Contender, Removal};
use crate::error::Error;
use crate::launch::Launcher;
use crate::place::Sandbox;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use zubi_kernel::{Answer, Netlink, Netns};
use zubi_model::{IfIndex, IfName, LinkGroup, Mac};
use zubi_wire::nft::{self, Element, Field, Set, Shape, Table, TableFamily, Value};
use zubi_wire::route::{Address, AdminState, Link, LinkChange, LinkKind, LinkRef, LinkSeen, Route, delete_link};
use zubi_wire::{Batch, flag};

const RTM_NEWLINK: u16 = 16;
const IFF_UP: u32 = 1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const LOOPBACK: IfIndex = IfIndex(1);
const TABLE: Table = Table::named(TableFamily::Inet, "floor");
const SET: &str = "endpoints";

/// The raw kernel with a bridge and a firewall set.
pub(crate) struct Floor {
    home: Netns,
    route: Netlink,
    nft: Netlink,
    bridge: IfIndex,
    removal: Removal,
    ends: HashMap<u16, IfIndex>,
    unplugged: Vec<IfIndex>,
}

impl Floor {
    /// Makes the bridge and the set.
    pub(crate) fn new(removal: Removal) -> Result<Self, Error> {
        Self::with_bridge("floor0", removal)
    }

    /// The same, with a bridge of this name.
    pub(crate) fn with_bridge(name: &str, removal: Removal) -> Result<Self, Error> {
        let (mut route, mut nft) = (Netlink::route()?, Netlink::netfilter()?);
        let mut batch = Batch::new();
        let bridge = Link {
            name: name_of(name)?,
            kind: LinkKind::Bridge,
            mac: Mac::from_random([7; 6]),
            mtu: None,
            group: LinkGroup(0),
            master: None,
        };
        bridge.encode(&mut batch, None, None);
        let index = made(&check("bridge", route.transact(batch)?)?)?.index;
        let mut batch = Batch::new();
        LinkChange::state(bridge.name.clone(), AdminState::Up).encode(&mut batch, LinkRef::Index(index), None);
        let gateway = ipnet::Ipv4Net::new_assert(gateway(), 16);
        Address::new(gateway.into(), bridge.name).encode(&mut batch, index);
        check("bridge", route.transact(batch)?)?;
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        TABLE.encode(&mut batch);
        Set::new(&TABLE, SET, &[Field::IfName, Field::Ipv4], Shape::Exact).encode(&mut batch, 1);
        nft::end(&mut batch);
        check("firewall set", nft.transact(batch)?)?;
        let (ends, unplugged) = (HashMap::new(), Vec::new());
        Ok(Floor { home: Netns::own()?, route, nft, bridge: index, removal, ends, unplugged })
    }

    /// The address of a sandbox.
    pub(crate) fn address(sandbox: &Sandbox) -> Ipv4Addr {
        let [high, low] = (sandbox.number + 2).to_be_bytes();
        Ipv4Addr::new(10, 66, high, low)
    }

    /// Attaches a sandbox.
    pub(crate) fn plug(&mut self, sandbox: &Sandbox) -> Result<(), Error> {
        let netns = sandbox.open(&self.home)?;
        let mut batch = Batch::new();
        self.encode_pair(&mut batch, sandbox, netns.raw_fd().cast_unsigned());
        let pair = made(&check("pair", self.route.transact(batch)?)?)?;
        let inner = pair.peer.ok_or(Error::Refused { object: "pair", why: "no peer in the echo".into() })?;
        let mut batch = Batch::new();
        let eth0 = name_of("eth0")?;
        let up = |name: &IfName| LinkChange::state(name.clone(), AdminState::Up);
        up(&IfName::loopback()).encode(&mut batch, LinkRef::Index(LOOPBACK), None);
        up(&eth0).encode(&mut batch, LinkRef::Index(inner), None);
        let address = ipnet::Ipv4Net::new_assert(Self::address(sandbox), 16);
        Address::new(address.into(), eth0.clone()).encode(&mut batch, inner);
        Route::default_via(IpAddr::V4(gateway()), eth0).encode(&mut batch, inner);
        check("inside", netns.within(&self.home, || Netlink::route()?.transact(batch))??)?;
        self.elements([Self::address(sandbox)], Element::encode)?;
        self.ends.insert(sandbox.number, pair.index);
        Ok(())
    }

    fn encode_pair(&self, batch: &mut Batch, sandbox: &Sandbox, netns: u32) {
        let flags = flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL | flag::ECHO;
        let header = |up: u32| {
            let mut bytes = [0; 16];
            bytes[8..12].copy_from_slice(&up.to_ne_bytes());
            bytes[12..16].copy_from_slice(&up.to_ne_bytes());
            bytes
        };
        let [high, low] = sandbox.number.to_be_bytes();
        batch.message(RTM_NEWLINK, flags, |b| {
            b.header(&header(IFF_UP));
            b.text(IFLA_IFNAME, &format!("fv{}", sandbox.number));
            b.attr(IFLA_ADDRESS, &[0xfe, 0, 0, 1, high, low]);
            b.u32(IFLA_MASTER, self.bridge.0);
            b.u32(IFLA_NUM_TX_QUEUES, 1);
            b.u32(IFLA_NUM_RX_QUEUES, 1);
            b.nested(IFLA_LINKINFO, |b| {
                b.text(IFLA_INFO_KIND, "veth");
                b.nested(IFLA_INFO_DATA, |b| {
                    b.nested(VETH_INFO_PEER, |b| {
                        b.header(&header(0));
                        b.text(IFLA_IFNAME, "eth0");
                        b.attr(IFLA_ADDRESS, &[0x02, 0, 0, 1, high, low]);
                        b.u32(IFLA_NUM_TX_QUEUES, 1);
                        b.u32(IFLA_NUM_RX_QUEUES, 1);
                        b.u32(IFLA_NET_NS_FD, netns);
                    });
                });
            });
        });
    }

    /// Adds this many elements to the firewall set, beside those of sandboxes.
    pub(crate) fn fill(&mut self, elements: u16) -> Result<(), Error> {
        let numbers: Vec<u16> = (0..elements).collect();
        // Each message gets an answer, and the socket's buffer for answers is limited.
        numbers.chunks(100).try_for_each(|some| self.elements(some.iter().map(|n| extra(*n)), Element::encode))
    }

    /// Adds one more element.
    pub(crate) fn add_element(&mut self, number: u16) -> Result<(), Error> {
        self.elements([extra(number)], Element::encode)
    }

    /// Removes it.
    pub(crate) fn remove_element(&mut self, number: u16) -> Result<(), Error> {
        self.elements([extra(number)], Element::encode_delete)
    }

    fn elements(
        &mut self,
        addresses: impl IntoIterator<Item = Ipv4Addr>,
        encode: fn(&Element, &mut Batch),
    ) -> Result<(), Error> {
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        for address in addresses {
            let key = vec![Value::Device(name_of("floor0")?), Value::Address(IpAddr::V4(address))];
            encode(&Element::new(&TABLE, SET, key), &mut batch);
        }
        nft::end(&mut batch);
        check("firewall element", self.nft.transact(batch)?).map(drop)
    }

    fn delete(&mut self, end: IfIndex) -> Result<(), Error> {
        let mut batch = Batch::new();
        delete_link(&mut batch, LinkRef::Index(end));
        check("deletion", self.route.transact(batch)?).map(drop)
    }
}

impl Contender for Floor {
    fn attach(&mut self, sandbox: &Sandbox, _: &mut Launcher) -> Result<Duration, Error> {
        let start = Instant::now();
        self.plug(sandbox)?;
        Ok(start.elapsed())
    }

    fn detach(&mut self, sandbox: &Sandbox, _: &mut Launcher) -> Result<Duration, Error> {
        let start = Instant::now();
        let Some(end) = self.ends.remove(&sandbox.number) else { return Ok(Duration::ZERO) };
        self.elements([Self::address(sandbox)], Element::encode_delete)?;
        match self.removal {
            Removal::Deleted => self.delete(end)?,
            Removal::Unplugged => {
                let mut batch = Batch::new();
                let mut unplug = LinkChange::state(name_of("unused")?, AdminState::Down);
                unplug.release = true;
                unplug.encode(&mut batch, LinkRef::Index(end), None);
                check("unplugging", self.route.transact(batch)?)?;
                self.unplugged.push(end);
            }
        }
        Ok(start.elapsed())
    }

    fn settles_itself(&self) -> bool {
        self.removal == Removal::Deleted
    }

    fn settle(&mut self) -> Result<(), Error> {
        for end in std::mem::take(&mut self.unplugged) {
            self.delete(end)?;
        }
        Ok(())
    }
}

/// The bridge's address.
pub(crate) fn gateway() -> Ipv4Addr {
    Ipv4Addr::new(10, 66, 0, 1)
}

/// The address of an element that no sandbox has.
fn extra(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 67, high, low)
}

fn name_of(name: &str) -> Result<IfName, Error> {
    name.parse().map_err(|e: zubi_model::Invalid| Error::Usage(e.to_string()))
}

/// Fails when the kernel refused any message.
fn check(object: &'static str, answers: Vec<Answer>) -> Result<Vec<Answer>, Error> {
    for answer in &answers {
        if let Some(Err(e)) = &answer.outcome {
            return Err(Error::Refused { object, why: e.to_string() });
        }
    }
    Ok(answers)
}

/// The link in the kernel's echo.
fn made(answers: &[Answer]) -> Result<LinkSeen, Error> {
    let mut objects = answers.iter().flat_map(|answer| &answer.objects);
    objects
        .find_map(|kept| LinkSeen::parse(&kept.message()))
        .ok_or(Error::Refused { object: "link", why: "no echo".into() })
}
