//! Networks on Open vSwitch bridges, with a real ovsdb-server and ovs-vswitchd.

use zubi_lab::{DhcpServer, Host, OpenVswitch, Reach, Snapshot, arrives_from, assert_isolated, assert_reaches, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// A host with Open vSwitch, and sandboxes c1 and c2.
fn host(test: &str) -> Option<(Host, OpenVswitch)> {
    let host = Host::new(ZUBI);
    let ovs = OpenVswitch::start(&host, test)?;
    // Leases of a dnsmasq on this machine are no business of the test.
    host.shell("mkdir -p /var/lib/misc && mount -t tmpfs none /var/lib/misc").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    Some((host, ovs))
}

fn the_kernel_s_datapath_does_the_same() {
    let test = "the_kernel_s_datapath_does_the_same";
    let host = Host::new(ZUBI);
    let Some(ovs) = OpenVswitch::start_in_kernel(&host, test) else { return };
    host.shell("mkdir -p /var/lib/misc && mount -t tmpfs none /var/lib/misc; ip addr add 10.5.0.254/24 dev br0").ok();
    host.shell("ip link set br0 up").ok();
    for sandbox in ["c1", "c2", "c3"] {
        host.zubi(&format!("sandbox add {sandbox}")).ok();
    }
    let state = Snapshot::take();
    host.zubi("network create all --driver ovs --bridge br0 --subnet 10.5.0.0/24 --ip-range 10.5.0.0/25").ok();
    host.zubi("network create ten --driver ovs --bridge br0 --vlan 10 --subnet 10.6.0.0/24").ok();
    host.zubi("connect all c1").ok();
    host.zubi("connect all c2 --ip 10.5.0.9").ok();
    host.zubi("connect ten c2 --ip 10.6.0.9").ok();
    host.zubi("connect ten c3 --ip 10.6.0.10").ok();
    assert_eq!(ovs.ports("br0").len(), 4);
    // The kernel forwards the frames itself.
    let datapath = host.shell("ovs-dpctl show").ok().out;
    assert!(datapath.contains("system@") && datapath.contains("zv"), "{datapath}");
    assert_reaches_again(&host, "c1", "c2", "10.5.0.9");
    assert_reaches_again(&host, "c3", "c2", "10.6.0.9");
    assert_reaches("host", "c1", "10.5.0.1");
    assert_isolated("c1", "c3", "10.6.0.10");
    // Checksums are the kernel's business there: nothing is switched off.
    assert!(host.shell("ip netns exec c1 ethtool -k eth0").ok().out.contains("tx-checksumming: on"));
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    host.zubi("network rm -f all").ok();
    host.zubi("network rm -f ten").ok();
    host.settle();
    assert!(ovs.ports("br0").is_empty());
    state.assert_no_residue(&Snapshot::take());
}

fn only_port(ovs: &OpenVswitch) -> String {
    let ports = ovs.ports("br0");
    let [port] = &ports[..] else { panic!("{ports:?}") };
    port.clone()
}

/// Checks, repairs, checks again.
fn repaired(host: &Host, said: &str) {
    let told = host.zubi("check");
    assert!(told.code == 1 && told.out.contains(said), "{}", told.out);
    host.zubi("repair").ok();
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
}

/// ovs-vswitchd forgets the flows from before a change a moment later, and the first frames may be lost to them.
#[track_caller]
fn assert_reaches_again(host: &Host, from: &str, to: &str, address: &str) {
    host.wait_for(&format!("ip netns exec {from} ping -n -q -c 1 -W 1 {address}"));
    assert_reaches(from, to, address);
}

fn sandboxes_on_a_bridge_reach_each_other_and_leave_nothing() {
    let Some((host, ovs)) = host("sandboxes_on_a_bridge_reach_each_other_and_leave_nothing") else { return };
    let state = Snapshot::take();
    let said = host.zubi("network create blue --driver ovs --bridge br0 --vlan 10 --subnet 10.5.0.0/24").ok();
    assert_eq!((said.out.as_str(), said.err.as_str()), ("blue: 10.5.0.0/24 on br0 (ovs, vlan=10)\n", ""));
    let said = host.zubi("connect blue c1").ok();
    assert_eq!((said.out.as_str(), said.err.as_str()), ("c1: eth0 10.5.0.1/24 02:42:0a:05:00:01 on blue\n", ""));
    let port = only_port(&ovs);
    assert_eq!((ovs.column(&port, "tag"), ovs.column(&port, "vlan_mode")), ("10".into(), "access".into()));
    let ids = ovs.column(&port, "external_ids");
    for word in ["zubi-network=blue", "zubi-sandbox=c1", "/run/zubi", "zubi-endpoint="] {
        assert!(ids.contains(word), "{ids}");
    }
    host.zubi("connect blue c2 --ip 10.5.0.9").ok();
    assert_reaches("c1", "c2", "10.5.0.9");
    assert_reaches("c2", "c1", "10.5.0.1");
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    let listed = host.zubi("network ls").ok().out;
    assert!(listed.contains("ovs") && listed.contains("br0") && listed.contains("vlan=10"), "{listed}");
    let shown = host.zubi("network inspect blue").ok().out;
    assert!(shown.contains(r#""bridge": "br0""#) && shown.contains(r#""vlan": "10""#), "{shown}");
    let listed = host.zubi("ls --wide").ok().out;
    assert!(listed.contains(&port) && listed.contains("10.5.0.9/24"), "{listed}");
    assert!(host.zubi("connect blue c1").ok().out.contains("was connected already"));
    host.zubi("network rm blue").fails(4, "still attached");
    host.zubi("disconnect blue c1").ok();
    assert!(!ovs.ports("br0").contains(&port));
    // A sandbox that zubi removes takes its endpoints along.
    host.zubi("sandbox rm c2").ok();
    assert_eq!(ovs.ports("br0"), Vec::<String>::new());
    host.zubi("network rm blue").ok();
    host.zubi("sandbox add c2").ok();
    host.settle();
    state.assert_no_residue(&Snapshot::take());
}

fn vlans_keep_sandboxes_apart_and_a_trunk_carries_both() {
    let Some((host, ovs)) = host("vlans_keep_sandboxes_apart_and_a_trunk_carries_both") else { return };
    host.zubi("network create ten --driver ovs --bridge br0 --vlan 10 --subnet 10.5.0.0/24").ok();
    host.zubi("network create twenty --driver ovs --bridge br0 --vlan 20 --subnet 10.5.0.0/24").ok();
    host.zubi("sandbox add c3").ok();
    host.zubi("connect ten c1 --ip 10.5.0.1").ok();
    host.zubi("connect twenty c2 --ip 10.5.0.2").ok();
    host.zubi("connect twenty c3 --ip 10.5.0.3").ok();
    assert_reaches("c2", "c3", "10.5.0.3");
    assert_isolated("c1", "c2", "10.5.0.2");
    // This kernel may lack VLAN devices: the bridge itself says where a frame with a tag goes.
    let said = host.zubi("network create both --driver ovs --bridge br0 --trunk 20,10").ok().out;
    assert_eq!(said, "both: on br0 (ovs, trunk=10,20)\n");
    host.zubi("connect both c1 --ifname trunk0").ok();
    let all = ovs.ports("br0");
    let port = all.iter().find(|port| ovs.column(port, "vlan_mode") == "trunk").expect("a trunk");
    assert_eq!((ovs.column(port, "trunks"), ovs.column(port, "tag")), ("[10, 20]".into(), "[]".into()));
    let way = |tag: u16| {
        let flow = format!("in_port={port},dl_vlan={tag},dl_src=02:00:00:00:00:77,dl_dst=ff:ff:ff:ff:ff:ff");
        host.shell(&format!("ovs-appctl ofproto/trace br0 {flow} | grep 'Datapath actions'")).ok().out
    };
    for (tag, network) in [(10, "ten"), (20, "twenty")] {
        assert!(way(tag).contains("pop_vlan"), "{network}: {}", way(tag));
    }
    assert!(way(30).contains("drop"), "{}", way(30));
    host.zubi("check").ok();
}

fn a_dead_sandbox_leaves_a_port_that_gc_removes() {
    let Some((host, ovs)) = host("a_dead_sandbox_leaves_a_port_that_gc_removes") else { return };
    let state = Snapshot::take();
    host.zubi("network create blue --driver ovs --bridge br0 --subnet 10.5.0.0/24").ok();
    host.zubi("connect blue c1").ok();
    host.shell("ip netns del c1").ok();
    let port = only_port(&ovs);
    host.wait_for(&format!("! ip link show {port}"));
    let told = host.zubi("check");
    assert!(told.code == 1 && told.out.contains("its sandbox is gone"), "{}", told.out);
    assert!(host.zubi("gc").ok().out.contains("sandbox is gone"));
    assert_eq!(ovs.ports("br0"), Vec::<String>::new());
    // A container that is started again gets its address, and its port is the only one.
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1").ok();
    host.shell("ip netns del c1 && ip netns add c1").ok();
    host.zubi("connect blue c1").ok();
    only_port(&ovs);
    host.zubi("network rm -f blue").ok();
    host.settle();
    state.assert_no_residue(&Snapshot::take());
}

fn a_row_that_outlived_its_records_is_swept() {
    let Some((host, ovs)) = host("a_row_that_outlived_its_records_is_swept") else { return };
    host.zubi("network create blue --driver ovs --bridge br0 --subnet 10.5.0.0/24").ok();
    host.zubi("connect blue c1").ok();
    let port = only_port(&ovs);
    // As after a reboot: no devices, no run folder. The database and the network's record stay.
    let reboot = |host: &Host, port: &str| {
        host.shell(&format!("ip link del {port}; find /run/zubi -mindepth 1 -delete")).ok();
    };
    reboot(&host, &port);
    host.shell("ovs-vsctl add-port br0 other -- set interface other type=internal").ok();
    // A zubi in a container that sees Open vSwitch may have a folder of that name too.
    let mark = ovs.column(&port, "external_ids:zubi-instance");
    let (boot, _) = mark.trim_matches('"').split_once('.').expect("a boot");
    let theirs = format!(r#"external_ids:zubi-instance='"{boot}.1 /run/zubi"'"#);
    host.shell(&format!("ovs-vsctl add-port br0 theirs {theirs} -- set interface theirs type=internal")).ok();
    let before = r#"external_ids:zubi-instance='"00000000.1 /run/zubi"'"#;
    host.shell(&format!("ovs-vsctl set port {port} {before}")).ok();
    let told = host.zubi("check");
    assert!(told.code == 1 && told.out.contains(&format!("Open vSwitch port {port}")), "{}", told.out);
    assert!(host.zubi("gc --dry-run").ok().out.contains(&format!("ovs-vsctl --if-exists del-port {port}")));
    assert!(host.zubi("gc").ok().out.contains(&format!("Open vSwitch port {port} (in no record)")));
    assert_eq!(ovs.ports("br0"), ["other", "theirs"]);
    host.shell("ovs-vsctl del-port theirs").ok();
    // With the network go the ports that it has in the database.
    host.zubi("connect blue c1").ok();
    let port = ovs.ports("br0").into_iter().find(|port| port != "other").expect("a port");
    reboot(&host, &port);
    host.zubi("network rm blue").ok();
    assert_eq!(ovs.ports("br0"), ["other"]);
}

fn what_is_changed_is_found_and_put_right() {
    let Some((host, ovs)) = host("what_is_changed_is_found_and_put_right") else { return };
    host.zubi("network create blue --driver ovs --bridge br0 --vlan 10 --subnet 10.5.0.0/24").ok();
    host.zubi("connect blue c1").ok();
    let port = only_port(&ovs);
    host.zubi("connect blue c2 --ip 10.5.0.9").ok();
    ovs.add_bridge("br1");
    host.shell(&format!("ovs-vsctl set port {port} external_ids:theirs=1")).ok();
    for (change, said) in [
        (format!("ovs-vsctl del-port {port}"), "missing: ovs-vsctl add-port br0"),
        (format!("ovs-vsctl set port {port} tag=20"), "tag is 20"),
        (format!("ovs-vsctl set port {port} vlan_mode=trunk"), "vlan_mode is trunk"),
        (format!("ovs-vsctl set port {port} trunks=7"), "trunks is 7"),
        (format!("ovs-vsctl remove port {port} external_ids zubi-network"), "its external_ids do not say whose it is"),
        (format!("ip link del {port}"), "missing: ip link add"),
        (format!("ip link set {port} down"), "is down"),
        (format!("ovs-vsctl del-port {port} -- add-port br1 {port} external_ids:zubi-network=x"), "is a port of br1"),
        ("ip -n c1 link set eth0 down; ip -n c1 link set eth0 name other".into(), "renamed or gone"),
        ("ip -n c1 addr flush dev eth0".into(), "10.5.0.1"),
    ] {
        host.shell(&change).ok();
        repaired(&host, said);
        assert_reaches_again(&host, "c1", "c2", "10.5.0.9");
    }
    // A busy ovs-vswitchd that sees deletion and addition at once would go on with the device that is gone.
    let pid = "$(cat /run/openvswitch/ovs-vswitchd.pid)";
    host.shell(&format!("ip link del {port}; kill -STOP {pid}; (sleep 0.5; kill -CONT {pid}) >/dev/null 2>&1 &")).ok();
    host.zubi("repair").ok();
    assert_reaches_again(&host, "c1", "c2", "10.5.0.9");
    // What other programs say of the port stays while zubi changes it.
    host.shell(&format!("ovs-vsctl set port {port} external_ids:theirs=1 tag=20")).ok();
    repaired(&host, "tag is 20");
    assert!(ovs.column(&port, "external_ids").contains(r#"theirs="1""#));
    // A device that somebody deleted comes back with connect as well.
    host.shell(&format!("ip link del {port}")).ok();
    host.zubi("connect blue c1").ok();
    assert_reaches_again(&host, "c1", "c2", "10.5.0.9");
    assert_eq!(ovs.ports("br0").len(), 2);
}

fn open_vswitch_is_restarted_or_off() {
    let Some((host, ovs)) = host("open_vswitch_is_restarted_or_off") else { return };
    let state = Snapshot::take();
    host.zubi("network create blue --driver ovs --bridge br0 --subnet 10.5.0.0/24").ok();
    host.zubi("connect blue c1").ok();
    host.zubi("connect blue c2").ok();
    // A server that says nothing is waited for, but not for ever.
    host.zubi("sandbox add c3").ok();
    host.shell("kill -STOP $(cat /run/openvswitch/ovsdb-server.pid)").ok();
    host.zubi("connect blue c3").fails(4, "ovsdb-server gave no answer");
    host.shell("kill -CONT $(cat /run/openvswitch/ovsdb-server.pid)").ok();
    ovs.stop_switch();
    ovs.stop_database();
    // Nothing is begun that cannot be finished.
    let refused = host.zubi("connect blue c3").fails(4, "Open vSwitch does not run");
    assert!(refused.err.contains("/run/openvswitch/db.sock"), "{}", refused.err);
    assert_eq!(host.shell("ip -n c3 -o link").ok().out.lines().count(), 1);
    let told = host.zubi("check");
    assert!(told.code == 1 && told.out.contains("Open vSwitch does not run"), "{}", told.out);
    // A disconnect is finished once the row can be deleted.
    assert_ne!(host.zubi("disconnect blue c1").code, 0);
    ovs.start_database();
    host.zubi("gc").ok();
    let ports = ovs.ports("br0");
    assert_eq!(ports.len(), 1, "{ports:?}");
    // The database answers, and nobody looks at the port: a definite error, and nothing is left.
    host.zubi("connect blue c3").fails(4, "ovs-vswitchd has not looked at the port");
    assert_eq!(ovs.ports("br0"), ports);
    ovs.start_switch();
    host.zubi("connect blue c3 --ip 10.5.0.7").ok();
    assert_reaches_again(&host, "c2", "c3", "10.5.0.7");
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    host.zubi("network rm -f blue").ok();
    host.zubi("sandbox rm c3").ok();
    host.settle();
    state.assert_no_residue(&Snapshot::take());
}

fn the_folder_of_open_vswitch_is_the_one_of_its_own_programs() {
    let test = "the_folder_of_open_vswitch_is_the_one_of_its_own_programs";
    let Some((host, _ovs)) = host(test) else { return };
    host.shell("mkdir /run/openvswitch/elsewhere && mv /run/openvswitch/db.sock /run/openvswitch/elsewhere/").ok();
    let create = "network create blue --driver ovs --bridge br0 --subnet 10.5.0.0/24";
    host.zubi(create).fails(4, "name its folder by OVS_RUNDIR");
    let host = host.with_env("OVS_RUNDIR", "/run/openvswitch/elsewhere");
    host.zubi(create).ok();
    host.zubi("connect blue c1").ok();
    assert_eq!(host.shell("ovs-vsctl list-ports br0").ok().out.lines().count(), 1);
}

fn networks_that_cannot_be_are_refused() {
    let Some((host, ovs)) = host("networks_that_cannot_be_are_refused") else { return };
    let state = Snapshot::take();
    host.shell("ip link add lbr0 type bridge").ok();
    for (words, code, said) in [
        ("--driver ovs", 2, "add --bridge, for example --bridge br0"),
        ("--driver ovs --bridge br7", 4, "Open vSwitch has no bridge br7; there are: br0; ovs-vsctl add-br br7"),
        ("--driver ovs --bridge lbr0", 2, "is a Linux bridge, and none of Open vSwitch"),
        ("--driver ovs --bridge br0 --vlan 0", 2, "is not between 1 and 4094"),
        ("--driver ovs --bridge br0 --vlan 4095", 2, "is not between 1 and 4094"),
        ("--driver ovs --bridge br0 --trunk 10,4095", 2, "is not between 1 and 4094"),
        ("--driver ovs --bridge br0 --vlan 10 --trunk 20", 2, "cannot be used with"),
        ("--driver ovs --bridge br0 --trunk 10 --subnet 10.5.0.0/24", 2, "frames without a tag do not pass"),
        ("--driver ovs --bridge br0 --internal", 2, "cannot be internal"),
        ("--driver ovs --bridge br0 --no-icc", 2, "different VLANs keep endpoints apart"),
        ("--driver ovs --bridge br0 --parent eth0", 2, "is for --driver uplink, macvlan, ipvlan and host-device"),
        ("--driver ovs --bridge br0 --adopt", 2, "one of Open vSwitch stays anyway"),
        ("--vlan 10", 2, "is for --driver uplink and --driver ovs"),
        ("--driver macvlan --trunk 10", 2, "is for --driver ovs"),
        ("--driver ovs --bridge br0 --subnet 10.5.0.0/24 --gateway 10.6.0.1", 2, "is not inside"),
    ] {
        host.zubi(&format!("network create bad {words}")).fails(code, said);
    }
    host.shell("ip link del lbr0").ok();
    host.settle();
    state.assert_no_residue(&Snapshot::take());
    host.zubi("network create blue --driver ovs --bridge br0 --vlan 10 --subnet 10.5.0.0/24").ok();
    host.zubi("network create green --driver ovs --bridge br0 --vlan 10 --subnet 10.5.0.0/25")
        .fails(4, "network blue in the same VLAN of bridge br0");
    host.zubi("connect blue c1 -p 8080:80").fails(2, "whose frames pass the host's rules by");
    host.shell("ip link add hand type veth peer name eth7 netns c1").ok();
    host.zubi("connect blue c1 --device hand").fails(2, "cannot be taken over");
    host.zubi("network set blue --internal").fails(4, "its internal stays off");
    // Another datapath takes another kind of endpoint.
    host.shell("ovs-vsctl set bridge br0 datapath_type=system").ok();
    host.zubi("connect blue c1").fails(4, "has another datapath_type than when network blue was made");
    host.shell("ovs-vsctl set bridge br0 datapath_type=netdev").ok();
    // The bridge goes, and the network says so.
    host.shell("ovs-vsctl del-br br0").ok();
    host.zubi("connect blue c1").fails(4, "Open vSwitch has no bridge br0");
    ovs.add_bridge("br0");
    host.zubi("connect blue c1").ok();
}

fn addresses_are_those_that_others_leave() {
    let Some((host, _ovs)) = host("addresses_are_those_that_others_leave") else { return };
    host.shell("ip addr add 10.5.0.1/24 dev br0 && ip link set br0 up").ok();
    // Of the bridge's own subnet nobody has left an address to zubi; the host is the way out.
    host.zubi("network create lan --driver ovs --bridge br0").ok();
    host.zubi("connect lan c1").fails(4, "choose one with --ip");
    host.zubi("connect lan c1 --ip 10.5.0.77").ok();
    assert_reaches("c1", "host", "10.5.0.1");
    assert!(host.shell("ip -n c1 route").ok().out.contains("default via 10.5.0.1"));
    host.zubi("network rm -f lan").ok();
    let range = "network create lan --driver ovs --bridge br0 --subnet 10.5.0.0/24 --ip-range 10.5.0.64/26 \
                 --gateway 10.5.0.254";
    host.zubi(range).ok();
    assert!(host.zubi("connect lan c1").ok().out.contains("10.5.0.64/24"));
    assert!(host.shell("ip -n c1 route").ok().out.contains("default via 10.5.0.254"));
    host.zubi("network set lan --mtu 1400").ok();
    assert!(host.shell("ip -n c1 link show eth0").ok().out.contains("mtu 1400"));
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    host.zubi("network rm -f lan").ok();
    assert!(host.shell("ip addr show dev br0").ok().out.contains("10.5.0.1/24"));
    // A container that somebody plugged in by hand has an address in its VLAN.
    host.shell("ip netns add hand && ip link add v9 type veth peer name eth0 netns hand").ok();
    host.shell("ip link set v9 up && ip -n hand link set eth0 up && ip -n hand addr add 10.6.0.1/24 dev eth0").ok();
    host.shell("ovs-vsctl add-port br0 v9 tag=10").ok();
    for (vlan, first) in [(10, "10.6.0.2/24"), (20, "10.6.0.1/24")] {
        host.zubi(&format!("network create v{vlan} --driver ovs --bridge br0 --vlan {vlan} --subnet 10.6.0.0/24")).ok();
        let said = host.zubi(&format!("connect v{vlan} c1")).ok().out;
        assert!(said.contains(first), "{said}");
    }
    host.zubi("connect v10 c2 --ip 10.6.0.1").fails(4, "10.6.0.1 is taken by");
}

fn thirty_connects_at_once_make_thirty_ports() {
    let Some((host, ovs)) = host("thirty_connects_at_once_make_thirty_ports") else { return };
    let state = Snapshot::take();
    host.zubi("network create blue --driver ovs --bridge br0 --vlan 10 --subnet 10.5.0.0/24").ok();
    let names: Vec<String> = (0..30).map(|number| format!("n{number}")).collect();
    host.zubi(&format!("sandbox add {}", names.join(" "))).ok();
    let all = |command: &str| {
        std::thread::scope(|scope| {
            for name in &names {
                let (host, words) = (&host, format!("{command} blue {name}"));
                scope.spawn(move || host.zubi(&words).ok());
            }
        });
    };
    all("connect");
    assert_eq!(ovs.ports("br0").len(), names.len());
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    all("disconnect");
    assert_eq!(ovs.ports("br0"), Vec::<String>::new());
    host.zubi("network rm blue").ok();
    host.zubi(&format!("sandbox rm {}", names.join(" "))).ok();
    host.settle();
    state.assert_no_residue(&Snapshot::take());
}

fn an_endpoint_asks_the_dhcp_server_of_its_vlan() {
    let test = "an_endpoint_asks_the_dhcp_server_of_its_vlan";
    let Some((host, ovs)) = host(test) else { return };
    if !DhcpServer::has_dnsmasq(test) {
        return;
    }
    if host.shell("ethtool --version").code != 0 {
        return skip(test, "needs the package ethtool");
    }
    host.shell("ip netns add router && ip link add r0 type veth peer name eth0 netns router && ip link set r0 up").ok();
    host.shell("ip -n router addr add 10.5.0.1/24 dev eth0 && ip -n router link set eth0 up").ok();
    host.shell("ip netns exec router ethtool -K eth0 tx off && ovs-vsctl add-port br0 r0 tag=10").ok();
    let _server = DhcpServer::dnsmasq("router", "--dhcp-range=10.5.0.100,10.5.0.199,255.255.255.0,2m");
    for vlan in [10, 20] {
        host.zubi(&format!("network create v{vlan} --driver ovs --bridge br0 --vlan {vlan} --ipam dhcp")).ok();
    }
    let said = host.zubi("connect v10 c1").ok().out;
    assert!(said.contains("10.5.0.1"), "{said}");
    assert_reaches("c1", "router", "10.5.0.1");
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    // In another VLAN nobody answers, and nothing is left of the attempt.
    assert_ne!(host.zubi("connect v20 c2 --dhcp-timeout 1s").code, 0);
    assert_eq!(ovs.ports("br0").len(), 2);
    host.zubi("disconnect v10 c1").ok();
    assert_eq!(ovs.ports("br0"), ["r0"]);
}

fn the_host_is_not_reached_past_the_bridge() {
    let Some((host, ovs)) = host("the_host_is_not_reached_past_the_bridge") else { return };
    host.shell("ip link add hidden type veth peer name far && ip addr add 10.5.0.200/24 dev hidden").ok();
    host.shell("ip -6 addr add fd00:5::200/64 dev hidden nodad && ip link set hidden up && ip link set far up").ok();
    host.zubi("network create blue --driver ovs --bridge br0 --vlan 10 --subnet 10.5.0.0/24 --subnet fd00:5::/64").ok();
    host.zubi("connect blue c1").ok();
    assert_isolated("c1", "host", "10.5.0.200");
    // The kernel gives the host what comes in by the port, and its MAC is no secret.
    let port = only_port(&ovs);
    let mac = host.shell(&format!("cat /sys/class/net/{port}/address")).ok().out;
    for address in ["10.5.0.200", "fd00:5::200"] {
        host.shell(&format!("ip -n c1 neigh replace {address} dev eth0 lladdr {}", mac.trim())).ok();
        assert_isolated("c1", "host", address);
    }
    // Each setting is what keeps it out.
    host.shell(&format!("sysctl -qw net.ipv4.conf.{port}.rp_filter=0 net.ipv6.conf.{port}.disable_ipv6=0")).ok();
    host.shell("ip route replace 10.5.0.1 dev hidden").ok();
    let told = host.zubi("check").out;
    assert!(told.contains("rp_filter") && told.contains("disable_ipv6"), "{told}");
    assert!(arrives_from("10.5.0.1", &Reach { from: "c1", to: "host", address: "10.5.0.200" }));
    host.zubi("repair").ok();
    assert!(!arrives_from("10.5.0.1", &Reach { from: "c1", to: "host", address: "10.5.0.200" }));
}

fn what_is_done_is_what_a_person_would_type() {
    let Some((host, ovs)) = host("what_is_done_is_what_a_person_would_type") else { return };
    host.zubi("network create blue --driver ovs --bridge br0 --trunk 10,20").ok();
    let plan = host.zubi("connect blue c1 --dry-run").ok().out;
    assert!(plan.contains("ovs-vsctl add-port br0 zv"), "{plan}");
    assert!(plan.contains(" trunks=10,20 vlan_mode=trunk external_ids:zubi-endpoint="), "{plan}");
    assert!(plan.contains("ip netns exec c1 ethtool -K eth0 tx off"), "{plan}");
    assert_eq!(ovs.ports("br0"), Vec::<String>::new());
    let told = host.zubi("--verbose connect blue c1").ok();
    let line =
        told.err.lines().chain(told.out.lines()).find(|line| line.contains("ovs-vsctl add-port")).expect("a port");
    let port = only_port(&ovs);
    let columns = ["tag", "trunks", "vlan_mode", "external_ids"];
    let ours = columns.map(|column| ovs.column(&port, column));
    // The same command, typed, makes the same row.
    let command = &line[line.find("ovs-vsctl").expect("the command")..];
    host.shell(&format!("ovs-vsctl del-port {port} && {command}")).ok();
    assert_eq!(columns.map(|column| ovs.column(&port, column)), ours);
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    let told = host.zubi("--verbose disconnect blue c1").ok();
    assert!(format!("{}{}", told.out, told.err).contains(&format!("ovs-vsctl --if-exists del-port {port}")));
}

fn the_lines_of_the_page_about_the_lan_work() {
    let Some((host, ovs)) = host("the_lines_of_the_page_about_the_lan_work") else { return };
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lan.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, section) = page.split_once("## Open vSwitch").expect("the section");
    let lines = section.split("```").nth(1).and_then(|block| block.strip_prefix("sh\n")).expect("a block");
    host.zubi("sandbox add web").ok();
    let mut said = String::new();
    for line in lines.lines() {
        said += &match line.strip_prefix("zubi ") {
            Some(words) => host.zubi(words).ok().out,
            None => host.shell(line).ok().out,
        };
    }
    assert!(said.contains("10.5.0.1/24") && said.contains("zubi-sandbox=web") && said.contains(": 10\n"), "{said}");
    assert_eq!(ovs.ports("br0"), Vec::<String>::new());
}

zubi_lab::tests!(
    the_kernel_s_datapath_does_the_same,
    sandboxes_on_a_bridge_reach_each_other_and_leave_nothing,
    vlans_keep_sandboxes_apart_and_a_trunk_carries_both,
    a_dead_sandbox_leaves_a_port_that_gc_removes,
    a_row_that_outlived_its_records_is_swept,
    what_is_changed_is_found_and_put_right,
    open_vswitch_is_restarted_or_off,
    the_folder_of_open_vswitch_is_the_one_of_its_own_programs,
    networks_that_cannot_be_are_refused,
    addresses_are_those_that_others_leave,
    thirty_connects_at_once_make_thirty_ports,
    an_endpoint_asks_the_dhcp_server_of_its_vlan,
    the_host_is_not_reached_past_the_bridge,
    what_is_done_is_what_a_person_would_type,
    the_lines_of_the_page_about_the_lan_work,
);
