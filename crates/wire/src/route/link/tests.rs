//! Tests that compare our messages with those of `ip link`.

use super::made::VETH_INFO_PEER;
use super::parts::{HEADER, IFLA_AF_SPEC, IFLA_INFO_DATA, IFLA_LINKINFO};
use super::*;
use crate::golden::{bytes, lines, ours};
use crate::route::Switch;
use zubi_model::NsRef;

const BRIDGE: &str = "\
    64000000100005060000000000000000000000000000000000000000000000000a00010002420a010001000008001b00 \
    6962757a08000400aa0500000c0003007a622d626c7565001c0012000a0001006272696467650000 \
    0c0002000500170000000000";
const VETH: &str = "\
    b8000000100005060000000000000000000000000000000000000000000000000a00010002420a010002000008001b00 \
    6962757a08000400aa05000008000a000200000008001f00010000000800200001000000080003007a7631005c001200 \
    0800010076657468500002004c000100000000000000000000000000000000000a00010002420a010003000008000400 \
    aa05000008001f0001000000080020000100000008001c0004000000090003006574683000000000";
const UP: &str = "\
    2000000010000500000000000000000000000000030000000100000001000000";
const NOMASTER: &str = "\
    300000001000050000000000000000000000000003000000000000000000000008000a000000000008001b006462757a";
const RENAME: &str = "\
    2800000010000500000000000000000000000000030000000000000001000000080003007a763200";
const ADDRESSLESS: &str = "\
    300000001000050000000000000000000000000003000000000000000000000010001a000c000a000500080001000000";
const MODES: &str = "\
    280000001000050000000000000000000000000002000000000300000003000008000d00f4010000";
const DELETE: &str = "\
    2000000011000500000000000000000000000000030000000000000000000000";

const NESTED: &[(&[u16], usize)] = &[
    (&[IFLA_AF_SPEC], 0),
    (&[IFLA_AF_SPEC, 10], 0),
    (&[IFLA_LINKINFO], 0),
    (&[IFLA_LINKINFO, IFLA_INFO_DATA], 0),
    (&[IFLA_LINKINFO, IFLA_INFO_DATA, VETH_INFO_PEER], HEADER),
];

fn said(fill: impl FnOnce(&mut Batch)) -> Vec<String> {
    lines(&ours(fill), HEADER, NESTED)
}

fn recorded(hex: &str) -> Vec<String> {
    lines(&bytes(hex), HEADER, NESTED)
}

fn bridge() -> Link {
    Link {
        name: "zb-blue".parse().unwrap(),
        kind: LinkKind::Bridge,
        mac: "02:42:0a:01:00:01".parse().unwrap(),
        mtu: Some(1450.try_into().unwrap()),
        group: LinkGroup::OURS,
        master: None,
    }
}

fn veth() -> Link {
    let peer = Peer {
        name: "eth0".parse().unwrap(),
        mac: "02:42:0a:01:00:03".parse().unwrap(),
        netns: NsRef::Path("/proc/4711/ns/net".into()),
    };
    Link {
        name: "zv1".parse().unwrap(),
        kind: LinkKind::Veth(peer),
        mac: "02:42:0a:01:00:02".parse().unwrap(),
        mtu: Some(1450.try_into().unwrap()),
        group: LinkGroup::OURS,
        master: Some("zb-blue".parse().unwrap()),
    }
}

fn nomaster() -> LinkChange {
    let mut change = LinkChange::addressless("zv1".parse().unwrap());
    change.addr_gen_mode = None;
    change.release = true;
    change.group = Some(LinkGroup::DOOMED);
    change
}

fn rename() -> LinkChange {
    let change = LinkChange::rename("zv1".parse().unwrap(), "zv2".parse().unwrap());
    LinkChange { state: Some(AdminState::Down), ..change }
}

fn modes() -> LinkChange {
    LinkChange {
        promisc: Some(Switch::On),
        allmulticast: Some(Switch::On),
        tx_queue: Some(500),
        ..LinkChange::none("zb-blue".parse().unwrap())
    }
}

#[test]
fn says_what_ip_link_set_addrgenmode_says() {
    let change = LinkChange::addressless("zv1".parse().unwrap());
    assert_eq!(said(|b| change.encode(b, LinkRef::Index(IfIndex(3)), None)), recorded(ADDRESSLESS));
    assert_eq!(change.to_string(), "link set zv1 addrgenmode none");
}

#[test]
fn says_what_ip_link_add_bridge_says() {
    assert_eq!(said(|b| bridge().encode(b, None, None)), recorded(BRIDGE));
}

#[test]
fn says_what_ip_link_add_veth_says() {
    assert_eq!(said(|b| veth().encode(b, Some(IfIndex(2)), Some(4))), recorded(VETH));
}

#[test]
fn says_what_ip_link_set_says() {
    let zv1 = LinkRef::Index(IfIndex(3));
    let up = LinkChange::state("zv1".parse().unwrap(), AdminState::Up);
    assert_eq!(said(|b| up.encode(b, zv1, None)), recorded(UP));
    assert_eq!(said(|b| nomaster().encode(b, zv1, None)), recorded(NOMASTER));
    assert_eq!(said(|b| rename().encode(b, zv1, None)), recorded(RENAME));
    assert_eq!(said(|b| modes().encode(b, LinkRef::Index(IfIndex(2)), None)), recorded(MODES));
}

#[test]
fn says_what_ip_link_del_says() {
    assert_eq!(said(|b| delete(b, LinkRef::Index(IfIndex(3)))), recorded(DELETE));
}

#[test]
fn prints_the_words_of_ip_link_add() {
    assert_eq!(
        bridge().to_string(),
        "link add zb-blue address 02:42:0a:01:00:01 group 2054513257 mtu 1450 type bridge mcast_snooping 0"
    );
    assert_eq!(
        veth().to_string(),
        "link add zv1 address 02:42:0a:01:00:02 group 2054513257 mtu 1450 master zb-blue numtxqueues 1 numrxqueues 1 \
         type veth peer name eth0 address 02:42:0a:01:00:03 mtu 1450 numtxqueues 1 numrxqueues 1 \
         netns /proc/4711/ns/net"
    );
}

#[test]
fn prints_the_words_of_ip_link_set() {
    let up = LinkChange::state("zv1".parse().unwrap(), AdminState::Up);
    assert_eq!(up.to_string(), "link set zv1 up");
    assert_eq!(nomaster().to_string(), "link set zv1 nomaster group 2054513252");
    assert_eq!(rename().to_string(), "link set zv1 down name zv2");
    assert_eq!(modes().to_string(), "link set zb-blue promisc on allmulticast on txqueuelen 500");
}
