//! Beside other programs' firewalls. Each test first shows that these drop what our networks need: it can fail. It uses
//! TCP, since some firewalls accept pings.

use std::process::{Child, Command, Stdio};
use zubi_kernel::Netlink;
use zubi_lab::{Capability, Host, Outside, Reach, Service, Snapshot, Transport, ask, need, reaches};
use zubi_wire::{Batch, flag, nft};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const BOTH: &str = "--subnet 10.55.66.0/24 --subnet fd00:55::/64";
const OFF: (&str, &str) = ("ZUBI_COEXISTENCE", "off");
/// An administrator's own table.
const DROPPING: &str =
    "add table inet fw; add chain inet fw transit { type filter hook forward priority 10; policy drop; }";
/// Prints other programs' rules and settings, without counters.
const THEIRS: &str =
    "nft -s list ruleset; sysctl net.bridge.bridge-nf-call-iptables net.bridge.bridge-nf-call-ip6tables";

fn can(test: &str, more: &[Capability]) -> bool {
    need(&[&[Capability::Nft, Capability::BridgeNetfilter], more].concat(), test)
}

/// A host whose bridged frames pass its firewall, which has these rules.
fn beside(firewall: &str) -> (Host, Outside) {
    let host = Host::new(ZUBI);
    let outside = Outside::new();
    let key = "net.bridge.bridge-nf-call";
    host.shell(&format!("sysctl -qw {key}-iptables=1 {key}-ip6tables=1")).ok();
    host.shell(firewall).ok();
    (host, outside)
}

fn nft(commands: &str) -> String {
    format!("nft '{commands}'")
}

/// c1, which publishes 8080, and its neighbour c2.
fn populate(host: &Host) -> Service {
    host.network(&format!("blue {BOTH}"));
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 8080:80").ok();
    host.container("c2", "blue");
    Service::start("c1", 80)
}

/// After an unanswered neighbour request the kernel waits a second before the next one.
fn forget_neighbours() {
    for place in ["c1", "c2"] {
        let flushed = Command::new("ip").args(["-n", place, "neigh", "flush", "all"]).status();
        assert!(flushed.expect("ip").success());
    }
}

fn reach(from: &str, to: &str, address: &str) -> bool {
    reaches(&Reach { from, to, address }, Transport::Tcp)
}

/// The connections that pass, among those that should.
fn passing() -> Vec<&'static str> {
    forget_neighbours();
    let asks = |from: &str, to: &str| ask(from, Transport::Tcp, to).is_some_and(|heard| heard.server == "c1");
    let mut all = Vec::new();
    let mut add = |name, passes: bool| all.extend(passes.then_some(name));
    add("neighbours 4", reach("c2", "c1", "10.55.66.2"));
    add("neighbours 6", reach("c2", "c1", "fd00:55::2"));
    add("out 4", reach("c1", "outside", Outside::V4));
    add("out 6", reach("c1", "outside", Outside::V6));
    add("published 4", asks("outside", "192.0.2.1:8080"));
    add("published 6", asks("outside", "[2001:db8::1]:8080"));
    add("hairpin 4", asks("c1", "192.0.2.1:8080"));
    add("hairpin 6", asks("c1", "[2001:db8::1]:8080"));
    add("neighbour's port 4", asks("c2", "192.0.2.1:8080"));
    add("neighbour's port 6", asks("c2", "[2001:db8::1]:8080"));
    all
}

const EVERYTHING: [&str; 10] = [
    "neighbours 4",
    "neighbours 6",
    "out 4",
    "out 6",
    "published 4",
    "published 6",
    "hairpin 4",
    "hairpin 6",
    "neighbour's port 4",
    "neighbour's port 6",
];

/// Without our rules nothing passes this firewall, with them everything does; after `network rm` the firewall is as
/// before.
fn passes(firewall: &str) {
    let (host, _outside) = beside(firewall);
    let before = host.shell(THEIRS).ok().out;
    {
        let _service = populate(&host.with_env(OFF.0, OFF.1));
        assert_eq!(passing(), [""; 0]);
        let check = host.zubi("check").fails(1, "").out;
        assert!(check.contains("network blue: chain ") && check.contains("zubi repair"), "{check}");
        host.zubi("repair").ok();
        assert_eq!(passing(), EVERYTHING);
        host.zubi("check").ok();
        host.zubi("sandbox rm c1 c2").ok();
    }
    host.zubi("network rm blue").ok();
    assert_eq!(host.shell(THEIRS).ok().out, before);
    // The rules also come with the network when the firewall is there first.
    let _service = populate(&host);
    assert_eq!(passing(), EVERYTHING);
    host.zubi("check").ok();
    host.zubi("sandbox rm c1 c2").ok();
    host.zubi("network rm blue").ok();
    assert_eq!(host.shell(THEIRS).ok().out, before);
}

