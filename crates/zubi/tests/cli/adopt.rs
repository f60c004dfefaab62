//! Networks on a bridge of another program, which stays as it is.

use zubi_lab::{Capability, Host, Snapshot, assert_reaches, need, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// A host with a bridge made by hand, and a neighbour on it.
fn host() -> Host {
    let host = Host::new(ZUBI);
    host.shell(
        "ip link add br0 address 02:00:00:00:00:10 type bridge && ip addr add 10.1.0.1/24 dev br0 && ip link set br0 up &&
         ip netns add old && ip link add vold type veth peer name eth0 netns old && ip link set vold master br0 up &&
         ip -n old addr add 10.1.0.2/24 dev eth0 && ip -n old link set eth0 up",
    )
    .ok();
    host
}

/// What `ip` says of the bridge and its neighbour.
fn bridge(host: &Host) -> String {
    let shown = "ip -d link show br0; ip -4 addr show br0; ip route show dev br0; bridge link show dev vold";
    // Timers of the bridge run, and the lifetime of addresses.
    host.shell(&format!("{{ {shown}; }} | sed -E 's/(hello|tcn|topology_change|gc)_timer +[0-9.]+//g'")).ok().out
}

fn an_adopted_bridge_is_used_as_it_is_and_given_back() {
    let host = host();
    // Forwarding and the table come with the first network.
    host.network("other");
    let (before, state) = (bridge(&host), Snapshot::take());
    let said = host.zubi("network create lan --bridge br0 --adopt").ok().out;
    assert_eq!(said, "lan: 10.1.0.0/24 on bridge br0\n");
    assert_eq!(bridge(&host), before);
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1 --ip 10.1.0.77").ok();
    assert_reaches("c1", "old", "10.1.0.2");
    assert_reaches("old", "c1", "10.1.0.77");
    assert_reaches("c1", "host", "10.1.0.1");
    assert!(host.shell("ip -n c1 route").ok().out.contains("default via 10.1.0.1"));
    host.zubi("check").ok();
    assert!(host.zubi("network ls").ok().out.contains("bridge-adopted"));
    // After a flush, and by repair, nothing of the bridge changes either.
    host.shell("nft flush ruleset").ok();
    host.zubi("repair").ok();
    host.zubi("check").ok();
    host.zubi("sandbox rm -f c1").ok();
    host.zubi("network rm lan").ok();
    host.settle();
    assert_eq!(bridge(&host), before);
    state.assert_no_residue(&Snapshot::take());
}

fn addresses_are_chosen_only_where_a_range_is_left_to_zubi() {
    let host = host();
    host.zubi("network create lan --bridge br0 --adopt").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1").fails(4, "br0 is another program's, where others give addresses of 10.1.0.0/24 too");
    let set = host.zubi("network set lan --ip-range 10.1.0.192/26").ok();
    assert!(set.err.contains("note: 10.1.0.192/26 is zubi's to give now"), "{}", set.err);
    assert_eq!(host.zubi("network set lan --mtu 1400").ok().err, "");
    host.zubi("network rm lan").ok();
    let made = host.zubi("network create lan --bridge br0 --adopt --subnet 10.1.0.0/24 --ip-range 10.1.0.128/25").ok();
    assert!(
        made.err.contains("note: 10.1.0.128/25 is zubi's to give now: whoever gives addresses on br0"),
        "{}",
        made.err
    );
    assert!(host.zubi("connect lan c1").ok().out.contains("10.1.0.128/24"));
    assert_reaches("c1", "old", "10.1.0.2");
}

/// The host with lease files of its own, and a network that may give the first addresses of the subnet.
fn host_with_leases() -> Host {
    let host = host();
    host.shell(
        "mount -t tmpfs tmpfs /var/lib && cd /var/lib && mkdir -p cni/networks/pods libvirt/dnsmasq misc &&
         printf 'pod3\\r\\neth0' > cni/networks/pods/10.1.0.3 && echo 10.1.0.3 > cni/networks/pods/last_reserved_ip.0 &&
         echo '[{\"ip-address\": \"10.1.0.4\", \"mac-address\": \"52:54:00:00:00:04\", \"hostname\": \"vm4\",
                \"expiry-time\": 4102444800}]' > libvirt/dnsmasq/br0.status &&
         echo '4102444800 02:00:00:00:00:05 10.1.0.5 tv *' > misc/dnsmasq.leases",
    )
    .ok();
    host.zubi("network create lan --bridge br0 --adopt --subnet 10.1.0.0/24 --ip-range 10.1.0.0/28").ok();
    host.zubi("sandbox add c1 c2").ok();
    host
}

fn what_others_have_given_is_passed_over_and_refused_with_the_name_of_who_has_it() {
    let host = host_with_leases();
    // Nobody answers for .8, and .9 is somebody's whom the host has talked to.
    host.shell(
        "ip addr add 10.1.0.6/32 dev lo && ip neigh add 10.1.0.7 lladdr 52:54:00:00:00:07 dev br0 nud stale &&
         ip neigh add 10.1.0.8 dev br0 nud failed",
    )
    .ok();
    for (address, holder) in [
        ("10.1.0.2", "old behind port vold"),
        ("10.1.0.3", "pod3 (/var/lib/cni/networks/pods/10.1.0.3)"),
        ("10.1.0.4", "vm4 (/var/lib/libvirt/dnsmasq/br0.status)"),
        ("10.1.0.5", "tv (/var/lib/misc/dnsmasq.leases)"),
        ("10.1.0.6", "lo of the host"),
        ("10.1.0.7", "52:54:00:00:00:07, a neighbour on br0 (ip neigh del 10.1.0.7 dev br0 forgets it)"),
    ] {
        let words = format!("address {address} is taken by {holder}");
        host.zubi(&format!("connect lan c1 --ip {address}")).fails(4, &words);
    }
    assert!(host.zubi("--dry-run connect lan c1").ok().out.contains("10.1.0.8/24"));
    assert_eq!(host.connect("lan c1"), "10.1.0.8");
    host.shell("ip -n old addr flush dev eth0 && rm /var/lib/cni/networks/pods/10.1.0.3").ok();
    assert_eq!(host.connect("lan c2 --ip 10.1.0.3"), "10.1.0.3");
    host.zubi("disconnect lan c2").ok();
    assert_eq!(host.connect("lan c2 --ip 10.1.0.2"), "10.1.0.2");
}

fn what_a_real_dnsmasq_has_leased_is_left_out() {
    const TEST: &str = "what_a_real_dnsmasq_has_leased_is_left_out";
    let host = host_with_leases();
    if host.shell("command -v dnsmasq && busybox udhcpc --help").code != 0 {
        return skip(TEST, "needs dnsmasq-base and busybox");
    }
    host.shell(
        // With -d it keeps its user, and the time it takes to listen is the client's to wait.
        "dnsmasq -d --conf-file=/dev/null --port=0 --interface=br0 --bind-interfaces \
         --dhcp-range=10.1.0.9,10.1.0.9,1h --dhcp-leasefile=/var/lib/misc/dnsmasq.br0.leases &
         ip netns exec old busybox udhcpc -i eth0 -n -q -f -T 1 -t 20 -s /bin/true -x hostname:radio; kill $!",
    )
    .ok();
    // The client has not set the address that it got.
    assert!(!host.shell("ip -n old addr").ok().out.contains("10.1.0.9"));
    let words = "10.1.0.9 is taken by radio (/var/lib/misc/dnsmasq.br0.leases)";
    host.zubi("connect lan c1 --ip 10.1.0.9").fails(4, words);
}

fn the_owner_of_a_bridge_is_kept_out_of_the_range_by_its_own_settings() {
    let host = Host::new(ZUBI);
    for (number, (bridge, how)) in [
        ("docker0", "fixed-cidr"),
        ("br-1a2b3c4d5e6f", "docker network create leaves it out with --ip-range"),
        ("virbr0", "virsh net-edit"),
        ("podman1", "podman network create leaves it out with --ip-range"),
        ("cni-podman0", "rangeStart and rangeEnd"),
        ("lxcbr0", "LXC_DHCP_RANGE"),
        ("incusbr0", "incus network set"),
        ("office", "whoever gives addresses on office"),
    ]
    .into_iter()
    .enumerate()
    {
        let subnet = format!("10.7.{number}");
        host.shell(&format!("ip link add {bridge} type bridge && ip addr add {subnet}.1/24 dev {bridge}")).ok();
        let words = format!("lan{number} --bridge {bridge} --adopt --subnet {subnet}.0/24 --ip-range {subnet}.128/25");
        let said = host.zubi(&format!("network create {words}")).ok().err;
        assert!(said.starts_with(&format!("zubi: note: {subnet}.128/25 is zubi's to give now: ")), "{said}");
        assert!(said.contains(how), "{said}");
    }
}

fn a_lease_file_that_cannot_be_read_is_named() {
    let host = host_with_leases();
    host.shell("echo '[{' > /var/lib/libvirt/dnsmasq/br0.status").ok();
    let made = host.zubi("connect lan c1").ok();
    assert!(made.err.contains("not known: /var/lib/libvirt/dnsmasq/br0.status: "), "{}", made.err);
    assert!(made.out.contains("10.1.0.4/24"), "{}", made.out);
}

fn what_is_on_an_ordinary_network_is_nobody_else_s() {
    let host = host_with_leases();
    host.shell("echo '[{' > /var/lib/libvirt/dnsmasq/br0.status").ok();
    host.network("blue");
    assert_eq!(host.zubi("connect blue c1").ok().err, "");
}

fn an_endpoint_of_ours_leaves_no_address_that_others_seem_to_have() {
    let host = host();
    host.shell("ip addr add fd00:10::1/64 dev br0 nodad").ok();
    let subnets = "--subnet 10.1.0.0/24 --ip-range 10.1.0.128/31 --subnet fd00:10::/64 --ip-range fd00:10::128/127";
    host.zubi(&format!("network create lan --bridge br0 --adopt {subnets}")).ok();
    host.zubi("sandbox add c1 c2").ok();
    let connect = |words: &str| host.zubi(&format!("connect lan {words}")).ok();
    let talk = || {
        assert_reaches("host", "c1", "10.1.0.128");
        assert_reaches("host", "c1", "fd00:10::128");
    };
    connect("c1 --ip 10.1.0.128 --ip fd00:10::128");
    talk();
    host.zubi("disconnect lan c1").ok();
    connect("c1 --ip 10.1.0.128 --ip fd00:10::128");
    host.zubi("disconnect lan c1").ok();
    connect("c1 --mac 02:00:00:00:00:99 --ip 10.1.0.128 --ip fd00:10::128");
    talk();
    // The same endpoint again, after somebody has deleted its device.
    host.shell("ip -n c1 link del eth0").ok();
    connect("c1");
    talk();
    // The same address for another one.
    host.zubi("disconnect lan c1").ok();
    connect("c2 --ip 10.1.0.128");
}

fn many_ports_of_others_are_listed_once_and_not_entered() {
    if !need(&[Capability::Strace], "many_ports_of_others_are_listed_once_and_not_entered") {
        return;
    }
    let host = host();
    host.shell(
        "for n in $(seq 100); do ip netns add n$n; ip link add v$n type veth peer name eth0 netns n$n;
         ip link set v$n master br0; ip -n n$n addr add 10.1.0.$((n + 100))/24 dev eth0; done",
    )
    .ok();
    host.zubi("network create lan --bridge br0 --adopt --subnet 10.1.0.0/24 --ip-range 10.1.0.96/27").ok();
    host.zubi("sandbox add c1").ok();
    let traced = host.shell(&format!("strace -f -o /run/trace -e trace=setns {ZUBI} connect lan c1"));
    assert!(traced.ok().out.contains("10.1.0.96/24"));
    let entered = host.shell("grep -c setns /run/trace").out;
    assert!(entered.trim().parse::<u32>().expect("a number") < 10, "{entered}");
    host.zubi("sandbox add c2").ok();
    host.zubi("connect lan c2 --ip 10.1.0.150").fails(4, "is taken by n50 behind port v50");
}

fn the_gateway_may_be_elsewhere_or_nowhere() {
    let host = host();
    host.zubi("network create lan --bridge br0 --adopt --subnet 10.1.0.0/24 --gateway 10.1.0.2").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1 --ip 10.1.0.77").ok();
    assert!(host.shell("ip -n c1 route").ok().out.contains("default via 10.1.0.2"));
    assert!(!host.shell("ip addr show br0").ok().out.contains("10.1.0.2/"));
    host.zubi("sandbox rm -f c1").ok();
    host.zubi("network rm lan").ok();
    // A bridge without an address carries frames only.
    host.shell("ip addr flush dev br0").ok();
    host.zubi("network create lan --bridge br0 --adopt").ok();
    host.zubi("sandbox add c2").ok();
    host.zubi("connect lan c2").ok();
    host.shell("ip -n c2 addr add 10.1.0.9/24 dev eth0").ok();
    assert_reaches("c2", "old", "10.1.0.2");
    host.zubi("check").ok();
}

fn what_cannot_be_adopted_is_refused() {
    let host = host();
    host.zubi("network create lan --bridge br9 --adopt").fails(4, "bridge br9 does not exist");
    host.zubi("network create lan --bridge vold --adopt").fails(2, "is a veth");
    host.zubi("network create lan --adopt").fails(2, "--bridge");
    host.zubi("network create lan --bridge br0").fails(4, "zubi did not make");
    host.network("blue");
    host.zubi("network create lan --bridge zb-blue --adopt").fails(2, "is the bridge of network blue");
    // Its owner takes it away.
    host.zubi("network create lan --bridge br0 --adopt").ok();
    host.zubi("sandbox add c1").ok();
    host.shell("ip link del br0").ok();
    host.zubi("connect lan c1 --ip 10.1.0.77").fails(4, "br0");
    host.zubi("network rm lan").ok();
}

zubi_lab::tests!(
    an_adopted_bridge_is_used_as_it_is_and_given_back,
    addresses_are_chosen_only_where_a_range_is_left_to_zubi,
    what_others_have_given_is_passed_over_and_refused_with_the_name_of_who_has_it,
    what_a_real_dnsmasq_has_leased_is_left_out,
    the_owner_of_a_bridge_is_kept_out_of_the_range_by_its_own_settings,
    a_lease_file_that_cannot_be_read_is_named,
    what_is_on_an_ordinary_network_is_nobody_else_s,
    an_endpoint_of_ours_leaves_no_address_that_others_seem_to_have,
    many_ports_of_others_are_listed_once_and_not_entered,
    the_gateway_may_be_elsewhere_or_nowhere,
    what_cannot_be_adopted_is_refused
);
