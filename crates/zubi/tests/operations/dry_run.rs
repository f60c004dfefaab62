//! `--dry-run`: `=` marks what exists, `+` what is missing, `~` what differs, and how.

use zubi_lab::{Host, Snapshot};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// A host that does not forward yet.
fn host() -> Host {
    let host = Host::new(ZUBI);
    host.shell("sysctl -qw net.ipv4.ip_forward=0").ok();
    host
}

/// The lines without random or counted values: host devices, MACs of bridges, numbers in aliases.
fn fixed(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let bridge = line.contains(" type bridge");
        let mut before = "";
        let mut words = Vec::new();
        for word in line.split(' ') {
            let device = word.find("zv").filter(|at| word[at + 2..].chars().take(10).all(|c| c.is_ascii_hexdigit()));
            let number = ["id=", "at="].iter().find(|mark| word.starts_with(**mark));
            words.push(match device {
                _ if number.is_some() => format!("{}NUMBER", number.expect("a mark")),
                _ if bridge && before == "address" => "MAC".to_owned(),
                Some(at) if word.len() >= at + 12 => format!("{}zvDEVICE{}", &word[..at], &word[at + 12..]),
                _ => word.to_owned(),
            });
            before = word;
        }
        out += &words.join(" ");
        out.push('\n');
    }
    out
}

fn the_first_network_is_missing_whole() {
    let host = host();
    let out = host.zubi("--dry-run network create blue --subnet 10.55.66.0/24").ok().out;
    insta::assert_snapshot!("the_first_network_is_missing_whole", fixed(&out));
}

fn a_second_network_finds_firewall_and_forwarding() {
    let host = host();
    host.network("blue --subnet 10.55.66.0/24");
    let out = host.zubi("--dry-run network create green --subnet 10.55.67.0/24").ok().out;
    insta::assert_snapshot!("a_second_network_finds_firewall_and_forwarding", fixed(&out));
}

fn connect_is_missing_whole() {
    let host = host();
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    let out = host.zubi("--dry-run connect blue c1").ok().out;
    insta::assert_snapshot!("connect_is_missing_whole", fixed(&out));
}

fn a_pair_made_by_hand_differs_from_one_of_zubis() {
    let host = host();
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    host.shell("ip link add hand0 type veth peer name lan0 netns c1 && ip link set hand0 up").ok();
    host.shell("ip -n c1 link set lan0 address 02:00:00:00:00:02 up").ok();
    let out = host.zubi("--dry-run connect blue c1 --device hand0").ok().out;
    insta::assert_snapshot!("a_pair_made_by_hand_differs_from_one_of_zubis", fixed(&out));
}

fn a_bridge_that_was_switched_off_differs() {
    let host = host();
    host.network("blue --mtu 1400 --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    host.shell("ip link set zb-blue down mtu 1300 && sysctl -qw net.ipv4.ip_forward=0").ok();
    let out = host.zubi("--dry-run connect blue c1").ok().out;
    insta::assert_snapshot!("a_bridge_that_was_switched_off_differs", fixed(&out));
}

fn a_dry_run_changes_nothing() {
    let host = host();
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    host.zubi("sandbox add c2").ok();
    host.shell("ip link add hand0 type veth peer name lan0 netns c2").ok();
    let before = Snapshot::take();
    for words in [
        "connect blue c2",
        "connect blue c2 --device hand0",
        "disconnect blue c1",
        "network create green",
        "sandbox add c3",
        "sandbox rm c2",
    ] {
        host.zubi(&format!("--dry-run {words}")).ok();
    }
    before.assert_no_residue(&Snapshot::take());
}

zubi_lab::tests!(
    the_first_network_is_missing_whole,
    a_second_network_finds_firewall_and_forwarding,
    connect_is_missing_whole,
    a_pair_made_by_hand_differs_from_one_of_zubis,
    a_bridge_that_was_switched_off_differs,
    a_dry_run_changes_nothing,
);