fn networks_pass_a_table_whose_policy_drops() {
    if can("networks_pass_a_table_whose_policy_drops", &[]) {
        passes(&nft(DROPPING));
    }
}

fn networks_pass_tables_of_one_family_each() {
    if can("networks_pass_tables_of_one_family_each", &[]) {
        passes(&nft("add table ip a; add chain ip a f { type filter hook forward priority -5; policy drop; }; \
                     add table ip6 a; add chain ip6 a f { type filter hook forward priority -5; policy drop; }"));
    }
}

fn networks_pass_a_chain_that_rejects_the_rest() {
    if can("networks_pass_a_chain_that_rejects_the_rest", &[]) {
        // The layout of firewalld.
        passes(&nft("add table inet firewalld; add chain inet firewalld zones; add chain inet firewalld last; \
                     add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; }; \
                     add rule inet firewalld last reject with icmpx admin-prohibited; \
                     add rule inet firewalld filter_FORWARD ct state { established, related } accept; \
                     add rule inet firewalld filter_FORWARD iifname \"lo\" accept; \
                     add rule inet firewalld filter_FORWARD jump zones; \
                     add rule inet firewalld filter_FORWARD ct state invalid drop; \
                     add rule inet firewalld filter_FORWARD jump last"));
    }
}

fn networks_pass_iptables_whose_policy_drops() {
    if can("networks_pass_iptables_whose_policy_drops", &[Capability::Iptables]) {
        passes("iptables -P FORWARD DROP && ip6tables -P FORWARD DROP");
    }
}

fn networks_pass_by_docker_user_where_that_is() {
    if can("networks_pass_by_docker_user_where_that_is", &[Capability::Iptables]) {
        let family = |program: &str| {
            ["-P FORWARD DROP", "-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-I FORWARD -j DOCKER-USER"]
                .map(|words| format!("{program} {words}"))
                .join(" && ")
        };
        passes(&[family("iptables"), family("ip6tables")].join(" && "));
    }
}

fn what_an_administrator_drops_stays_dropped() {
    if !can("what_an_administrator_drops_stays_dropped", &[Capability::Iptables]) {
        return;
    }
    for chain in ["FORWARD", "DOCKER-USER"] {
        let (host, _outside) = beside(
            "iptables -P FORWARD DROP && iptables -N DOCKER-USER && iptables -A DOCKER-USER -j RETURN && \
             iptables -I FORWARD -j DOCKER-USER",
        );
        let _service = populate(&host);
        assert!(reach("c2", "outside", Outside::V4) && reach("c1", "outside", Outside::V4));
        // At the start of the chain, where people put such a rule.
        host.shell(&format!("iptables -I {chain} -s 10.55.66.3 -d {} -j DROP", Outside::V4)).ok();
        assert!(!reach("c2", "outside", Outside::V4) && reach("c1", "outside", Outside::V4));
        host.zubi("check").ok();
        // The same when our rules are added later.
        host.shell("iptables-save | grep -v zubi | iptables-restore").ok();
        assert!(!reach("c1", "outside", Outside::V4));
        host.zubi("repair").ok();
        assert!(!reach("c2", "outside", Outside::V4) && reach("c1", "outside", Outside::V4));
        let user = host.shell("iptables -S DOCKER-USER").ok().out;
        assert!(user.trim_end().ends_with("-A DOCKER-USER -j RETURN"), "{user}");
        host.zubi("sandbox rm c1 c2").ok();
        host.zubi("network rm blue").ok();
        host.shell("nft flush ruleset; ip link del uplink; ip netns del outside").ok();
    }
}

