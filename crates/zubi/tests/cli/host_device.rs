//! Devices of the host that go into a sandbox as a whole, and come back as they were.

use zubi_lab::lan::{COMPUTER, OUTSIDE, holdings, make_lan};
use zubi_lab::{Host, Snapshot, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// A LAN with a second card of the host on it.
fn host() -> Host {
    let host = Host::new(ZUBI);
    make_lan(&host);
    // Leases of a dnsmasq on this machine are no business of the test.
    host.shell("mkdir -p /var/lib/misc && mount -t tmpfs none /var/lib/misc").ok();
    host.shell(
        "ip link add eth1 address 52:54:00:00:00:06 mtu 1400 type veth peer name to_host1 netns lan
         ip -n lan link set to_host1 master sw up; ip -n lan link set to_host1 addrgenmode none
         sysctl -qw net.ipv6.conf.eth1.accept_dad=0 net.ipv4.conf.eth1.rp_filter=2 net.ipv6.conf.eth1.addr_gen_mode=1
         ip link set eth1 up; ip addr add 10.9.0.5/24 brd + dev eth1; ip addr add 2001:db8:9::5/64 dev eth1 nodad
         ip addr add 10.9.0.6/24 dev eth1 label eth1:more valid_lft 3600 preferred_lft 1800
         ip route add 10.77.0.0/16 via 10.9.0.1 metric 7; ip route add 10.78.0.0/16 dev eth1 table 44
         ip neigh add 10.9.0.9 lladdr 02:00:00:00:00:99 dev eth1
         ip rule add iif eth1 lookup 44; ip link set eth1 alias 'second card'",
    )
    .ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    host
}

fn a_card_is_in_the_sandbox_and_comes_back_as_it_was() {
    let host = host();
    let state = Snapshot::take();
    let before = holdings(&host, "eth1");
    let said = host.zubi("network create phys --driver host-device --parent eth1 --subnet 192.168.1.0/24").ok().out;
    assert_eq!(said, "phys: 192.168.1.0/24 with eth1 (host-device)\n");
    let said = host.zubi("connect phys c1 --ip 192.168.1.77").ok().out;
    assert_eq!(said, "c1: eth0 192.168.1.77/24 52:54:00:00:00:06 on phys, default route (IPv4)\n");
    host.shell("ip link show eth1").fails(1, "does not exist");
    assert_reaches("c1", "pc", COMPUTER);
    assert_reaches("c1", "router", OUTSIDE);
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    let listed = host.zubi("ls --wide").ok().out;
    assert!(listed.contains("192.168.1.77/24") && listed.contains("eth1") && listed.contains("up"), "{listed}");
    let listed = host.zubi("network ls").ok().out;
    assert!(listed.contains("host-device") && listed.contains("device=eth1"), "{listed}");
    assert!(host.zubi("network inspect phys").ok().out.contains("\"parent\": \"eth1\""));
    assert!(host.zubi("connect phys c1").ok().out.contains("was connected already"));
    host.zubi("connect phys c2").fails(4, "eth1");
    host.zubi("network rm phys").fails(4, "still attached");
    host.zubi("disconnect phys c1").ok();
    host.settle();
    assert_eq!(holdings(&host, "eth1"), before);
    host.shell("ip link show eth1 | grep -q 'mtu 1400.*UP' && ip link show eth1 | grep -q 'alias second card'").ok();
    host.zubi("network rm phys").ok();
    state.assert_no_residue(&Snapshot::take());
}

zubi_lab::tests!(a_card_is_in_the_sandbox_and_comes_back_as_it_was);
