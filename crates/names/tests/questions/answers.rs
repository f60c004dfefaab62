//! Who finds what.

use crate::asking::{hears, house, member, zone};
use std::net::IpAddr;
use zubi_model::Scope;
use zubi_names::{Guests, HostNames, Records};

/// What web (on blue) hears.
fn web(what: &str) -> String {
    hears(&house(), "10.1.0.2", "10.1.0.1", what)
}

/// What db (on blue and green) hears on blue.
fn db(what: &str) -> String {
    hears(&house(), "10.1.0.3", "10.1.0.1", what)
}

#[test]
fn a_name_leads_to_the_addresses_of_the_type() {
    assert_eq!(web("web. A"), "NOERROR aa 10.1.0.2");
    assert_eq!(web("web. AAAA"), "NOERROR aa fd01::2");
    assert_eq!(web("aaaaaaaaaaaa. A"), "NOERROR aa 10.1.0.2");
}

#[test]
fn case_makes_no_difference() {
    assert_eq!(web("WeB. A"), "NOERROR aa 10.1.0.2");
}

#[test]
fn a_name_without_records_of_the_type_exists() {
    for what in ["db. AAAA", "db. MX", "db. TXT", "db. SRV", "db. HTTPS", "zubi.internal. SOA"] {
        assert_eq!(web(what), "NOERROR aa", "{what}");
    }
}

#[test]
fn a_name_is_found_with_the_network_behind_it_and_in_both_domains() {
    for name in ["web.blue.", "web.zubi.internal.", "web.blue.zubi.internal.", "web.dns.podman."] {
        assert_eq!(web(&format!("{name} A")), "NOERROR aa 10.1.0.2", "{name}");
    }
    // Podman's network is called as Podman calls it.
    assert_eq!(db("cache.green. A"), "NOERROR aa 10.2.0.4");
    assert_eq!(web("web.green. A"), "asks Host");
}

#[test]
fn nobody_else_is_asked_about_our_domains() {
    for name in ["nobody.zubi.internal.", "nobody.blue.zubi.internal.", "nobody.dns.podman.", "a.web.dns.podman."] {
        assert_eq!(web(&format!("{name} A")), "NXDOMAIN aa", "{name}");
    }
    assert_eq!(web("nobody. A"), "asks Host");
    assert_eq!(web("example.org. A"), "asks Host");
}

#[test]
fn only_what_shares_a_network_is_found() {
    assert_eq!(web("cache. A"), "asks Host");
    assert_eq!(web("cache.zubi.internal. A"), "NXDOMAIN aa");
    assert_eq!(db("cache. A"), "NOERROR aa 10.2.0.4");
    assert_eq!(web("vault.safe. A"), "asks Host");
}

#[test]
fn every_address_of_a_sandbox_answers_the_same() {
    let house = house();
    assert_eq!(hears(&house, "10.2.0.3", "10.2.0.1", "web. A"), "NOERROR aa 10.1.0.2");
    assert_eq!(hears(&house, "10.1.0.3", "10.2.0.1", "web. A"), "NOERROR aa 10.1.0.2");
}

#[test]
fn addresses_on_the_network_that_was_asked_come_first() {
    let house = house();
    assert_eq!(hears(&house, "10.1.0.3", "10.1.0.1", "all. A"), "NOERROR aa 10.1.0.3 10.2.0.3 10.2.0.4");
    assert_eq!(hears(&house, "10.2.0.3", "10.2.0.1", "all. A"), "NOERROR aa 10.2.0.3 10.2.0.4 10.1.0.3");
}

#[test]
fn reverse_names_lead_to_the_names_that_the_asker_may_find() {
    assert_eq!(web("2.0.1.10.in-addr.arpa. PTR"), "NOERROR aa web. aaaaaaaaaaaa.");
    let six = format!("2.{}1.0.d.f.ip6.arpa. PTR", "0.".repeat(27));
    assert_eq!(web(&six), "NOERROR aa web. aaaaaaaaaaaa.");
    assert_eq!(web("1.0.1.10.in-addr.arpa. PTR"), "NOERROR aa host.zubi.internal.");
    assert_eq!(web("2.0.1.10.in-addr.arpa. A"), "NOERROR aa");
    // On a network that it is not on, and nobody on its own.
    assert_eq!(web("4.0.2.10.in-addr.arpa. PTR"), "NXDOMAIN aa");
    assert_eq!(web("99.0.1.10.in-addr.arpa. PTR"), "NXDOMAIN aa");
    assert_eq!(web("8.8.8.8.in-addr.arpa. PTR"), "asks Host");
}

