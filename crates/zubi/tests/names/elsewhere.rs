//! Names of the outside, answered by servers of the host's.

use crate::daemon::{ZUBI, dig, has_dig, start, until};
use crate::host_server::{Server, resolv_conf};
use zubi_lab::{Host, ZubiDaemon};

/// A host with blue (routed) and safe (internal), and a server at 127.0.0.53.
fn house(options: &str) -> (Host, Server, ZubiDaemon) {
    let host = Host::new(ZUBI);
    host.shell("ip link set lo up").ok();
    resolv_conf(&host, "nameserver 127.0.0.53\n");
    let server = Server::start(&host, "127.0.0.53", options);
    host.network("blue --subnet 10.55.66.0/24");
    host.network("safe --subnet 10.55.67.0/24 --internal");
    let daemon = start(&host);
    host.container("web", "blue");
    host.container("vault", "safe");
    (host, server, daemon)
}

/// How often the server was asked.
fn asked(what: &str) -> usize {
    let log = std::fs::read_to_string("/run/127.0.0.53.log").expect("a log");
    log.lines().filter(|line| line.to_lowercase().contains(&format!("query[a] {what} "))).count()
}

fn the_hosts_own_server_is_asked_once_and_its_answer_is_kept() {
    let test = "the_hosts_own_server_is_asked_once_and_its_answer_is_kept";
    if !has_dig(test) || !zubi_lab::DhcpServer::has_dnsmasq(test) {
        return;
    }
    let (host, _server, _daemon) = house("--address=/example.org/192.0.2.7 --local-ttl=60 --local=/nowhere.org/");
    for _ in 0..3 {
        assert_eq!(dig(&host, "web", "www.example.org @10.55.66.1"), "192.0.2.7");
        assert_eq!(dig(&host, "web", "www.example.org +tcp @10.55.66.1"), "192.0.2.7");
    }
    assert_eq!(asked("www.example.org"), 1);
    assert_eq!(dig(&host, "web", "www.nowhere.org @10.55.66.1"), "NXDOMAIN");
}

fn an_internal_network_asks_nobody() {
    let test = "an_internal_network_asks_nobody";
    if !has_dig(test) || !zubi_lab::DhcpServer::has_dnsmasq(test) {
        return;
    }
    let (host, _server, _daemon) = house("--address=/example.org/192.0.2.7");
    assert_eq!(dig(&host, "vault", "secret.example.org @10.55.67.1"), "NXDOMAIN");
    assert_eq!(dig(&host, "vault", "secret.example.org @10.55.66.1"), "no answer", "the other network is out of reach");
    assert_eq!(asked("secret.example.org"), 0);
}

fn an_answer_that_is_too_large_comes_by_tcp() {
    let test = "an_answer_that_is_too_large_comes_by_tcp";
    if !has_dig(test) || !zubi_lab::DhcpServer::has_dnsmasq(test) {
        return;
    }
    let records: Vec<String> = (0..200).map(|n| format!("--host-record=many.example.org,192.0.2.{n}")).collect();
    let (host, _server, _daemon) = house(&records.join(" "));
    let all = dig(&host, "web", "many.example.org @10.55.66.1");
    assert_eq!(all.split(' ').count(), 200, "{all}");
    assert_eq!(dig(&host, "web", "many.example.org +ignore +noedns @10.55.66.1"), "NOERROR");
}

fn other_servers_of_the_host_are_asked_from_then_on() {
    let test = "other_servers_of_the_host_are_asked_from_then_on";
    if !has_dig(test) || !zubi_lab::DhcpServer::has_dnsmasq(test) {
        return;
    }
    let (host, server, _daemon) = house("--address=/example.org/192.0.2.7 --local-ttl=600");
    assert_eq!(dig(&host, "web", "www.example.org @10.55.66.1"), "192.0.2.7");
    let _other = Server::start(&host, "127.0.0.54", "--address=/example.org/192.0.2.8");
    resolv_conf(&host, "nameserver 127.0.0.54\n");
    until(|| dig(&host, "web", "www.example.org @10.55.66.1") == "192.0.2.8");
    drop(server);
    assert_eq!(dig(&host, "web", "ftp.example.org @10.55.66.1"), "192.0.2.8");
}

fn a_dead_server_costs_a_moment_and_all_dead_ones_an_error() {
    let test = "a_dead_server_costs_a_moment_and_all_dead_ones_an_error";
    if !has_dig(test) || !zubi_lab::DhcpServer::has_dnsmasq(test) {
        return;
    }
    let (host, server, _daemon) = house("--address=/example.org/192.0.2.7");
    // Nothing is at the first; the second swallows what it gets.
    host.shell(
        "nft add table ip t; nft add chain ip t i '{ type filter hook input priority 0; }'; \
                nft add rule ip t i ip daddr 127.0.0.99 drop",
    )
    .ok();
    resolv_conf(&host, "nameserver 127.0.0.98\nnameserver 127.0.0.99\nnameserver 127.0.0.53\n");
    until(|| dig(&host, "web", "www.example.org @10.55.66.1") == "192.0.2.7");
    drop(server);
    assert_eq!(dig(&host, "web", "ftp.example.org @10.55.66.1"), "SERVFAIL");
    resolv_conf(&host, "# none\n");
    until(|| dig(&host, "web", "ssh.example.org @10.55.66.1") == "SERVFAIL");
}

fn a_server_that_is_us_is_not_asked() {
    let test = "a_server_that_is_us_is_not_asked";
    if !has_dig(test) || !zubi_lab::DhcpServer::has_dnsmasq(test) {
        return;
    }
    let (host, _server, _daemon) = house("--address=/example.org/192.0.2.7");
    resolv_conf(&host, "nameserver 10.55.66.1\n");
    until(|| dig(&host, "web", "www.example.org @10.55.66.1") == "SERVFAIL");
}

zubi_lab::tests!(
    the_hosts_own_server_is_asked_once_and_its_answer_is_kept,
    an_internal_network_asks_nobody,
    an_answer_that_is_too_large_comes_by_tcp,
    other_servers_of_the_host_are_asked_from_then_on,
    a_dead_server_costs_a_moment_and_all_dead_ones_an_error,
    a_server_that_is_us_is_not_asked,
);