fn our_rules_survive_saving_and_restoring_and_go_with_the_network() {
    if !can("our_rules_survive_saving_and_restoring_and_go_with_the_network", &[Capability::Iptables]) {
        return;
    }
    let (host, _outside) =
        beside("iptables -P FORWARD DROP && ip6tables -P FORWARD DROP && iptables -A FORWARD -j LOG");
    let save = "iptables-save; ip6tables-save";
    // Rules and policies, without counters.
    let clean = |text: String| {
        let words = text.lines().filter(|l| !l.starts_with('#')).map(|l| l.split(" [").next().unwrap_or(l).to_owned());
        words.collect::<Vec<_>>().join("\n")
    };
    host.shell("iptables-save | iptables-restore; ip6tables-save | ip6tables-restore").ok();
    let before = clean(host.shell(save).ok().out);
    let _service = populate(&host);
    for _ in 0..2 {
        host.shell("iptables-save > /run/saved4 && iptables-restore < /run/saved4").ok();
        host.shell("ip6tables-save > /run/saved6 && ip6tables-restore < /run/saved6").ok();
        assert_eq!(passing(), EVERYTHING);
        host.zubi("check").ok();
        assert_eq!(host.zubi("repair").ok().out, "nothing to repair\n");
    }
    for list in ["iptables -L -n", "iptables -S", "iptables-save", "ip6tables -L -n", "ip6tables -S"] {
        let answer = host.shell(list).ok();
        assert!(
            !answer.err.contains("incompatible") && answer.out.contains("zubi: network blue"),
            "{list}: {answer:?}"
        );
    }
    host.zubi("sandbox rm c1 c2").ok();
    host.zubi("network rm blue").ok();
    assert_eq!(clean(host.shell(save).ok().out), before);
}

fn a_firewall_that_comes_later_is_found_and_passed_with_the_next_connect() {
    if !can("a_firewall_that_comes_later_is_found_and_passed_with_the_next_connect", &[]) {
        return;
    }
    let (host, _outside) = beside("true");
    let _service = populate(&host);
    host.shell(&nft(DROPPING)).ok();
    assert_eq!(passing(), [""; 0]);
    let check = host.zubi("--json check").fails(1, "").json();
    assert_eq!(check["problems"][0]["kind"], "foreign-firewall", "{check:#}");
    assert_eq!(check["problems"][0]["fix"], "zubi repair");
    host.container("c3", "blue");
    assert_eq!(passing(), EVERYTHING);
    host.zubi("check").ok();
}

fn flushed_rules_are_found_and_put_back() {
    if !can("flushed_rules_are_found_and_put_back", &[]) {
        return;
    }
    let (host, _outside) = beside(&nft(DROPPING));
    let _service = populate(&host);
    host.network("green --subnet 10.77.88.0/24");
    let theirs = nft(DROPPING);
    let flushes = [
        ("nft flush chain inet fw transit", "chain transit of table inet fw drops what it does not know"),
        ("nft flush table inet zubi", "chain guard has 0 rules"),
        ("nft flush table inet zubi && nft flush table inet fw", "and has no rule for zb-green"),
        (&format!("nft flush ruleset && {theirs}"), "is gone"),
    ];
    for heal in ["repair", "connect green c9", "port add blue c1 8081:80"] {
        for (flush, words) in flushes {
            host.zubi("sandbox add c9").ok();
            host.shell(flush).ok();
            assert_ne!(passing(), EVERYTHING, "{flush}");
            let check = host.zubi("check").fails(1, "").out;
            assert!(check.contains(words), "{flush}: {check}");
            host.zubi(heal).ok();
            assert_eq!(passing(), EVERYTHING, "{flush}, then {heal}");
            let check = host.zubi("check");
            assert_eq!(check.code, 0, "{flush}, then {heal}: {}", check.out);
            host.zubi("sandbox rm c9").ok();
            if heal.starts_with("port") {
                host.zubi("port rm blue c1 8081:80").ok();
            }
        }
    }
}

fn one_batch_puts_everything_back() {
    if !can("one_batch_puts_everything_back", &[Capability::Strace]) {
        return;
    }
    let (host, _outside) = beside(&nft(DROPPING));
    let _service = populate(&host);
    host.shell("nft flush table inet zubi && nft flush table inet fw").ok();
    let generation = || host.shell("strace -e trace=recvmsg -x nft list tables 2>&1 | grep -m1 NEWGEN").ok().out;
    let number = |text: String| {
        let hex = text.split("nla_type=0x1}, \"").nth(1).expect("generation")[..16].replace("\\x", "");
        u32::from_str_radix(&hex, 16).expect("a number")
    };
    let before = number(generation());
    host.zubi("repair").ok();
    assert_eq!(number(generation()), before + 1);
    assert_eq!(passing(), EVERYTHING);
}