#[test]
fn internal_networks_ask_nobody() {
    let vault = |what: &str| hears(&house(), "10.3.0.2", "10.3.0.1", what);
    assert_eq!(vault("vault. A"), "NOERROR aa 10.3.0.2");
    assert_eq!(vault("example.org. A"), "NXDOMAIN aa");
    assert_eq!(vault("8.8.8.8.in-addr.arpa. PTR"), "NXDOMAIN aa");
    // Who is on another network too has an outside.
    let mut house = house();
    house.put_endpoint(member(4, "blue", &["vault"], &["10.1.0.9"]));
    assert_eq!(hears(&house, "10.3.0.2", "10.3.0.1", "example.org. A"), "asks Host");
}

#[test]
fn the_host_has_a_name_and_its_loopback_has_none() {
    assert_eq!(web("host.zubi.internal. A"), "NOERROR aa 10.1.0.1");
    assert_eq!(web("host.zubi.internal. AAAA"), "NOERROR aa");
    let mut house = house();
    house.set_host(HostNames {
        own: ["mybox".parse().unwrap()].into(),
        loopback: ["dev.example.org".parse().unwrap()].into(),
    });
    assert_eq!(hears(&house, "10.1.0.2", "10.1.0.1", "mybox. A"), "NOERROR aa 10.1.0.1");
    assert_eq!(hears(&house, "10.1.0.2", "10.1.0.1", "dev.example.org. A"), "NXDOMAIN aa");
    // A sandbox's own.
    assert_eq!(web("localhost. A"), "NOERROR aa 127.0.0.1");
    assert_eq!(web("db.localhost. AAAA"), "NOERROR aa ::1");
    assert_eq!(web("1.0.0.127.in-addr.arpa. PTR"), "NOERROR aa localhost.");
}

#[test]
fn an_endpoint_cannot_take_the_names_of_host_and_loopback() {
    let mut house = house();
    house.put_endpoint(member(9, "blue", &["localhost", "host", "host.zubi.internal"], &["10.1.0.66"]));
    assert_eq!(hears(&house, "10.1.0.2", "10.1.0.1", "localhost. A"), "NOERROR aa 127.0.0.1");
    assert_eq!(hears(&house, "10.1.0.2", "10.1.0.1", "host.zubi.internal. A"), "NOERROR aa 10.1.0.1");
    assert_eq!(hears(&house, "10.1.0.2", "10.1.0.1", "host. A"), "NOERROR aa 10.1.0.66");
}

#[test]
fn records_of_the_settings_come_before_endpoints_and_wildcards_after() {
    let mut house = house();
    let mut records = Records::default();
    for (name, address) in [("web", "192.0.2.1"), ("*.apps.test", "192.0.2.2"), ("*.blue", "192.0.2.3")] {
        records.add(name.parse().unwrap(), [address.parse::<IpAddr>().unwrap()]);
    }
    house.set_records(records, Vec::new());
    let hears = |what: &str| hears(&house, "10.1.0.3", "10.1.0.1", what);
    assert_eq!(hears("web. A"), "NOERROR aa 192.0.2.1");
    assert_eq!(hears("x.y.apps.test. A"), "NOERROR aa 192.0.2.2");
    assert_eq!(hears("apps.test. A"), "asks Host");
    assert_eq!(hears("db.blue. A"), "NOERROR aa 10.1.0.3");
    assert_eq!(hears("nobody.blue. A"), "NOERROR aa 192.0.2.3");
    assert_eq!(hears("1.2.0.192.in-addr.arpa. PTR"), "NOERROR aa web.");
}

#[test]
fn servers_of_the_endpoint_come_before_those_of_the_network_and_of_the_settings() {
    let mut house = house();
    let servers = |all: &[&str]| all.iter().map(|one| one.parse::<IpAddr>().unwrap()).collect::<Vec<_>>();
    let asks = |house: &zubi_names::Directory| hears(house, "10.1.0.2", "10.1.0.1", "example.org. A");
    house.set_records(Records::default(), servers(&["192.0.2.1"]));
    assert_eq!(asks(&house), "asks These([192.0.2.1])");
    let mut blue = zone("blue", "10.1.0.1", Scope::Routed);
    blue.servers = servers(&["192.0.2.2"]).into();
    house.put_network(blue);
    assert_eq!(asks(&house), "asks These([192.0.2.2])");
    let mut web = member(1, "blue", &["web"], &["10.1.0.2"]);
    web.servers = servers(&["192.0.2.3", "192.0.2.4"]).into();
    house.put_endpoint(web);
    assert_eq!(asks(&house), "asks These([192.0.2.3, 192.0.2.4])");
}

