//! `zubi lab`: its prompt, what it says, and its outside.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use zubi_lab::Host;

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// What an interactive shell of a lab prints: at a terminal, which script(1) makes.
fn typed(shell: &str, settings: &[(&str, &str)], lines: &str) -> String {
    // Not below /run: a lab has one of its own.
    let now = std::time::UNIX_EPOCH.elapsed().expect("clock").as_nanos();
    let home = std::env::temp_dir().join(format!("zubi-lab-home-{now}"));
    std::fs::create_dir_all(&home).expect("folder");
    for (file, text) in settings {
        std::fs::write(home.join(file), text).expect("file");
    }
    let mut script = Command::new("script")
        .args(["-q", "-e", "-c", &format!("{ZUBI} lab"), "/dev/null"])
        .envs([("SHELL", shell), ("PS1", "mine> "), ("TERM", "dumb")])
        .env("HOME", &home)
        .env("ENV", home.join("own.sh"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script (bsdutils)");
    let mut keys = script.stdin.take().expect("stdin");
    keys.write_all(format!("{lines}\nexit\n").as_bytes()).expect("keys");
    let mut out = String::new();
    script.stdout.take().expect("stdout").read_to_string(&mut out).expect("text");
    script.wait().expect("script");
    drop(keys);
    std::fs::remove_dir_all(&home).expect("folder");
    out
}

fn the_prompt_says_that_it_is_a_lab_whatever_the_user_s_own_is() {
    let bash =
        typed("/bin/bash", &[(".bashrc", "PS1='mine> '\nPROMPT_COMMAND='PS1=mine'\nOWN=read\n")], "echo own=$OWN");
    assert!(bash.contains("lab# ") && bash.contains("own=read"), "{bash}");
    let sh = typed("/bin/sh", &[("own.sh", "PS1='mine> '\nOWN=read\n")], "echo own=$OWN");
    assert!(sh.contains("lab# ") && sh.contains("own=read"), "{sh}");
    if File::open("/bin/zsh").is_ok() {
        let zsh = typed("/bin/zsh", &[(".zshrc", "PROMPT='mine> '\nOWN=read\n")], "echo own=$OWN");
        assert!(zsh.contains("lab# ") && zsh.contains("own=read"), "{zsh}");
    }
}

fn a_lab_says_what_is_private_and_a_command_in_it_says_nothing() {
    let host = Host::new(ZUBI);
    let shell = host.with_env("SHELL", "/bin/sh").zubi("lab").ok();
    assert!(shell.err.contains("its network is private") && shell.err.contains("machine's own"), "{}", shell.err);
    assert_eq!(host.zubi("lab true").ok().err, "");
}

/// Runs a script in a lab with an outside.
fn the_program_that_makes_a_lab_is_its_zubi() {
    let host = Host::new(ZUBI);
    let said = host.zubi_words(&["lab", "--", "sh", "-c", "PATH=$PATH; readlink -f $(command -v zubi); zubi version"]);
    let own = std::fs::canonicalize(ZUBI).expect("a program");
    assert_eq!(said.ok().out.lines().next(), own.to_str());
}

fn outside(script: &str) -> String {
    Host::new(ZUBI).zubi_words(&["lab", "--outside", "sh", "-c", script]).ok().out
}

fn the_outside_answers_pings_and_tells_who_asks() {
    outside("ping -c 1 -W 5 203.0.113.1 && ping -c 1 -W 5 2001:db8:cb00:7100::1");
    let heard = outside("exec bash -c 'exec 3<>/dev/tcp/203.0.113.1/13; cat <&3'");
    assert!(heard.starts_with("you are 203.0.113.2 port "), "{heard}");
    let echoed = outside("exec bash -c 'exec 3<>/dev/tcp/203.0.113.1/7; echo hello >&3; head -n 1 <&3'");
    assert_eq!(echoed, "hello\n");
    let page =
        outside("exec bash -c 'exec 3<>/dev/tcp/203.0.113.1/80; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'");
    assert!(page.starts_with("HTTP/1.0 200 OK\r\n") && page.contains("you are 203.0.113.2"), "{page}");
}

fn an_endpoint_leaves_the_lab_by_the_uplink_s_address_and_is_reached_by_its_port() {
    let heard = outside(&format!(
        "exec 2>/dev/null; z={ZUBI}; $z network create blue --subnet 10.55.66.0/24 >/dev/null
         $z sandbox add c1 >/dev/null; $z connect blue c1 -p 8080:80 >/dev/null
         $z sandbox exec c1 -- bash -c 'exec 3<>/dev/tcp/203.0.113.1/13; cat <&3'
         $z sandbox exec c1 -- python3 -m http.server 80 >/dev/null &
         for n in $(seq 200); do
             $z sandbox exec outside -- bash -c 'exec 3<>/dev/tcp/203.0.113.2/8080' && echo reached && break
             sleep 0.05
         done; kill $!"
    ));
    // Masqueraded: the outside has no route to 10.55.66.0/24.
    assert!(heard.starts_with("you are 203.0.113.2 port "), "{heard}");
    assert!(heard.ends_with("reached\n"), "{heard}");
}

fn the_outside_ends_with_its_lab() {
    // The process that answers has the command line of the lab, which the shell has given up.
    let answering = "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -q '[l]ab --outside sh -c'";
    assert_eq!(outside(&format!("{answering} && echo answers")), "answers\n");
    Host::new(ZUBI).wait_for(&format!("! ({answering})"));
}

zubi_lab::tests!(
    the_program_that_makes_a_lab_is_its_zubi,
    the_prompt_says_that_it_is_a_lab_whatever_the_user_s_own_is,
    a_lab_says_what_is_private_and_a_command_in_it_says_nothing,
    the_outside_answers_pings_and_tells_who_asks,
    an_endpoint_leaves_the_lab_by_the_uplink_s_address_and_is_reached_by_its_port,
    the_outside_ends_with_its_lab,
);