fn a_rule_of_ours_behind_the_end_is_moved() {
    if !can("a_rule_of_ours_behind_the_end_is_moved", &[]) {
        return;
    }
    let (host, _outside) = beside(&nft(DROPPING));
    let _service = populate(&host);
    host.shell("nft insert rule inet fw transit counter drop").ok();
    assert_eq!(passing(), [""; 0]);
    host.zubi("check").fails(1, "");
    host.zubi("repair").ok();
    assert_eq!(passing(), EVERYTHING);
    let rules = host.shell("nft -s list chain inet fw transit").ok().out;
    assert_eq!(rules.matches("zubi").count(), 2, "{rules}");
}

fn a_network_gets_rules_only_where_its_packets_come_by() {
    if !can("a_network_gets_rules_only_where_its_packets_come_by", &[]) {
        return;
    }
    let table = |family: &str| {
        format!(
            "add table {family} fw; add chain {family} fw f {{ type filter hook forward priority 0; policy drop; }}; \
             add chain {family} fw in {{ type filter hook input priority 0; policy accept; }}; "
        )
    };
    let open = "add table inet open; add chain inet open f { type filter hook forward priority 0; }; \
                add rule inet open f ip saddr 10.9.9.9 drop; \
                add table inet asleep { flags dormant; }; \
                add chain inet asleep f { type filter hook forward priority 0; policy drop; }";
    let (host, _outside) = beside(&nft(&(table("ip") + &table("ip6") + open)));
    host.network("four --subnet 10.55.66.0/24");
    host.network("six --subnet fd00:55::/64 --internal");
    let rules = |of: &str| host.shell(&format!("nft -s list {of}")).ok().out;
    assert!(rules("chain ip fw f").contains("zb-four") && !rules("table ip fw").contains("zb-six"));
    assert!(rules("chain ip6 fw f").contains("zb-six") && !rules("table ip6 fw").contains("zb-four"));
    for other in ["chain ip fw in", "chain ip6 fw in", "table inet open", "table inet asleep"] {
        assert!(!rules(other).contains("zubi"), "{other}");
    }
    host.zubi("network rm four").ok();
    assert!(!rules("table ip fw").contains("zubi") && rules("chain ip6 fw f").contains("zb-six"));
    host.zubi("check").ok();
}

fn switched_off_nothing_of_others_is_touched_and_check_says_what_drops() {
    if !can("switched_off_nothing_of_others_is_touched_and_check_says_what_drops", &[]) {
        return;
    }
    let (host, _outside) = beside(&nft(DROPPING));
    std::fs::write("/run/config.json", "{\"coexistence\": false}").expect("settings");
    let host = host.with_env("ZUBI_CONFIG", "/run/config.json");
    let before = host.shell("nft -s list table inet fw").ok().out;
    let _service = populate(&host);
    host.zubi("repair").ok();
    assert_eq!(host.shell("nft -s list table inet fw").ok().out, before);
    let check = host.zubi("check").fails(1, "").out;
    assert!(
        check.contains("chain transit of table inet fw drops") && check.contains("coexistence is switched off"),
        "{check}"
    );
    let host = host.with_env("ZUBI_COEXISTENCE", "on");
    host.zubi("repair").ok();
    assert_eq!(passing(), EVERYTHING);
    // The rules go with the network, whatever the setting says by then.
    let host = host.with_env("ZUBI_COEXISTENCE", "off");
    host.zubi("sandbox rm c1 c2").ok();
    host.zubi("network rm blue").ok();
    assert_eq!(host.shell("nft -s list table inet fw").ok().out, before);
}

