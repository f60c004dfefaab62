//! A host with many endpoints: what works for one works for hundreds, with the same number of kernel requests for each.

use zubi_lab::{Answer, Host, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const MANY: u32 = 300;

/// Sandboxes on a dual-stack network, each with a port.
fn crowd(host: &Host) {
    host.network("blue --subnet 10.55.0.0/20 --subnet fd00:55::/64");
    host.shell(&format!(
        "for n in $(seq {MANY}); do ip netns add s$n && \"$ZUBI\" connect blue s$n -p $((20000 + n)):80 >/dev/null || exit 1; done"
    ))
    .ok();
}

fn host() -> Host {
    let host = Host::new(ZUBI).with_env("ZUBI", ZUBI);
    crowd(&host);
    host
}

/// Runs a command with a low limit of descriptors.
fn with_few_descriptors(host: &Host, words: &str) -> Answer {
    host.shell(&format!("ulimit -n 64; \"$ZUBI\" {words}"))
}

fn three_hundred_are_changed_checked_flushed_and_put_back() {
    let host = host();
    host.zubi("check").ok();
    host.zubi("network set blue --mtu 1400 --no-icc").ok();
    host.zubi("check").ok();
    let others =
        host.shell(&format!("for n in $(seq {MANY}); do ip -n s$n -o link show eth0; done | grep -vc 'mtu 1400'"));
    assert_eq!(others.out.trim(), "0");
    host.zubi("network set blue --mtu 1500 --icc").ok();
    host.shell("nft flush ruleset").ok();
    host.zubi("repair").ok();
    host.zubi("check").ok();
    host.shell("nft flush ruleset").ok();
    host.container("late", "blue");
    host.zubi("check").ok();
    assert_reaches("s1", "s300", "10.55.1.45");
    let listed = host.zubi("--json ls").ok().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(MANY as usize + 1));
    host.shell("ip link del zb-blue").ok();
    host.zubi("repair").ok();
    host.zubi("check").ok();
    assert_eq!(host.zubi("gc").ok().out, "nothing to remove\n");
}

fn three_hundred_need_no_more_descriptors_than_three() {
    let host = host();
    for words in ["check", "ls", "gc", "repair", "network set blue --mtu 1400", "network set blue --no-icc", "bridge"] {
        let answer = with_few_descriptors(&host, words);
        assert_eq!(answer.code, 0, "{words}: {}{}", answer.out, answer.err);
    }
    let missed =
        host.shell(&format!("for n in $(seq {MANY}); do ip -n s$n -o link show eth0; done | grep -vc 'mtu 1400'"));
    assert_eq!(missed.out.trim(), "0");
}

fn a_record_of_three_hundred_is_lost_and_made_again() {
    let host = host();
    host.settle();
    let before = host.zubi("--json ls").ok().json();
    host.shell("rm -r /run/zubi").ok();
    host.zubi("repair --rebuild").ok();
    assert_eq!(host.zubi("--json ls").ok().json(), before);
    host.zubi("check").ok();
}

fn sixty_networks_come_up_with_the_first_connect_of_a_boot() {
    let host = Host::new(ZUBI);
    for n in 0..60 {
        host.network(&format!("n{n} --subnet 10.77.{n}.0/24 --subnet fd00:77:{n}::/64"));
    }
    // Simulates what a reboot leaves.
    host.shell("for b in $(ip -o link show type bridge | sed 's/^[0-9]*: //; s/:.*//'); do ip link del $b; done; nft flush ruleset; rm -r /run/zubi").ok();
    host.container("c1", "n7");
    assert_reaches("c1", "host", "10.77.7.1");
    host.zubi("repair").ok();
    host.zubi("check").ok();
    for n in 0..60 {
        host.zubi(&format!("network set n{n} --no-masquerade")).ok();
    }
    host.zubi("check").ok();
}

fn ten_thousand_ports_that_shift_are_published_and_taken_back() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.0.0/20 --subnet fd00:55::/64");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 20000-29999:30000-39999").ok();
    host.zubi("check").ok();
    let elements = |host: &Host| host.shell("nft list map inet zubi publish4 | grep -o '[0-9] : ' | wc -l").ok().out;
    assert_eq!(elements(&host).trim(), "10000");
    host.shell("nft flush ruleset").ok();
    host.zubi("repair").ok();
    host.zubi("check").ok();
    assert_eq!(elements(&host).trim(), "10000");
    host.zubi("port rm blue c1 20000-29999:30000-39999").ok();
    assert_eq!(elements(&host).trim(), "0");
    host.zubi("port add blue c1 20000-20400:30000-30400").ok();
    host.zubi("check").ok();
    host.zubi("disconnect blue c1").ok();
    host.settle();
    host.zubi("check").ok();
}

zubi_lab::tests!(
    three_hundred_are_changed_checked_flushed_and_put_back,
    three_hundred_need_no_more_descriptors_than_three,
    a_record_of_three_hundred_is_lost_and_made_again,
    sixty_networks_come_up_with_the_first_connect_of_a_boot,
    ten_thousand_ports_that_shift_are_published_and_taken_back,
);
