//! Names from other programs reach a terminal without control characters.

use std::net::TcpListener;
use zubi_lab::Host;

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
/// Sets a window's title and clears the screen.
const EVIL: &str = "\u{1b}]0;p\u{7}\u{1b}[2J";
const SHOWN: &str = "\\x1b]0;p\\x07\\x1b[2J";

#[track_caller]
fn harmless(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

fn a_process_is_named_without_its_escapes() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    let _listener = TcpListener::bind("0.0.0.0:7000").expect("port");
    // PR_SET_NAME: needs no right.
    std::fs::write("/proc/self/comm", EVIL).expect("a name");
    let refused = host.zubi("connect blue c1 -p 7000:80").fails(4, SHOWN);
    harmless(&refused.err);
    // JSON has the exact name, in JSON's own escapes.
    let json = host.zubi("--json connect blue c1 -p 7000:80");
    let told: serde_json::Value = serde_json::from_str(&json.err).expect("JSON");
    assert!(told["error"]["message"].as_str().is_some_and(|m| m.contains(EVIL)), "{told}");
    harmless(&json.err);
}

fn check_names_a_process_without_its_escapes() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    host.connect("blue c1 -p 7000:80");
    let _listener = TcpListener::bind("0.0.0.0:7000").expect("port");
    std::fs::write("/proc/self/comm", format!("{EVIL}\nx")).expect("a name");
    let told = host.zubi("check");
    assert_eq!(told.code, 1, "{}", told.err);
    assert!(told.out.contains(&format!("{SHOWN}\\x0ax")), "{}", told.out);
    harmless(&told.out);
}

fn a_bridge_of_others_is_listed_without_its_escapes() {
    let host = Host::new(ZUBI);
    host.shell("ip link add \"$(printf 'b\\033[2J')\" type bridge").ok();
    let told = host.zubi("bridge").ok();
    assert!(told.out.contains("b\\x1b[2J"), "{}", told.out);
    harmless(&told.out);
}

fn words_of_the_user_s_own_are_told_without_escapes() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    for words in [["connect", EVIL, "c1"], ["connect", "blue", "/run/\u{1b}[2J"], ["\u{9b}2J", "\u{202e}", "x"]] {
        let told = host.zubi_words(&words);
        assert!(told.code > 0);
        harmless(&told.err);
    }
}

zubi_lab::tests!(
    a_process_is_named_without_its_escapes,
    check_names_a_process_without_its_escapes,
    a_bridge_of_others_is_listed_without_its_escapes,
    words_of_the_user_s_own_are_told_without_escapes,
);