#[test]
fn who_is_on_none_of_our_networks_hears_nothing() {
    let house = house();
    assert_eq!(hears(&house, "192.168.1.9", "10.1.0.1", "web. A"), "nothing");
    assert_eq!(hears(&house, "10.1.0.2", "192.168.1.1", "web. A"), "NOERROR aa 10.1.0.2");
    assert_eq!(hears(&house, "10.9.0.2", "192.168.1.1", "web. A"), "nothing");
}

#[test]
fn a_machine_behind_an_endpoint_is_answered_and_a_lan_is_not() {
    let mut house = house();
    assert_eq!(hears(&house, "10.1.0.77", "10.1.0.1", "web. A"), "NOERROR aa 10.1.0.2");
    let mut lan = zone("blue", "10.1.0.1", Scope::Routed);
    lan.guests = Guests::Ignored;
    house.put_network(lan);
    assert_eq!(hears(&house, "10.1.0.77", "10.1.0.1", "web. A"), "nothing");
    assert_eq!(hears(&house, "10.1.0.3", "10.1.0.1", "web. A"), "NOERROR aa 10.1.0.2");
}

#[test]
fn the_host_finds_the_network_that_it_asks() {
    let house = house();
    assert_eq!(hears(&house, "10.1.0.1", "10.1.0.1", "web. A"), "NOERROR aa 10.1.0.2");
    assert_eq!(hears(&house, "10.1.0.1", "10.1.0.1", "cache.zubi.internal. A"), "NXDOMAIN aa");
    let all = house.find(&"all".parse().unwrap());
    let all: Vec<String> = all.iter().map(|hit| format!("{} {}", hit.key, hit.address)).collect();
    assert_eq!(all, ["2.blue 10.1.0.3", "2.podman:green 10.2.0.3", "3.podman:green 10.2.0.4"]);
    assert_eq!(house.find(&"all.blue.zubi.internal".parse().unwrap()).len(), 1);
}

#[test]
fn names_go_with_their_endpoint_and_come_with_the_next() {
    let mut house = house();
    house.remove_endpoint(&"1.blue".parse().unwrap());
    assert_eq!(hears(&house, "10.1.0.3", "10.1.0.1", "web.zubi.internal. A"), "NXDOMAIN aa");
    assert_eq!(hears(&house, "10.1.0.3", "10.1.0.1", "2.0.1.10.in-addr.arpa. PTR"), "NXDOMAIN aa");
    house.put_endpoint(member(7, "blue", &["other"], &["10.1.0.2"]));
    assert_eq!(hears(&house, "10.1.0.3", "10.1.0.1", "2.0.1.10.in-addr.arpa. PTR"), "NOERROR aa other.");
}

#[test]
fn a_network_whose_names_are_off_has_none() {
    let mut house = house();
    house.remove_network(&"podman:green".parse().unwrap());
    assert_eq!(hears(&house, "10.1.0.3", "10.1.0.1", "cache.zubi.internal. A"), "NXDOMAIN aa");
    assert_eq!(hears(&house, "10.2.0.4", "10.2.0.1", "cache. A"), "nothing");
    house.put_network(zone("podman:green", "10.2.0.1", Scope::Routed));
    assert_eq!(hears(&house, "10.2.0.4", "10.2.0.1", "cache. A"), "NOERROR aa 10.2.0.4");
}

#[test]
fn two_sandboxes_with_one_address_are_told_apart_by_the_network_that_they_ask() {
    let mut house = house();
    house.put_network(zone("red", "10.1.0.129", Scope::Routed));
    house.put_endpoint(member(8, "red", &["twin"], &["10.1.0.2"]));
    assert_eq!(hears(&house, "10.1.0.2", "10.1.0.129", "twin. A"), "NOERROR aa 10.1.0.2");
    assert_eq!(hears(&house, "10.1.0.2", "10.1.0.1", "twin.zubi.internal. A"), "NXDOMAIN aa");
}

#[test]
fn questions_that_lead_elsewhere_have_no_answer() {
    assert_eq!(web("_dns.resolver.arpa. SVCB"), "NOERROR aa");
    assert_eq!(web("x.onion. A"), "NXDOMAIN aa");
    assert_eq!(web("x.invalid. A"), "NXDOMAIN aa");
    assert_eq!(web("web. ANY"), "NOERROR aa \"RFC8482\" \"\"");
    assert_eq!(web("example.org. ANY"), "NOERROR aa \"RFC8482\" \"\"");
}
