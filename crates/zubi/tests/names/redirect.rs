//! Questions to other name servers that are answered here: `--dns redirect`.

use crate::daemon::{ZUBI, dig, has_dig, start, until};
use std::process::{Child, Command};
use zubi_lab::{DhcpServer, Host};

/// A name server in a sandbox, which knows `there.test`.
struct Neighbour(Child);

impl Neighbour {
    fn start(host: &Host, sandbox: &str, address: &str) -> Neighbour {
        let line = format!(
            "exec ip netns exec {sandbox} dnsmasq -d -C /dev/null --no-hosts --no-resolv --listen-address={address} \
             --bind-interfaces --user=root --pid-file= --address=/there.test/192.0.2.7 >/run/neighbour.log 2>&1"
        );
        let server = Command::new("/bin/sh").args(["-c", &line]).spawn().expect("dnsmasq");
        host.wait_for(&format!("ip netns exec {sandbox} ss -lnu | grep -q {address}:53"));
        Neighbour(server)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn whichever_server_a_sandbox_asks_it_gets_our_answer() {
    if !has_dig("whichever_server_a_sandbox_asks_it_gets_our_answer") {
        return;
    }
    let host = Host::new(ZUBI);
    let _daemon = start(&host);
    let network = "blue --subnet 10.55.66.0/24 --subnet fd00:55::/64 --dns redirect";
    let shown = host.zubi(&format!("network create {network} --explain")).ok().out;
    for line in ["udp . 53 : 10.55.66.1 }", "tcp . 53 : 10.55.66.1 }", "udp . 53 : fd00:55::1 }"] {
        assert!(shown.contains(&format!("{{ \"zb-blue\" . {line}")), "{shown}");
    }
    host.network(network);
    let web = host.container("web", "blue");
    // What Docker's `--network none` leaves: the file of somebody else.
    host.shell("mkdir -p /etc/netns/asker && echo nameserver 9.9.9.9 >/etc/netns/asker/resolv.conf").ok();
    host.container("asker", "blue");
    for words in ["web @9.9.9.9", "web @9.9.9.9 +tcp", "web @10.55.66.1", "web @192.168.7.7", "web"] {
        assert_eq!(dig(&host, "asker", words), web, "{words}");
    }
    for words in ["web AAAA @2001:db8::9", "web AAAA @2001:db8::9 +tcp"] {
        assert_eq!(dig(&host, "asker", words), "fd00:55::2", "{words}");
    }
    let heard = host.shell("ip netns exec asker getent ahostsv4 web").ok().out;
    assert!(heard.starts_with(&web), "{heard}");
    let listed = host.zubi("network ls").ok().out;
    assert!(listed.contains("dns-redirect"), "{listed}");
    // An element that is lost is reported and comes back.
    host.shell("nft delete element inet zubi names4 '{ \"zb-blue\" . udp . 53 }'").ok();
    until(|| dig(&host, "asker", "web @9.9.9.9") == web);
    host.zubi("check").ok();
    let set = host.zubi("network set blue --dns none").ok().out;
    assert!(set.contains("dns redirect on -> off"), "{set}");
    assert_eq!(dig(&host, "asker", "web @9.9.9.9"), "no answer");
    host.shell("! nft list map inet zubi names4 | grep zb-blue").ok();
    host.zubi("network set blue --dns redirect").ok();
    assert_eq!(dig(&host, "asker", "web @9.9.9.9"), web);
    host.shell("nft flush ruleset").ok();
    until(|| dig(&host, "asker", "web @9.9.9.9") == web);
    for sandbox in ["web", "asker"] {
        host.zubi(&format!("disconnect blue {sandbox}")).ok();
    }
    host.zubi("network rm blue").ok();
    host.shell("! nft list table inet zubi 2>/dev/null | grep zb-blue").ok();
}

fn neighbours_and_the_host_are_asked_as_before() {
    let test = "neighbours_and_the_host_are_asked_as_before";
    if !has_dig(test) || !DhcpServer::has_dnsmasq(test) {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24 --dns redirect");
    host.network("green --subnet 10.55.67.0/24");
    let _daemon = start(&host);
    let own = host.container("own", "blue");
    let web = host.container("web", "blue");
    host.container("other", "green");
    let _server = Neighbour::start(&host, "own", &own);
    let there = format!("there.test @{own}");
    assert_eq!(dig(&host, "web", &there), "192.0.2.7");
    let of_host = host.shell(&format!("dig +short +time=5 {there}")).ok().out;
    assert_eq!(of_host.trim(), "192.0.2.7");
    // Frames of neighbours pass the rules where bridges pass them to the firewall.
    if host.shell("sysctl -qw net.bridge.bridge-nf-call-iptables=1").code == 0 {
        assert_eq!(dig(&host, "web", &there), "192.0.2.7");
        assert_eq!(dig(&host, "web", "web @9.9.9.9"), web);
    }
    // A network without the option.
    assert_eq!(dig(&host, "other", "other @9.9.9.9"), "no answer");
}

fn an_internal_network_and_one_without_a_daemon() {
    if !has_dig("an_internal_network_and_one_without_a_daemon") {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("safe --subnet 10.55.66.0/24 --internal --dns redirect");
    let daemon = start(&host);
    let vault = host.container("vault", "safe");
    // Endpoints of internal networks have no route to addresses elsewhere. One that has gets names, and nothing else.
    assert_eq!(dig(&host, "vault", "vault @9.9.9.9"), "no answer");
    host.shell("ip -n vault route add default via 10.55.66.1").ok();
    assert_eq!(dig(&host, "vault", "vault @9.9.9.9"), vault);
    assert_eq!(dig(&host, "vault", "www.example.org @9.9.9.9"), "NXDOMAIN");
    // Nobody listens without a daemon, which the kernel says at once.
    drop(daemon);
    let refused = host.shell("ip netns exec vault dig +tries=1 +time=60 vault @9.9.9.9");
    assert!(refused.out.contains("connection refused"), "{}{}", refused.out, refused.err);
}

fn a_redirect_that_could_not_work_is_refused() {
    let host = Host::new(ZUBI);
    host.shell("ip link add name up0 type bridge && ip addr add 10.77.0.1/24 dev up0 && ip link set up0 up").ok();
    host.shell("ip link add name br9 type bridge && ip link set br9 up").ok();
    let create = |words: &str, why: &str| {
        host.zubi(&format!("network create blue --dns redirect {words}")).fails(2, why);
    };
    create("--disable-dns", "cannot be used with");
    create("--dns 1.2.3", "is neither an address nor redirect");
    create("--driver macvlan --internal --subnet 10.55.66.0/24", "takes a bridge that the host routes for");
    create("--bridge br9 --adopt --subnet 10.55.66.0/24", "leads to the host's address on the network");
    host.network("blue --subnet 10.55.66.0/24 --disable-dns");
    host.zubi("network set blue --dns redirect").fails(2, "leads to names, and network blue has none");
    host.zubi("network set blue --enable-dns --dns redirect").ok();
    host.zubi("network set blue --disable-dns").fails(2, "leads to names, and network blue has none");
    host.zubi("network set blue --disable-dns --dns none").ok();
}

zubi_lab::tests!(
    whichever_server_a_sandbox_asks_it_gets_our_answer,
    neighbours_and_the_host_are_asked_as_before,
    an_internal_network_and_one_without_a_daemon,
    a_redirect_that_could_not_work_is_refused,
);
