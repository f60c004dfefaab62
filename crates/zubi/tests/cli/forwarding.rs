//! On a host that was no router, forwarding serves the networks alone and goes off with the last one.

use zubi_lab::{Host, Outside, assert_isolated, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const BLUE: &str = "blue --subnet 10.55.66.0/24 --subnet fd00:55::/64";
const FAR: [&str; 2] = ["198.51.100.2", "2001:db8:1::2"];
/// Prints this host's router settings in both families.
const SWITCHES: &str = "cd /proc/sys/net; grep -s . ipv4/ip_forward ipv4/conf/*/forwarding ipv4/conf/all/accept_redirects \
                        ipv6/conf/*/forwarding ipv6/conf/*/force_forwarding ipv6/conf/*/accept_ra";

/// A host with two uplinks that forwards nothing: `outside` behind one, `far` behind the other. Both have routes to
/// each other.
fn two_legs() -> (Host, Outside) {
    let (host, outside) = (Host::new(ZUBI), Outside::new());
    for line in [
        "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
        "ip netns add far",
        "ip link add lan type veth peer name eth0 netns far",
        "ip addr add 198.51.100.1/24 dev lan",
        "ip addr add 2001:db8:1::1/64 dev lan nodad",
        "ip link set lan up",
        "ip -n far addr add 198.51.100.2/24 dev eth0",
        "ip -n far addr add 2001:db8:1::2/64 dev eth0 nodad",
        "ip -n far link set lo up",
        "ip -n far link set eth0 up",
        "ip -n far route add default via 198.51.100.1",
        "ip -n far route add default via 2001:db8:1::1",
        "ip -n outside route add 198.51.100.0/24 via 192.0.2.1",
        "ip -n outside route add 2001:db8:1::/64 via 2001:db8::1",
    ] {
        host.shell(line).ok();
    }
    host.wait_for("ping -c1 -W1 198.51.100.2 && ping -c1 -W1 2001:db8:1::2");
    (host, outside)
}

fn switches(host: &Host) -> String {
    host.shell(SWITCHES).ok().out
}

#[track_caller]
fn assert_open() {
    for address in FAR {
        assert_reaches("outside", "far", address);
    }
}

#[track_caller]
fn assert_closed() {
    for address in FAR {
        assert_isolated("outside", "far", address);
    }
}

fn the_first_network_makes_no_router_for_strangers() {
    let (host, _outside) = two_legs();
    assert_closed();
    let told = host.zubi(&format!("network create {BLUE}")).ok().err;
    assert!(told.contains("did not pass IPv4 and IPv6 packets on"), "{told}");
    assert_closed();
    host.container("c1", "blue");
    assert_reaches("c1", "outside", Outside::V4);
    assert_reaches("c1", "outside", Outside::V6);
    assert_closed();
    host.shell("nft flush set inet zubi closed").ok();
    assert_open();
}

/// The loopback device has no kind either: packets that leave by it come back and are forwarded again.
fn hardware_which_has_no_kind_is_kept_out_too() {
    let (host, _outside) = two_legs();
    host.network(BLUE);
    host.shell("ip route add 203.0.113.9/32 dev lo; ip -n outside route add 203.0.113.9/32 via 192.0.2.1").ok();
    host.shell("ip netns exec outside ping -c1 -W1 203.0.113.9").fails(1, "");
    let rule = host.shell("nft list chain inet zubi forward | grep 'was no router'").ok().out;
    assert!(rule.contains("packets 1 "), "{rule}");
}

fn a_second_network_says_nothing_of_it_again() {
    let (host, _outside) = two_legs();
    host.network(BLUE);
    assert_eq!(host.zubi("network create green").ok().err, "");
}

fn behind_the_last_network_a_host_is_what_it_was() {
    let (host, _outside) = two_legs();
    host.shell("sysctl -qw net.ipv4.conf.all.accept_redirects=0").ok();
    let before = switches(&host);
    host.network(BLUE);
    host.network("green --subnet 10.55.67.0/24");
    assert_ne!(switches(&host), before);
    host.zubi("network rm blue").ok();
    assert_closed();
    host.shell("test $(sysctl -n net.ipv4.ip_forward) = 1").ok();
    host.zubi("network rm green").ok();
    assert_eq!(switches(&host), before);
    host.shell("test ! -e /run/zubi/forwarding.json").ok();
    assert_closed();
}

fn a_family_goes_back_with_the_last_network_that_needs_it() {
    let (host, _outside) = two_legs();
    host.network("inner --subnet 10.55.67.0/24 --internal");
    let before = switches(&host);
    host.network(BLUE);
    host.zubi("network rm blue").ok();
    assert_eq!(switches(&host), before);
    assert_eq!(host.shell("nft list set inet zubi closed | grep -c elements").out, "0\n");
    host.zubi("check").ok();
}

fn a_router_stays_one() {
    let (host, _outside) = two_legs();
    host.shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1").ok();
    assert_open();
    assert_eq!(host.zubi(&format!("network create {BLUE}")).ok().err, "");
    assert_open();
    host.zubi("network rm blue").ok();
    assert_open();
}

fn a_host_that_is_meant_to_be_a_router_becomes_one() {
    let (host, _outside) = two_legs();
    host.network(BLUE);
    assert_closed();
    host.shell(r#"echo '{"forwarding": "open"}' > /run/settings"#).ok();
    let open = host.with_env("ZUBI_CONFIG", "/run/settings");
    open.zubi("repair").ok();
    assert_open();
    open.zubi("check").ok();
    open.zubi("network rm blue").ok();
    assert_open();
    host.shell("test ! -e /run/zubi/forwarding.json").ok();
}

fn bridges_of_others_are_none_of_the_strangers() {
    let (host, _outside) = two_legs();
    host.network(BLUE);
    for line in [
        "ip netns add vm",
        "ip link add virbr0 type bridge",
        "ip addr add 10.99.0.1/24 dev virbr0",
        "ip link set virbr0 up",
        "ip link add tap0 type veth peer name eth0 netns vm",
        "ip link set tap0 master virbr0 up",
        "ip -n vm addr add 10.99.0.2/24 dev eth0",
        "ip -n vm link set eth0 up",
        "ip -n vm route add default via 10.99.0.1",
        "ip -n outside route add 10.99.0.0/24 via 192.0.2.1",
    ] {
        host.shell(line).ok();
    }
    assert_reaches("vm", "outside", Outside::V4);
    assert_closed();
    let told = host.zubi("network rm blue").ok().err;
    assert!(told.contains("IPv4 forwarding stays on: bridge virbr0 was added since"), "{told}");
    assert_reaches("vm", "outside", Outside::V4);
    assert_isolated("outside", "far", FAR[1]);
}

fn who_was_there_before_did_without() {
    let (host, _outside) = two_legs();
    for line in [
        "ip link add br0 type bridge",
        "ip addr add 10.99.0.1/24 dev br0",
        "nft 'add table ip fw; add chain ip fw f { type filter hook forward priority 0; }; add rule ip fw f counter'",
    ] {
        host.shell(line).ok();
    }
    let before = switches(&host);
    host.network("blue --subnet 10.55.66.0/24");
    assert_eq!(host.zubi("network rm blue").ok().err, "");
    assert_eq!(switches(&host), before);
}

fn another_firewall_that_came_meanwhile_keeps_it_on() {
    let (host, _outside) = two_legs();
    host.network("blue --subnet 10.55.66.0/24");
    host.shell("nft 'add table ip vpn; add chain ip vpn f { type filter hook forward priority 0; }; add rule ip vpn f counter'")
        .ok();
    let told = host.zubi("network rm blue").ok().err;
    assert!(told.contains("chain ip vpn f"), "{told}");
    assert_eq!(host.shell("sysctl -n net.ipv4.ip_forward").ok().out, "1\n");
}

fn a_flush_opens_the_host_until_the_next_command() {
    let (host, _outside) = two_legs();
    host.network(BLUE);
    host.shell("nft flush ruleset").ok();
    assert_open();
    host.container("c1", "blue");
    assert_closed();
}

fn what_is_missing_in_the_set_is_found_and_put_back() {
    let (host, _outside) = two_legs();
    host.network(BLUE);
    host.shell("nft delete element inet zubi closed '{ ipv6 }'").ok();
    let told = host.zubi("check").fails(1, "").out;
    assert!(told.contains("missing: nft 'add element inet zubi closed { ipv6 }'"), "{told}");
    host.zubi("repair").ok();
    host.zubi("check").ok();
    assert_closed();
}

fn the_set_says_it_too_when_the_file_is_lost() {
    let (host, _outside) = two_legs();
    let before = switches(&host);
    host.network(BLUE);
    host.shell("rm /run/zubi/forwarding.json").ok();
    host.zubi("gc").ok();
    host.zubi("check").ok();
    host.network("green --subnet 10.55.67.0/24");
    assert_closed();
    host.zubi("network rm blue").ok();
    host.zubi("network rm green").ok();
    assert_eq!(switches(&host), before);
}

fn a_damaged_file_is_reported_and_keeps_the_host_closed() {
    let (host, _outside) = two_legs();
    host.network(BLUE);
    host.shell("echo '{' > /run/zubi/forwarding.json").ok();
    host.zubi("check").fails(1, "");
    host.zubi("gc").ok();
    assert_closed();
    host.network("green --subnet 10.55.67.0/24");
    host.zubi("network rm blue").ok();
    host.zubi("network rm green").ok();
    assert_closed();
}

fn a_network_that_ceases_to_be_internal_makes_no_router_for_strangers() {
    let (host, _outside) = two_legs();
    let before = switches(&host);
    host.network(&format!("{BLUE} --internal"));
    host.zubi("network set blue --no-internal").ok();
    host.container("c1", "blue");
    assert_reaches("c1", "outside", Outside::V4);
    assert_closed();
    host.zubi("disconnect blue c1").ok();
    host.zubi("network rm blue").ok();
    assert_eq!(switches(&host), before);
}

fn forwarding_that_somebody_switched_off_comes_back_closed() {
    let (host, _outside) = two_legs();
    host.shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1").ok();
    host.network(BLUE);
    assert_open();
    host.shell("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0; sysctl -qew net.ipv6.conf.all.force_forwarding=0")
        .ok();
    host.zubi("repair").ok();
    host.container("c1", "blue");
    assert_reaches("c1", "outside", Outside::V4);
    assert_closed();
}

fn killed_at_any_step_the_host_is_closed_and_goes_back() {
    let (host, _outside) = two_legs();
    let before = switches(&host);
    let create = format!("network create {BLUE}");
    for command in [create.as_str(), "network rm blue"] {
        let mut step = 0;
        loop {
            step += 1;
            if command != create {
                host.zubi(&create).ok();
            }
            let killed = host.with_env("ZUBI_FAULT", &format!("kill:{step}")).zubi(command);
            let on = host.shell("sysctl -n net.ipv4.ip_forward").ok().out == "1\n";
            let closed = host.shell("nft list set inet zubi closed | grep -q 'ipv4, ipv6'").code == 0;
            assert!(!on || closed, "{command}, step {step}");
            host.zubi("gc").ok();
            if host.shell("test -e /run/zubi-state/networks/blue.json").code == 0 {
                host.zubi("check").ok();
                host.zubi("network rm blue").ok();
            }
            assert_eq!(switches(&host), before, "{command}, step {step}");
            host.shell("test ! -e /run/zubi/forwarding.json").ok();
            if killed.code == 0 {
                break;
            }
        }
        assert!(step > 10, "only {step} steps were seen");
    }
}

/// As on kernels before 6.17, whose only switch makes a host drop routes from router advertisements.
fn without_force_forwarding(host: &Host) {
    host.shell(
        "mkdir /run/all && mount --bind /proc/sys/net/ipv6/conf/all /run/all && \
         mount -t tmpfs none /proc/sys/net/ipv6/conf/all && cd /run/all && for name in *; do \
         test $name = force_forwarding && continue; touch /proc/sys/net/ipv6/conf/all/$name && \
         mount --bind $name /proc/sys/net/ipv6/conf/all/$name || exit 1; done",
    )
    .ok();
}

fn the_classic_switch_goes_back_too() {
    let (host, _outside) = two_legs();
    without_force_forwarding(&host);
    let before = switches(&host);
    let anycast = "ip -6 route show table local | grep ^anycast";
    assert_eq!(host.shell("sysctl -n net.ipv6.conf.uplink.accept_ra").ok().out, "1\n");
    host.network(BLUE);
    assert_eq!(host.shell("sysctl -n net.ipv6.conf.uplink.accept_ra").ok().out, "2\n");
    host.shell(anycast).ok();
    host.container("c1", "blue");
    assert_reaches("c1", "outside", Outside::V6);
    assert_closed();
    host.zubi("disconnect blue c1").ok();
    host.zubi("network rm blue").ok();
    assert_eq!(switches(&host), before);
    assert_eq!(host.shell(anycast).out, "");
}

zubi_lab::tests!(
    the_first_network_makes_no_router_for_strangers,
    hardware_which_has_no_kind_is_kept_out_too,
    a_second_network_says_nothing_of_it_again,
    behind_the_last_network_a_host_is_what_it_was,
    a_family_goes_back_with_the_last_network_that_needs_it,
    a_router_stays_one,
    a_host_that_is_meant_to_be_a_router_becomes_one,
    bridges_of_others_are_none_of_the_strangers,
    who_was_there_before_did_without,
    another_firewall_that_came_meanwhile_keeps_it_on,
    a_flush_opens_the_host_until_the_next_command,
    what_is_missing_in_the_set_is_found_and_put_back,
    the_set_says_it_too_when_the_file_is_lost,
    a_damaged_file_is_reported_and_keeps_the_host_closed,
    a_network_that_ceases_to_be_internal_makes_no_router_for_strangers,
    forwarding_that_somebody_switched_off_comes_back_closed,
    killed_at_any_step_the_host_is_closed_and_goes_back,
    the_classic_switch_goes_back_too,
);