/// A table with policy drop that belongs to this socket.
fn owned_table(name: &str) -> Netlink {
    const NEWTABLE: u16 = 10 << 8;
    const NEWCHAIN: u16 = NEWTABLE | 3;
    const OWNER: u32 = 2;
    let mut batch = Batch::new();
    let inet = [1, 0, 0, 0];
    nft::begin(&mut batch);
    batch.message(NEWTABLE, flag::REQUEST | flag::ACK | flag::CREATE, |b| {
        b.header(&inet);
        b.text(1, name);
        b.be32(2, OWNER);
    });
    batch.message(NEWCHAIN, flag::REQUEST | flag::ACK | flag::CREATE, |b| {
        b.header(&inet);
        b.text(1, name);
        b.text(3, "transit");
        b.nested(4, |b| {
            b.be32(1, 2);
            b.be32(2, 0);
        });
        b.be32(5, 0);
        b.text(7, "filter");
    });
    nft::end(&mut batch);
    let mut socket = Netlink::netfilter().expect("socket");
    for answer in socket.transact(batch).expect("answers") {
        assert!(!matches!(answer.outcome, Some(Err(_))), "{answer:?}");
    }
    socket
}

fn a_table_that_belongs_to_a_program_is_reported_with_what_to_do() {
    if !can("a_table_that_belongs_to_a_program_is_reported_with_what_to_do", &[]) {
        return;
    }
    let (host, _outside) = beside("true");
    let owner = owned_table("firewalld");
    let note = host.zubi(&format!("network create blue {BOTH}")).ok().err;
    let fix = "firewall-cmd --permanent --zone=trusted --add-interface=zb-blue";
    assert!(
        note.contains("note: network blue: chain transit of table inet firewalld drops") && note.contains(fix),
        "{note}"
    );
    assert!(note.contains("belongs to "), "{note}");
    host.zubi("sandbox add c1").ok();
    assert!(host.zubi("connect blue c1").ok().err.contains(fix));
    assert!(!reach("c1", "outside", Outside::V4));
    let check = host.zubi("check").fails(1, "").out;
    assert!(check.contains(fix), "{check}");
    host.zubi("repair").ok();
    // The table goes when its owner ends.
    drop(owner);
    assert!(reach("c1", "outside", Outside::V4));
    host.zubi("check").ok();
    assert_eq!(host.zubi("disconnect blue c1").ok().err, "");
    host.zubi("network rm blue").ok();
}

fn a_drop_of_everything_in_docker_user_is_meant() {
    if !can("a_drop_of_everything_in_docker_user_is_meant", &[Capability::Iptables]) {
        return;
    }
    let (host, _outside) =
        beside("iptables -N DOCKER-USER && iptables -A DOCKER-USER -j DROP && iptables -I FORWARD -j DOCKER-USER");
    let note = host.zubi("network create blue --subnet 10.55.66.0/24").ok().err;
    assert!(note.contains("iptables -I DOCKER-USER -i zb-blue -j ACCEPT"), "{note}");
    host.container("c1", "blue");
    assert!(!reach("c1", "outside", Outside::V4));
    host.shell("iptables -I DOCKER-USER -i zb-blue -j ACCEPT && iptables -I DOCKER-USER -o zb-blue -j ACCEPT").ok();
    assert!(reach("c1", "outside", Outside::V4));
    host.zubi("check").ok();
}

fn legacy_iptables_is_reported_with_the_commands() {
    if !can("legacy_iptables_is_reported_with_the_commands", &[Capability::IptablesLegacy]) {
        return;
    }
    let (host, _outside) = beside("iptables-legacy -P FORWARD DROP && ip6tables-legacy -A FORWARD -j REJECT");
    let before = host.shell("iptables-legacy-save -c; ip6tables-legacy-save").ok().out;
    let notes = host.zubi(&format!("network create blue {BOTH}")).ok().err;
    let four = "iptables-legacy -I FORWARD -i zb-blue -j ACCEPT && iptables-legacy -I FORWARD -o zb-blue -j ACCEPT";
    let six = four.replace("iptables", "ip6tables");
    assert!(notes.contains("(its policy)") && notes.contains(four), "{notes}");
    assert!(notes.contains("(its rule 1)") && notes.contains(&six), "{notes}");
    assert!(before.lines().count() > 5, "{before}");
    host.zubi("sandbox add c1").ok();
    assert!(host.zubi("connect blue c1 -p 8080:80").ok().err.contains(four));
    host.container("c2", "blue");
    let _service = Service::start("c1", 80);
    assert_eq!(passing(), [""; 0]);
    let check = host.zubi("check").fails(1, "").out;
    assert!(check.contains(four) && check.contains(&six), "{check}");
    host.shell(&format!("{four} && {six}")).ok();
    assert_eq!(passing(), EVERYTHING);
    host.zubi("check").ok();
    assert_eq!(host.zubi("disconnect blue c2").ok().err, "");
}

