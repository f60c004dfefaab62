//! What sandboxes find, from the moment that a command returns.

use crate::daemon::{ZUBI, dig, has_dig, start, until};
use zubi_lab::Host;

fn names_lead_to_what_shares_a_network() {
    if !has_dig("names_lead_to_what_shares_a_network") {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.network("green --subnet 10.55.67.0/24");
    let _daemon = start(&host);
    let web = host.container("web", "blue --alias www");
    let both = host.container("both", "blue");
    host.connect("green both");
    let cache = host.container("cache", "green");
    let asks = |sandbox: &str, words: &str| dig(&host, sandbox, words);
    assert_eq!(asks("both", "web @10.55.66.1"), web);
    assert_eq!(asks("both", "WWW.blue @10.55.66.1"), web);
    assert_eq!(asks("both", "web @10.55.67.1"), web, "the other network's address answers the same");
    assert_eq!(asks("both", "web AAAA @fd00:55::1"), "fd00:55::2");
    assert_eq!(asks("both", "web +tcp @10.55.66.1"), web);
    assert_eq!(asks("both", "cache @10.55.66.1"), cache);
    assert_eq!(asks("web", "cache.zubi.internal @10.55.66.1"), "NXDOMAIN");
    assert_eq!(asks("web", "host.zubi.internal @10.55.66.1"), "10.55.66.1");
    assert_eq!(asks("web", &format!("-x {both} @10.55.66.1")).split(' ').next(), Some("both."));
    // Who is not on green is not answered as if it were.
    assert_eq!(asks("cache", "web.zubi.internal @10.55.67.1"), "NXDOMAIN");
}

fn a_name_resolves_when_connect_has_returned_and_no_longer_when_disconnect_has() {
    if !has_dig("a_name_resolves_when_connect_has_returned_and_no_longer_when_disconnect_has") {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    let _daemon = start(&host);
    host.container("asker", "blue");
    for round in 0..10 {
        let name = format!("c{round}");
        let address = host.container(&name, "blue");
        assert_eq!(dig(&host, "asker", &format!("{name}.zubi.internal @10.55.66.1")), address);
        host.zubi(&format!("disconnect blue {name}")).ok();
        assert_eq!(dig(&host, "asker", &format!("{name}.zubi.internal @10.55.66.1")), "NXDOMAIN");
    }
}

fn a_daemon_that_starts_later_or_again_knows_everything() {
    if !has_dig("a_daemon_that_starts_later_or_again_knows_everything") {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    let web = host.container("web", "blue");
    host.container("asker", "blue");
    for _ in 0..2 {
        let daemon = start(&host);
        assert_eq!(dig(&host, "asker", "web @10.55.66.1"), web);
        drop(daemon);
        let later = host.container(&format!("c{}", std::process::id()), "blue");
        let daemon = start(&host);
        assert_eq!(dig(&host, "asker", &format!("c{} @10.55.66.1", std::process::id())), later);
        drop(daemon);
        host.zubi(&format!("sandbox rm c{}", std::process::id())).ok();
    }
}

fn a_network_whose_port_is_taken_is_told_and_answered_once_it_is_free() {
    if !has_dig("a_network_whose_port_is_taken_is_told_and_answered_once_it_is_free") {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.network("green --subnet 10.55.67.0/24");
    let web = host.container("web", "blue");
    let cache = host.container("cache", "green");
    let line = "exec dnsmasq -d -C /dev/null --no-hosts --no-resolv --listen-address=10.55.66.1 --bind-interfaces \
                --user=root --pid-file=/run/taken.pid >/run/taken.log 2>&1";
    let mut other = std::process::Command::new("/bin/sh").args(["-c", line]).spawn().expect("dnsmasq");
    host.wait_for("ss -lnu | grep -q 10.55.66.1:53");
    let _daemon = start(&host);
    let status = || host.zubi("status").ok().out;
    until(|| status().contains("network blue: port 53 of 10.55.66.1: Address already in use"));
    assert_eq!(dig(&host, "cache", "cache @10.55.67.1"), cache);
    other.kill().expect("kill");
    other.wait().expect("wait");
    until(|| dig(&host, "web", "web @10.55.66.1") == web);
    until(|| status().contains("2 networks"));
}

fn names_are_answered_although_the_hosts_input_drops() {
    if !has_dig("names_are_answered_although_the_hosts_input_drops") {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("before --subnet 10.55.66.0/24");
    host.shell("nft add table inet f; nft add chain inet f in '{ type filter hook input priority 0; policy drop; }'")
        .ok();
    host.network("after --subnet 10.55.67.0/24");
    host.network("silent --subnet 10.55.68.0/24 --disable-dns");
    let daemon = start(&host);
    for (network, gateway) in [("before", "10.55.66.1"), ("after", "10.55.67.1")] {
        let address = host.container(&format!("of-{network}"), network);
        for transport in ["+notcp", "+tcp"] {
            let words = format!("of-{network} {transport} @{gateway}");
            assert_eq!(dig(&host, &format!("of-{network}"), &words), address, "{words}");
        }
    }
    let rules = host.shell("nft list chain inet f in").ok().out;
    assert!(rules.contains("iifname \"zb-after\" udp dport 53 counter") && !rules.contains("zb-silent"), "{rules}");
    // Nothing else of the host is opened.
    host.shell("! ip netns exec of-after ping -c 1 -W 1 10.55.67.1").ok();
    // The daemon heals; without it `repair` does.
    host.shell("nft flush chain inet f in").ok();
    until(|| dig(&host, "of-after", "of-after @10.55.67.1") == "10.55.67.2");
    drop(daemon);
    host.shell("nft flush chain inet f in").ok();
    host.zubi("check").fails(1, "");
    host.zubi("repair").ok();
    let rules = host.shell("nft list chain inet f in").ok().out;
    assert!(rules.contains("iifname \"zb-after\" udp dport 53 counter"), "{rules}");
    for network in ["before", "after"] {
        host.zubi(&format!("disconnect {network} of-{network}")).ok();
        host.zubi(&format!("network rm {network}")).ok();
    }
    host.shell("! nft list chain inet f in | grep zubi").ok();
}

fn a_named_sandbox_has_files_until_it_is_on_no_network() {
    if !has_dig("a_named_sandbox_has_files_until_it_is_on_no_network") {
        return;
    }
    let host = Host::new(ZUBI);
    let _daemon = start(&host);
    host.network("blue --subnet 10.55.66.0/24");
    host.network("green --subnet 10.55.67.0/24");
    host.network("mute --subnet 10.55.68.0/24 --disable-dns");
    let servers = |sandbox: &str| {
        let file = std::fs::read_to_string(format!("/etc/netns/{sandbox}/resolv.conf")).unwrap_or_default();
        file.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("; ")
    };
    host.container("web", "mute");
    assert_eq!(servers("web"), "");
    let web = host.connect("blue web");
    assert_eq!(servers("web"), "nameserver 10.55.66.1; search zubi.internal");
    host.connect("green web");
    assert_eq!(servers("web"), "nameserver 10.55.66.1; search zubi.internal");
    // What programs ask without saying whom.
    let cache = host.container("cache", "green");
    let heard = |what: &str| host.shell(&format!("ip netns exec web getent ahostsv4 {what}")).out;
    assert!(heard("cache").starts_with(&cache), "{}", heard("cache"));
    assert!(heard("web").starts_with(&web), "{}", heard("web"));
    host.zubi("disconnect blue web").ok();
    assert_eq!(servers("web"), "nameserver 10.55.67.1; search zubi.internal");
    host.zubi("disconnect green web").ok();
    assert!(!std::path::Path::new("/etc/netns/web").exists());
    // A user's file stays as it is.
    host.shell("mkdir -p /etc/netns/own && echo nameserver 9.9.9.9 >/etc/netns/own/resolv.conf").ok();
    host.container("own", "blue");
    assert_eq!(servers("own"), "nameserver 9.9.9.9");
    host.zubi("disconnect blue own").ok();
    assert_eq!(servers("own"), "nameserver 9.9.9.9");
    assert!(!std::path::Path::new("/etc/netns/own/hosts").exists());
    // A namespace that is gone, and another one of its name.
    host.container("again", "blue");
    host.shell("ip netns del again").ok();
    host.container("again", "green");
    host.zubi("gc").ok();
    assert_eq!(servers("again"), "nameserver 10.55.67.1; search zubi.internal");
}

fn names_can_be_switched_off_and_on() {
    if !has_dig("names_can_be_switched_off_and_on") {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24 --disable-dns");
    let web = host.container("web", "blue --alias www");
    let _daemon = start(&host);
    assert_eq!(dig(&host, "web", "web @10.55.66.1"), "no answer");
    host.zubi("name web").fails(3, "an endpoint with the name web does not exist");
    host.zubi("network set blue --enable-dns").ok();
    until(|| dig(&host, "web", "web @10.55.66.1") == web);
    let found = host.zubi("--json name www.blue").ok().json();
    assert_eq!(found, serde_json::json!([{"address": web, "network": "blue", "sandbox": "web"}]));
    host.zubi("network set blue --disable-dns").ok();
    until(|| dig(&host, "web", "web @10.55.66.1") == "no answer");
}

fn settings_have_records_and_switch_names_off() {
    if !has_dig("settings_have_records_and_switch_names_off") {
        return;
    }
    let settings = |text: &str| std::fs::write("/run/settings.json", text).expect("settings");
    settings(r#"{"names": {"db.example.org": "10.9.9.9", "*.apps.test": ["10.9.9.8", "fd00::8"]}}"#);
    let host = Host::new(ZUBI).with_env("ZUBI_CONFIG", "/run/settings.json");
    host.network("blue --subnet 10.55.66.0/24");
    host.container("web", "blue");
    let daemon = start(&host);
    assert_eq!(dig(&host, "web", "db.example.org @10.55.66.1"), "10.9.9.9");
    assert_eq!(dig(&host, "web", "a.apps.test AAAA @10.55.66.1"), "fd00::8");
    settings(r#"{"names": {"db.example.org": "10.9.9.7"}}"#);
    host.shell(&format!("kill -HUP {}", daemon.pid())).ok();
    until(|| dig(&host, "web", "db.example.org @10.55.66.1") == "10.9.9.7");
    settings(r#"{"dns": "off"}"#);
    host.shell(&format!("kill -HUP {}", daemon.pid())).ok();
    until(|| dig(&host, "web", "db.example.org @10.55.66.1") == "no answer");
    settings("{\"names\": {\"a..b\": \"10.0.0.1\"}}");
    host.zubi("network ls").fails(2, "has an empty label at line 1 column");
}

zubi_lab::tests!(
    names_are_answered_although_the_hosts_input_drops,
    a_named_sandbox_has_files_until_it_is_on_no_network,
    names_can_be_switched_off_and_on,
    settings_have_records_and_switch_names_off,
    names_lead_to_what_shares_a_network,
    a_name_resolves_when_connect_has_returned_and_no_longer_when_disconnect_has,
    a_daemon_that_starts_later_or_again_knows_everything,
    a_network_whose_port_is_taken_is_told_and_answered_once_it_is_free,
);
