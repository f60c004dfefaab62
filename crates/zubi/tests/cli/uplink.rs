//! Networks on the LAN: a bridge takes over a network card of the host, and gives it back.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;
use zubi_lab::boot::reaches_the_lan;
use zubi_lab::lan::{COMPUTER, HOST, OUTSIDE, ROUTER, holdings, make_lan};
use zubi_lab::{Capability, Host, Networkd, Snapshot, assert_reaches, lacking, need, on_another_host};

/// Talks over the card while it goes to the bridge and back.
const STREAMS: &str = include_str!("uplink_streams.py");

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn host() -> Host {
    let host = Host::new(ZUBI);
    make_lan(&host);
    host
}

fn problems(host: &Host) -> String {
    let answer = host.zubi("check");
    assert_eq!(answer.code, 1, "{}", answer.out);
    answer.out
}

fn a_container_is_on_the_lan_and_the_card_has_everything_back() {
    let host = host();
    // Addresses and routes of every sort that an administrator gives.
    host.shell(
        "set -e; ip addr add 192.168.1.6/24 dev eth0 label eth0:x valid_lft 1000 preferred_lft 500
         ip addr add 10.77.0.1/16 dev eth0 noprefixroute metric 40; ip addr add 2001:db8:1::6/64 dev eth0 nodad home
         ip addr add 192.168.7.1 peer 192.168.7.2 dev eth0
         ip route add 10.9.0.0/16 via 192.168.1.7 table 77 mtu 1400 advmss 1300 metric 9
         ip route add 10.8.0.0/16 dev eth0 src 192.168.1.6; ip route add 10.7.0.0/16 via 10.55.0.1 dev eth0 onlink initcwnd 20
         ip route add 10.6.0.0/16 via 192.168.1.7 tos 0x10 proto 99; ip route add 10.6.0.0/16 dev eth0 scope 200 metric 3
         ip -6 route add 2001:db8:9::/64 via 2001:db8:1::7 metric 77 pref high hoplimit 9
         sysctl -qw net.ipv4.conf.eth0.rp_filter=1 \
         net.ipv4.conf.eth0.arp_ignore=1 net.ipv6.conf.eth0.accept_ra=2
         ip rule add pref 70 iif eth0 to 10.3.0.0/16 fwmark 0x1/0xff lookup 77; ip -6 rule add pref 72 oif eth0 prohibit",
    )
    .ok();
    let state = Snapshot::take();
    host.shell("ip -6 route add 2001:db8:8::/64 dev eth0 expires 900").ok();
    let before = holdings(&host, "eth0");
    let on_card = host.shell("ip -o addr show dev eth0").ok().out;
    let said = host.zubi("network create lan --driver uplink --parent eth0 --ip-range 192.168.1.128/26").ok().out;
    assert_eq!(said, "lan: 192.168.1.0/24, 2001:db8:1::/64 on bridge zb-lan\n");
    reaches_the_lan(&host);
    // The bridge has what the card had.
    let on_bridge = host.shell("ip -o addr show dev zb-lan").ok().out;
    let words = |text: &str| {
        let mut all: Vec<String> =
            text.lines().map(|line| line.split_once("inet").unwrap_or_default().1.replace("zb-lan", "eth0")).collect();
        all.sort();
        all.iter()
            .map(|line| line.split("sec").next().unwrap_or_default().trim_end_matches(char::is_numeric).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(words(&on_bridge), words(&on_card));
    assert!(host.shell("ip addr show dev eth0").ok().out.lines().all(|line| !line.contains("inet")));
    // Containers reach everybody, and everybody reaches them.
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    assert!(host.zubi("connect lan c1").ok().out.contains("192.168.1.128/24"));
    host.zubi("connect lan c2 --ip 192.168.1.99 --ip 2001:db8:1::99").ok();
    assert_reaches("c1", "pc", COMPUTER);
    assert_reaches("c1", "host", HOST);
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("c1", "c2", "192.168.1.99");
    assert_reaches("pc", "c1", "192.168.1.128");
    assert_reaches("host", "c1", "192.168.1.128");
    assert_reaches("pc", "c2", "2001:db8:1::99");
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    assert!(host.zubi("network ls").ok().out.contains("uplink"));
    host.zubi("connect lan c1 -p 8080:80").fails(2, "its addresses are reached without published ports");
    host.zubi("network rm lan").fails(4, "still attached");
    host.zubi("sandbox rm -f c1").ok();
    host.zubi("sandbox rm -f c2").ok();
    host.zubi("network rm lan").ok();
    host.settle();
    reaches_the_lan(&host);
    assert_eq!(holdings(&host, "eth0"), before);
    host.shell("ip -6 route del 2001:db8:8::/64 dev eth0").ok();
    state.assert_no_residue(&Snapshot::take());
}

/// What the bridge and the card have after `make`, on a host of its own.
fn after(make: fn(&Host)) -> String {
    on_another_host(|| {
        let host = host();
        host.shell(
            "ip addr add 192.168.1.6/24 dev eth0 label eth0:x; ip addr add 10.77.0.1/16 dev eth0 noprefixroute metric 40
             ip addr add 2001:db8:1::6/64 dev eth0 nodad home; ip addr add 192.168.7.1 peer 192.168.7.2 dev eth0
             ip route add 10.9.0.0/16 via 192.168.1.7 table 77 mtu 1400 advmss 1300 metric 9
             ip route add 10.7.0.0/16 via 10.55.0.1 dev eth0 onlink initcwnd 20
             ip route add 10.6.0.0/16 dev eth0 scope 200 metric 3; ip route add 10.6.0.0/16 via 192.168.1.7 tos 0x10
             ip -6 route add 2001:db8:9::/64 via 2001:db8:1::7 metric 77 pref high hoplimit 9
             sysctl -qw net.ipv4.conf.eth0.rp_filter=1 net.ipv4.conf.eth0.arp_ignore=1
             ip neigh replace 192.168.1.9 lladdr 02:00:00:00:00:09 dev eth0 nud permanent
             ip rule add pref 70 iif eth0 to 10.3.0.0/16 fwmark 0x1/0xff ipproto tcp dport 80-90 lookup 77
             ip rule add not pref 71 oif eth0 uidrange 10-20 lookup 77 suppress_prefixlength 0
             ip -6 rule add pref 72 iif eth0 from 2001:db8:5::/64 tos 0x10 prohibit",
        )
        .ok();
        make(&host);
        reaches_the_lan(&host);
        let neighbours = host.shell("ip neigh show dev zb-lan nud permanent").ok().out;
        let bridge = host.shell("ip -d link show zb-lan | sed -E 's/_timer +[0-9.]+//g; s/id=[0-9a-f]+//'").ok().out;
        let rules = host.shell("ip rule; ip -6 rule").ok().out;
        assert!(rules.contains("iif zb-lan") && !rules.contains("eth0"), "{rules}");
        format!("{}{}{neighbours}{bridge}{rules}", holdings(&host, "zb-lan"), holdings(&host, "eth0"))
    })
}

fn the_printed_commands_do_the_same() {
    const CREATE: &str = "network create lan --driver uplink --parent eth0";
    let by_zubi = after(|host| drop(host.zubi(CREATE).ok()));
    let by_hand = after(|host| {
        let script = host.zubi(&format!("--explain {CREATE}")).ok().out;
        std::fs::write("/run/by-hand.sh", format!("set -e\n{script}")).expect("a script");
        host.shell("sh /run/by-hand.sh").ok();
    });
    assert_eq!(by_hand, by_zubi);
}

const VLAN: &str = "network create ten --driver uplink --parent eth0 --vlan 10 --subnet 10.10.0.0/24 \
                    --gateway 10.10.0.1 --ip-range 10.10.0.128/25";

/// A host on a LAN with VLAN 10, in which the router has 10.10.0.1.
fn host_with_vlan(test: &str) -> Option<Host> {
    if !need(&[Capability::Vlan, Capability::VlanFiltering], test) {
        return None;
    }
    let host = host();
    host.shell(
        "set -e; ip -n router link add link eth0 name eth0.10 type vlan id 10; ip -n router link set eth0.10 up
         ip -n router addr add 10.10.0.1/24 dev eth0.10
         ip -n pc link add link eth0 name eth0.10 type vlan id 10; ip -n pc link set eth0.10 up
         ip -n pc addr add 10.10.0.7/24 dev eth0.10",
    )
    .ok();
    Some(host)
}

fn endpoints_are_in_a_vlan_and_the_host_stays_outside_of_it() {
    let Some(host) = host_with_vlan("endpoints_are_in_a_vlan_and_the_host_stays_outside_of_it") else { return };
    let before = holdings(&host, "eth0");
    assert_eq!(host.zubi(VLAN).ok().out, "ten: 10.10.0.0/24 on bridge zb-ten (vlan=10)\n");
    reaches_the_lan(&host);
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    assert!(host.zubi("connect ten c1").ok().out.contains("10.10.0.128/24"));
    host.zubi("connect ten c2").ok();
    for address in ["10.10.0.1", OUTSIDE] {
        assert_reaches("c1", "router", address);
    }
    assert_reaches("c1", "pc", "10.10.0.7");
    assert_reaches("pc", "c1", "10.10.0.128");
    assert_reaches("c1", "c2", "10.10.0.129");
    // The LAN of the host is another one: not even its ARP passes.
    host.shell("ip -n c1 addr add 192.168.1.77/24 dev eth0; ! ip netns exec c1 ping -qc1 -W1 192.168.1.7").ok();
    host.shell("! ip netns exec c1 ping -qc1 -W1 192.168.1.5; ip -n c1 addr del 192.168.1.77/24 dev eth0").ok();
    host.shell("ip addr add 10.10.0.200/24 dev zb-ten; ! ping -qc1 -W1 10.10.0.128").ok();
    host.shell("ip addr del 10.10.0.200/24 dev zb-ten").ok();
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    assert!(host.zubi("network ls").ok().out.contains("vlan=10"));
    assert!(host.zubi("network inspect ten").ok().out.contains(r#""vlan": "10""#));
    // What is changed is found and put right.
    let port = host.shell("bridge -j link show | grep -o 'zv[0-9a-f]*' | head -1").ok().out.trim().to_owned();
    for (change, said) in [
        (format!("bridge vlan del dev {port} vid 10"), port.as_str()),
        (format!("bridge vlan add dev {port} vid 1"), "is in VLAN 1"),
        ("bridge vlan del dev eth0 vid 10".to_owned(), "eth0"),
        ("ip link set zb-ten type bridge vlan_filtering 0".to_owned(), "does not tell VLANs apart"),
    ] {
        host.shell(&change).ok();
        assert!(problems(&host).contains(said), "{change}: {}", problems(&host));
        host.zubi("repair").ok();
        assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n", "{change}");
    }
    host.shell("ip link del zb-ten").ok();
    host.zubi("repair").ok();
    host.zubi("check").ok();
    assert_reaches("c1", "router", "10.10.0.1");
    host.zubi("network rm -f ten").ok();
    host.settle();
    assert_eq!(holdings(&host, "eth0"), before);
    // A device for the VLAN takes its frames before the bridge does.
    host.shell("ip link add link eth0 name tenth type vlan id 10").ok();
    host.zubi(VLAN).fails(4, "has the device tenth for VLAN 10");
}

fn the_printed_commands_put_endpoints_into_a_vlan() {
    const BETWEEN: &str = "====";
    if host_with_vlan("the_printed_commands_put_endpoints_into_a_vlan").is_none() {
        return;
    }
    let state = |host: &Host| {
        let shown = "{ bridge vlan show; ip -d link show zb-ten; } | sed -E 's/_timer +[0-9.]+//g; s/id=[0-9a-f]+//'";
        host.shell(shown).ok().out
    };
    let by_zubi = on_another_host(|| {
        let host = host();
        host.zubi("sandbox add c1").ok();
        let printed = [VLAN, "connect ten c1"].map(|words| host.zubi(&format!("--verbose {words}")).ok().err).concat();
        let lines: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("+ ")).collect();
        format!("{}{BETWEEN}{}", lines.join("\n"), state(&host))
    });
    let (script, by_zubi) = by_zubi.split_once(BETWEEN).expect("both parts");
    for words in ["vid 10 pvid untagged", "bridge vlan add dev eth0 vid 10\n", "type bridge vlan_filtering 1"] {
        assert!(script.contains(words), "{script}");
    }
    let by_hand = on_another_host(|| {
        let host = host();
        host.shell("ip netns add c1; ip -n c1 link set lo up").ok();
        std::fs::write("/run/by-hand.sh", format!("set -e\n{script}")).expect("a script");
        host.shell("sh /run/by-hand.sh").ok();
        state(&host)
    });
    assert_eq!(by_hand, by_zubi);
}

fn a_vlan_that_cannot_be_is_refused() {
    let host = host();
    let before = (Snapshot::take(), holdings(&host, "eth0"));
    let create = |words: &str| host.zubi(&format!("network create ten --driver uplink --parent eth0 --vlan {words}"));
    create("0 --subnet 10.10.0.0/24").fails(2, "between 1 and 4094");
    create("4095 --subnet 10.10.0.0/24").fails(2, "between 1 and 4094");
    create("10").fails(2, "add --subnet, or --ipam dhcp");
    create("10 --trunk 20 --subnet 10.10.0.0/24").fails(2, "--trunk");
    host.zubi("network create ten --vlan 10").fails(2, "is for --driver uplink and --driver ovs");
    if !lacking(&[Capability::VlanFiltering]).is_empty() {
        create("10 --subnet 10.10.0.0/24").fails(7, "tell no VLANs apart (CONFIG_BRIDGE_VLAN_FILTERING)");
        reaches_the_lan(&host);
    }
    assert_eq!(holdings(&host, "eth0"), before.1);
    before.0.assert_no_residue(&Snapshot::take());
}

fn a_bond_is_a_card() {
    if !need(&[Capability::Bond], "a_bond_is_a_card") {
        return;
    }
    let host = host();
    // Two cards on one switch, of which one is in use.
    host.shell(
        "set -e; ip link add eth1 type veth peer name to_host_2 netns lan
         ip -n lan link set to_host_2 master sw up; ip -n lan link set to_host_2 addrgenmode none
         ip link add bond0 type bond mode active-backup miimon 100
         ip addr flush dev eth0; ip link set eth0 down; ip link set eth0 master bond0; ip link set eth1 master bond0
         sysctl -qw net.ipv6.conf.bond0.accept_dad=0; ip link set bond0 up
         ip addr add 192.168.1.5/24 brd + dev bond0; ip addr add 2001:db8:1::5/64 dev bond0 nodad
         ip route add default via 192.168.1.1; ip -6 route add default via 2001:db8:1::1",
    )
    .ok();
    host.wait_for(&format!("ping -qc1 -W1 {ROUTER}"));
    reaches_the_lan(&host);
    let before = holdings(&host, "bond0");
    let create = |words: &str| host.zubi(&format!("network create lan {words} --ip-range 192.168.1.128/26"));
    for driver in ["uplink", "macvlan"] {
        create(&format!("--driver {driver} --parent eth0"))
            .fails(4, "is a port of bond bond0; take bond0 as the parent");
    }
    host.zubi("sandbox add c1").ok();
    for driver in ["uplink", "macvlan"] {
        create(&format!("--driver {driver} --parent bond0")).ok();
        reaches_the_lan(&host);
        host.zubi("connect lan c1").ok();
        assert_reaches("c1", "router", OUTSIDE);
        assert_reaches("host", "c1", "192.168.1.128");
        assert_reaches("pc", "c1", "192.168.1.128");
        assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
        // The other card takes over.
        host.shell("ip -n lan link set to_host down").ok();
        host.wait_for(&format!("ip netns exec c1 ping -qc1 -W1 {ROUTER}"));
        host.wait_for(&format!("ping -qc1 -W1 {ROUTER}"));
        host.shell("ip -n lan link set to_host up").ok();
        host.zubi("network rm -f lan").ok();
        host.settle();
        assert_eq!(holdings(&host, "bond0"), before, "{driver}");
        host.wait_for(&format!("ping -qc1 -W1 {ROUTER}"));
    }
}

fn without_a_confirmation_the_card_goes_back() {
    let host = host();
    let before = holdings(&host, "eth0");
    let made = host.zubi("network create lan --driver uplink --parent eth0 --confirm-within 2s").ok();
    assert!(made.err.contains("unless you say zubi network confirm lan"), "{}", made.err);
    assert!(host.zubi("network ls").ok().out.contains("unconfirmed, "));
    // Until then nothing is built on it, and nothing takes it away.
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1 --ip 192.168.1.99").fails(4, "is not confirmed, and the card goes back in");
    host.zubi("network create lan").fails(4, "is not confirmed");
    host.zubi("network rm lan").fails(4, "is not confirmed");
    host.zubi("check").ok();
    host.zubi("gc").ok();
    host.zubi("network prune").ok();
    reaches_the_lan(&host);
    host.wait_for("! ip link show zb-lan");
    host.wait_for("test -e \"$ZUBI_RUN_DIR\"/went-back/lan.json");
    reaches_the_lan(&host);
    assert_eq!(holdings(&host, "eth0"), before);
    host.zubi("network confirm lan")
        .fails(4, "does not exist any more: eth0 went back to the host: the network was not confirmed in time");
    let told = host.zubi("check").ok();
    assert!(told.err.contains("network lan: eth0 went back to the host"), "{}", told.err);
    assert!(!host.zubi("check").ok().err.contains("went back"));
    // The same again, and confirmed.
    host.zubi("network create lan --driver uplink --parent eth0 --confirm-within 60s").ok();
    assert_eq!(host.zubi("network confirm lan").ok().out, "lan: confirmed\n");
    assert!(!host.zubi("network ls").ok().out.contains("unconfirmed"));
    host.zubi("network confirm lan").fails(4, "is confirmed already");
    host.zubi("network rollback lan").fails(4, "is confirmed already");
    host.zubi("connect lan c1 --ip 192.168.1.99").ok();
    assert_reaches("pc", "c1", "192.168.1.99");
    host.zubi("sandbox rm -f c1").ok();
    host.zubi("network rm lan").ok();
    host.zubi("network create lan --driver uplink --parent eth0 --confirm-within 60s").ok();
    assert_eq!(host.zubi("network rollback lan").ok().out, "lan: gone; eth0 has everything back\n");
    assert_eq!(holdings(&host, "eth0"), before);
    assert!(!host.zubi("check").ok().err.contains("went back"));
}

fn a_key_on_the_terminal_confirms() {
    let host = host();
    for (key, outcome) in [("\n", "lan is confirmed"), ("n\n", "lan is gone, and the card has everything back")] {
        // script(1) gives the command a terminal. What is typed too early counts for nothing.
        let line = "network create lan --driver uplink --parent eth0 --confirm-within 30s";
        let mut script = Command::new("script");
        script.args(["-qec", &format!("{ZUBI} {line}"), "/dev/null"]).envs(host.variables());
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script");
        let mut keys = child.stdin.take().expect("a pipe");
        while !host.zubi("network ls").ok().out.contains("unconfirmed") {
            sleep(Duration::from_millis(20));
        }
        // The question follows.
        sleep(Duration::from_millis(500));
        keys.write_all(key.as_bytes()).expect("a key");
        let said = child.wait_with_output().expect("an answer");
        drop(keys);
        let said = String::from_utf8_lossy(&said.stdout);
        assert!(said.contains("press Enter within 30 s to keep lan"), "{said}");
        assert!(said.contains(outcome), "{said}");
        if key == "\n" {
            host.zubi("network rm lan").ok();
        }
    }
    reaches_the_lan(&host);
}

fn a_router_that_falls_silent_takes_the_card_back() {
    let host = host();
    let before = holdings(&host, "eth0");
    // A switch that shuts the port when it sees a bridge: here the host drops what its bridges get.
    host.shell("nft 'table bridge deaf { chain every { type filter hook prerouting priority 0; policy drop; }; }'")
        .ok();
    host.zubi("network create lan --driver uplink --parent eth0").fails(7, "192.168.1.1");
    host.shell("nft delete table bridge deaf").ok();
    reaches_the_lan(&host);
    assert_eq!(holdings(&host, "eth0"), before);
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
}

fn a_switch_that_is_deaf_for_a_while_has_the_time_to_confirm() {
    let host = host();
    host.shell(
        "nft 'table bridge deaf { chain every { type filter hook prerouting priority 0; policy drop; }; }'
         (sleep 5; nft delete table bridge deaf) > /dev/null 2>&1 &",
    )
    .ok();
    host.zubi("network create lan --driver uplink --parent eth0 --confirm-within 60s").ok();
    reaches_the_lan(&host);
    host.zubi("network confirm lan").ok();
    host.zubi("network rm lan").ok();
}

fn what_is_deleted_or_flushed_comes_back() {
    let host = host();
    host.zubi("network create lan --driver uplink --parent eth0").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1 --ip 192.168.1.99").ok();
    host.shell("nft flush ruleset; ip link set eth0 nomaster").ok();
    let said = problems(&host);
    assert!(said.contains("is not a port of zb-lan"), "{said}");
    host.zubi("repair").ok();
    host.zubi("check").ok();
    reaches_the_lan(&host);
    assert_reaches("pc", "c1", "192.168.1.99");
    // With the bridge, the host's addresses are gone.
    host.shell("ip link del zb-lan").ok();
    assert!(problems(&host).contains("ip link add zb-lan"));
    host.zubi("repair").ok();
    host.zubi("check").ok();
    reaches_the_lan(&host);
    assert_reaches("pc", "c1", "192.168.1.99");
    host.shell("ip link del zb-lan").ok();
    host.zubi("sandbox rm -f c1").ok();
    host.zubi("network rm lan").ok();
    reaches_the_lan(&host);
}

fn an_unplugged_card_costs_nothing_once_it_is_back() {
    let host = host();
    host.zubi("network create lan --driver uplink --parent eth0 --ip-range 192.168.1.128/26").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1").ok();
    let on_bridge = host.shell("ip -o addr show dev zb-lan; ip route show dev zb-lan").ok().out;
    host.shell("ip link del eth0").ok();
    assert!(problems(&host).contains("missing: ip link set eth0 master zb-lan"));
    host.zubi("repair").fails(7, "device eth0 is not there");
    host.zubi("disconnect lan c1").ok();
    host.zubi("network rm lan").fails(4, "network card eth0: is not there, and the addresses on zb-lan would be lost");
    host.shell(
        "ip link add eth0 address 52:54:00:00:00:05 type veth peer name to_host netns lan; ip link set eth0 up
         ip -n lan link set to_host master sw up",
    )
    .ok();
    host.zubi("repair").ok();
    assert_eq!(host.shell("ip -o addr show dev zb-lan; ip route show dev zb-lan").ok().out, on_bridge);
    host.zubi("connect lan c1").ok();
    host.wait_for(&format!("ping -qc1 -W1 {COMPUTER}"));
    assert_reaches("c1", "pc", COMPUTER);
    host.zubi("check").ok();
    host.zubi("network rm -f lan").ok();
    reaches_the_lan(&host);
}

fn groups_that_programs_have_joined_are_named() {
    let host = host();
    host.shell("ip addr add 239.1.2.3/32 dev eth0 autojoin; ip maddr show dev eth0 | grep -q 239.1.2.3").ok();
    let said = host.zubi("network create lan --driver uplink --parent eth0").ok().err;
    assert!(said.contains("have joined 239.1.2.3 on eth0, and hear nothing there any more"), "{said}");
}

fn cards_that_cannot_be_taken_over_are_refused() {
    let host = host();
    let create = |words: &str| host.zubi(&format!("network create lan --driver uplink {words}"));
    let before = (holdings(&host, "eth0"), Snapshot::take());
    create("").fails(2, "needs a network card");
    create("--parent eth9").fails(4, "does not exist; there are: eth0");
    create("--parent lo").fails(4, "is the loopback device");
    host.zubi("network create lan --parent eth0").fails(2, "is for --driver uplink");
    create("--parent eth0 --internal").fails(2, "is on the LAN");
    create("--parent eth0 --ip-range 192.168.1.0/26").fails(2, "contains this host's address 192.168.1.5");
    create("--parent eth0 --ip-range 192.168.1.0/30").fails(2, "contains the router's address 192.168.1.1");
    create("--parent eth0 --ip-range 10.0.0.0/8").fails(2, "is not inside 192.168.1.0/24");
    create("--parent eth0 --confirm-within 0").fails(2, "is no time");
    host.shell("ip link add dead type veth peer name dead2").ok();
    create("--parent dead").fails(4, "is down; ip link set dead up");
    host.shell("ip link del dead; ip link add br7 type bridge; ip link set br7 up").ok();
    create("--parent br7").fails(4, "is a bridge already; zubi network create NAME --bridge br7 --adopt");
    host.shell("ip link del br7; ip link add m0 link eth0 type macvlan").ok();
    create("--parent eth0").fails(4, "carries the macvlan m0");
    host.shell("ip link del m0; ip route add 10.5.0.0/16 nexthop via 192.168.1.7 nexthop via 192.168.1.1").ok();
    create("--parent eth0").fails(4, "has the route 10.5.0.0/16, which has several next hops");
    host.shell(
        "ip route del 10.5.0.0/16; ip nexthop add id 7 via 192.168.1.7 dev eth0; ip route add 10.5.0.0/16 nhid 7",
    )
    .ok();
    create("--parent eth0").fails(4, "leads to a nexthop object");
    host.shell("ip route del 10.5.0.0/16; ip nexthop del id 7; ip rule add iif eth0 table 99 pref 77 tun_id 5").ok();
    create("--parent eth0").fails(4, "has the policy rule pref 77 iif eth0");
    host.shell("ip rule del pref 77").ok();
    host.settle();
    assert_eq!(holdings(&host, "eth0"), before.0);
    before.1.assert_no_residue(&Snapshot::take());
    create("--parent eth0").ok();
    host.zubi("network create lan2 --driver uplink --parent eth0")
        .fails(4, "is a port of bridge zb-lan of network lan; connect to that network");
    host.zubi("network rm lan").ok();
}

fn a_card_that_a_program_manages_is_refused_by_its_name() {
    let host = host();
    let index = host.shell("cat /sys/class/net/eth0/ifindex").ok().out.trim().to_owned();
    let create = || host.zubi("network create lan --driver uplink --parent eth0");
    host.shell(&format!(
        "mkdir -p /run/systemd/netif/links && echo ADMIN_STATE=configured > /run/systemd/netif/links/{index}"
    ))
    .ok();
    create().fails(4, "is managed by systemd-networkd, which would take it back");
    host.shell(&format!("echo ADMIN_STATE=unmanaged > /run/systemd/netif/links/{index}")).ok();
    host.shell(&format!("mkdir -p /run/NetworkManager/devices && printf '[device]\nmanaged=true\n' > /run/NetworkManager/devices/{index}")).ok();
    create().fails(4, "nmcli device set eth0 managed no; or --force");
    host.zubi("network create lan --driver uplink --parent eth0 --force").ok();
    host.zubi("network rm lan").ok();
    host.shell(&format!("rm /run/NetworkManager/devices/{index} /run/systemd/netif/links/{index}")).ok();
}

fn a_card_of_the_real_networkd_is_refused_until_it_leaves_the_card() {
    let test = "a_card_of_the_real_networkd_is_refused_until_it_leaves_the_card";
    let host = host();
    if !Networkd::prepare(&host, test) {
        return;
    }
    host.shell(
        "printf '[Match]\nName=eth0\n[Network]\nAddress=192.168.1.5/24\nGateway=192.168.1.1\n' \
           > /etc/systemd/network/10-eth0.network",
    )
    .ok();
    let index = host.shell("cat /sys/class/net/eth0/ifindex").ok().out.trim().to_owned();
    let state = |word: &str| host.wait_for(&format!("grep -qx ADMIN_STATE={word} /run/systemd/netif/links/{index}"));
    let networkd = Networkd::start();
    state("configured");
    let create = || host.zubi("network create lan --driver uplink --parent eth0");
    let said = create().fails(4, "is managed by systemd-networkd").err;
    // What the message says, but for `networkctl reload`, which takes D-Bus.
    assert!(said.contains("/run/systemd/network/05-zubi.network with [Match] Name=eth0 and [Link] Unmanaged=yes"));
    drop(networkd);
    host.shell("printf '[Match]\nName=eth0\n[Link]\nUnmanaged=yes\n' > /run/systemd/network/05-zubi.network").ok();
    let _networkd = Networkd::start();
    state("unmanaged");
    create().ok();
    reaches_the_lan(&host);
    host.zubi("network rm lan").ok();
}

fn an_address_that_somebody_has_is_left_out() {
    let host = host();
    host.shell("ip -n pc addr add 192.168.1.128/24 dev eth0; ip -n pc addr add 192.168.1.50/24 dev eth0").ok();
    let mac = host.shell("ip netns exec pc cat /sys/class/net/eth0/address").ok().out.trim().to_owned();
    host.zubi("network create lan --driver uplink --parent eth0 --ip-range 192.168.1.128/26").ok();
    for name in ["c1", "c2"] {
        host.zubi(&format!("sandbox add {name}")).ok();
    }
    let first = host.zubi("connect lan c1").ok();
    assert!(first.out.contains("192.168.1.129/24"), "{}", first.out);
    assert!(first.err.contains(&format!("192.168.1.128 is in use on the LAN, by {mac}")), "{}", first.err);
    host.zubi("connect lan c2 --ip 192.168.1.50")
        .fails(4, &format!("192.168.1.50 is taken by {mac}, a neighbour on zb-lan"));
    host.zubi("check").ok();
    // Nobody is asked, and nobody has answered before.
    host.shell("ip neigh flush dev zb-lan").ok();
    host.zubi("connect lan c2 --ip 192.168.1.50 --no-probe").ok();
}

fn a_lan_passes_dockers_firewall_and_nothing_else_does() {
    let test = "a_lan_passes_dockers_firewall_and_nothing_else_does";
    if !need(&[Capability::BridgeNetfilter], test) {
        return;
    }
    let host = host();
    // Docker's rules, and bridges that pass frames to them.
    host.shell(
        "sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.ipv4.ip_forward=1
         nft 'table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }'",
    )
    .ok();
    host.shell(
        "ip netns add vpn; ip link add vpn0 type veth peer name eth0 netns vpn; ip addr add 10.99.0.1/24 dev vpn0
         ip link set vpn0 up; ip -n vpn addr add 10.99.0.2/24 dev eth0; ip -n vpn link set eth0 up
         ip -n vpn route add default via 10.99.0.1; ip -n pc route add 10.99.0.0/24 via 192.168.1.5",
    )
    .ok();
    let through = || host.shell("ip netns exec pc ping -qc1 -W1 10.99.0.2").code;
    assert_eq!(through(), 1);
    host.zubi("network create lan --driver uplink --parent eth0").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect lan c1 --ip 192.168.1.99").ok();
    assert_reaches("pc", "c1", "192.168.1.99");
    assert_reaches("c1", "router", OUTSIDE);
    assert_eq!(through(), 1, "the LAN comes through the host");
    host.zubi("check").ok();
    host.zubi("sandbox rm -f c1").ok();
    host.zubi("network rm lan").ok();
    assert!(!host.shell("nft list ruleset").ok().out.contains("zb-lan"));
}

fn connections_and_streams_survive() {
    let host = host();
    std::fs::write("/run/streams.py", STREAMS).expect("the program");
    let mut server = Command::new("ip");
    server.args("netns exec pc python3 /run/streams.py serve".split(' ')).stdin(Stdio::null());
    let mut server = server.spawn().expect("python3");
    host.wait_for("ip netns exec pc ss -Hltn 'sport = :9' | grep -q :9");
    let said = host.shell(&format!("python3 /run/streams.py talk {ZUBI}")).ok().out;
    server.wait().expect("the server ends with the connection");
    let mut families = 0;
    for line in said.lines() {
        let numbers: Vec<u32> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
        let [_, sent, lost] = numbers[..] else { panic!("{said}") };
        // On a quiet machine none to two are lost; without the order of the steps, a second of them.
        assert!(sent > 500 && lost < 100, "{said}");
        families += 1;
    }
    assert_eq!(families, 2, "{said}");
}

/// A reboot: the run folder is empty, and the card is as the system makes it.
fn reboot(host: &Host) {
    host.shell("cp -a \"$ZUBI_STATE_DIR\" /run/kept").ok();
    host.zubi("network rm lan").ok();
    host.settle();
    host.shell("rm -rf \"$ZUBI_STATE_DIR\" \"$ZUBI_RUN_DIR\" && mv /run/kept \"$ZUBI_STATE_DIR\"").ok();
    reaches_the_lan(host);
}

fn a_network_on_the_lan_comes_up_again_after_a_reboot() {
    let host = host();
    host.zubi("network create lan --driver uplink --parent eth0 --ip-range 192.168.1.128/26").ok();
    host.zubi("sandbox add c1").ok();
    for first in ["repair", "connect lan c1"] {
        host.zubi("sandbox rm -f c1").ok();
        reboot(&host);
        host.zubi("sandbox add c1").ok();
        host.zubi(first).ok();
        assert!(host.shell("ip addr show zb-lan").ok().out.contains(HOST));
        host.zubi("connect lan c1").ok();
        reaches_the_lan(&host);
        assert_reaches("pc", "c1", "192.168.1.128");
        host.zubi("check").ok();
    }
    host.zubi("sandbox rm -f c1").ok();
    host.zubi("network rm lan").ok();
    reaches_the_lan(&host);
}

fn an_enslaved_card_that_kept_its_address_is_seen() {
    let host = host();
    host.shell("ip link add br0 type bridge && ip link set br0 up && ip link set eth0 master br0").ok();
    let said = problems(&host);
    assert!(said.contains("is a port of br0 and has the address 192.168.1.5/24"), "{said}");
    assert!(said.contains("ip addr add 192.168.1.5/24 dev br0; ip addr del 192.168.1.5/24 dev eth0"), "{said}");
}

zubi_lab::tests!(
    endpoints_are_in_a_vlan_and_the_host_stays_outside_of_it,
    the_printed_commands_put_endpoints_into_a_vlan,
    a_vlan_that_cannot_be_is_refused,
    a_bond_is_a_card,
    a_container_is_on_the_lan_and_the_card_has_everything_back,
    the_printed_commands_do_the_same,
    without_a_confirmation_the_card_goes_back,
    a_key_on_the_terminal_confirms,
    a_router_that_falls_silent_takes_the_card_back,
    a_switch_that_is_deaf_for_a_while_has_the_time_to_confirm,
    what_is_deleted_or_flushed_comes_back,
    an_unplugged_card_costs_nothing_once_it_is_back,
    groups_that_programs_have_joined_are_named,
    cards_that_cannot_be_taken_over_are_refused,
    a_card_that_a_program_manages_is_refused_by_its_name,
    a_card_of_the_real_networkd_is_refused_until_it_leaves_the_card,
    an_address_that_somebody_has_is_left_out,
    a_lan_passes_dockers_firewall_and_nothing_else_does,
    connections_and_streams_survive,
    a_network_on_the_lan_comes_up_again_after_a_reboot,
    an_enslaved_card_that_kept_its_address_is_seen
);