fn rules_of_a_network_that_is_no_more_are_strays() {
    if !can("rules_of_a_network_that_is_no_more_are_strays", &[]) {
        return;
    }
    let (host, _outside) = beside(&nft(DROPPING));
    let before = host.shell("nft -s list table inet fw").ok().out;
    host.network("blue --subnet 10.55.66.0/24");
    host.network("green --subnet 10.77.88.0/24");
    std::fs::remove_file("/run/zubi-state/networks/blue.json").expect("record");
    let check = host.zubi("check").fails(1, "").out;
    assert!(check.contains("zb-blue") && check.contains("in no record"), "{check}");
    host.zubi("gc").ok();
    host.zubi("check").ok();
    let rules = host.shell("nft -s list table inet fw").ok().out;
    assert!(!rules.contains("zb-blue") && rules.contains("zb-green"), "{rules}");
    std::fs::remove_file("/run/zubi-state/networks/green.json").expect("record");
    host.zubi("gc").ok();
    assert_eq!(host.shell("nft -s list table inet fw").ok().out, before);
}

/// A child process that ends with this value.
struct Busy(Child);

impl Drop for Busy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn a_program_that_changes_its_rules_all_the_time_does_not_stop_us() {
    if !can("a_program_that_changes_its_rules_all_the_time_does_not_stop_us", &[]) {
        return;
    }
    let (host, _outside) = beside(&nft(DROPPING));
    let theirs = "nft -s list table inet fw | grep -v 10.9";
    let before = host.shell(theirs).ok().out;
    // A round takes about 2 ms, so some fall between our read and our write.
    let script = "while :; do nft 'add rule inet fw transit ip saddr 10.9.0.1 drop'; nft 'flush chain inet fw other'; \
                  nft 'delete rule inet fw transit handle '$(nft -a list chain inet fw transit | sed -n 's/.*10.9.0.1.*handle //p' | head -1); \
                  done";
    host.shell("nft add chain inet fw other").ok();
    let mut command = Command::new("/bin/sh");
    let busy = Busy(command.args(["-c", script]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sh"));
    for _ in 0..30 {
        host.network("blue --subnet 10.55.66.0/24");
        let rules = host.shell("nft -s list chain inet fw transit").ok().out;
        assert_eq!(rules.matches("zb-blue").count(), 2, "{rules}");
        host.zubi("network rm blue").ok();
    }
    drop(busy);
    host.shell("nft flush chain inet fw transit; nft delete chain inet fw other").ok();
    assert_eq!(host.shell(theirs).ok().out, before);
}

fn nothing_is_left_of_a_network_beside_a_firewall() {
    if !can("nothing_is_left_of_a_network_beside_a_firewall", &[]) {
        return;
    }
    let (host, _outside) = beside(&nft(DROPPING));
    host.zubi("gc").ok();
    // Forwarding stays on.
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.zubi("network rm blue").ok();
    let before = Snapshot::take();
    let service = populate(&host);
    drop(service);
    host.zubi("sandbox rm c1 c2").ok();
    host.zubi("network rm blue").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

zubi_lab::tests!(
    networks_pass_a_table_whose_policy_drops,
    networks_pass_tables_of_one_family_each,
    networks_pass_a_chain_that_rejects_the_rest,
    networks_pass_iptables_whose_policy_drops,
    networks_pass_by_docker_user_where_that_is,
    what_an_administrator_drops_stays_dropped,
    our_rules_survive_saving_and_restoring_and_go_with_the_network,
    a_firewall_that_comes_later_is_found_and_passed_with_the_next_connect,
    flushed_rules_are_found_and_put_back,
    one_batch_puts_everything_back,
    a_rule_of_ours_behind_the_end_is_moved,
    a_network_gets_rules_only_where_its_packets_come_by,
    switched_off_nothing_of_others_is_touched_and_check_says_what_drops,
    a_table_that_belongs_to_a_program_is_reported_with_what_to_do,
    a_drop_of_everything_in_docker_user_is_meant,
    legacy_iptables_is_reported_with_the_commands,
    rules_of_a_network_that_is_no_more_are_strays,
    a_program_that_changes_its_rules_all_the_time_does_not_stop_us,
    nothing_is_left_of_a_network_beside_a_firewall,
);
