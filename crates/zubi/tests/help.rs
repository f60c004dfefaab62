//! The program's help texts, word by word.

use std::process::Command;

fn zubi(words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zubi"));
    // Without a terminal this variable sets the width of lines.
    let output = command.args(words).env("COLUMNS", "100").env_remove("RUST_BACKTRACE").output().expect("zubi");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

macro_rules! help_of {
    ($($test:ident: $($word:literal)*;)+) => {
        $(#[test]
        fn $test() {
            insta::assert_snapshot!(zubi(&[$($word,)* "--help"]));
        })+

        /// The commands that have a golden here.
        const SHOWN: &[&str] = &[$(concat!("zubi" $(, "-", $word)*)),+];
    };
}

help_of! {
    help_of_zubi:;
    help_of_network: "network";
    help_of_network_create: "network" "create";
    help_of_network_ls: "network" "ls";
    help_of_network_set: "network" "set";
    help_of_network_inspect: "network" "inspect";
    help_of_network_rm: "network" "rm";
    help_of_network_prune: "network" "prune";
    help_of_network_confirm: "network" "confirm";
    help_of_network_persist: "network" "persist";
    help_of_network_rollback: "network" "rollback";
    help_of_sandbox: "sandbox";
    help_of_sandbox_add: "sandbox" "add";
    help_of_sandbox_ls: "sandbox" "ls";
    help_of_sandbox_rm: "sandbox" "rm";
    help_of_sandbox_exec: "sandbox" "exec";
    help_of_run: "run";
    help_of_connect: "connect";
    help_of_disconnect: "disconnect";
    help_of_port: "port";
    help_of_port_add: "port" "add";
    help_of_port_ls: "port" "ls";
    help_of_port_rm: "port" "rm";
    help_of_lease: "lease";
    help_of_lease_ls: "lease" "ls";
    help_of_lease_renew: "lease" "renew";
    help_of_link: "link";
    help_of_link_ls: "link" "ls";
    help_of_link_rm: "link" "rm";
    help_of_ls: "ls";
    help_of_bridge: "bridge";
    help_of_bridge_show: "bridge" "show";
    help_of_bridge_fdb: "bridge" "fdb";
    help_of_peer: "peer";
    help_of_name: "name";
    help_of_check: "check";
    help_of_repair: "repair";
    help_of_snapshot: "snapshot";
    help_of_gc: "gc";
    help_of_lab: "lab";
    help_of_install: "install";
    help_of_uninstall: "uninstall";
    help_of_daemon: "daemon";
    help_of_status: "status";
    help_of_events: "events";
    help_of_info: "info";
    help_of_completions: "completions";
}

/// The names of all man pages, without their extension.
fn man_pages() -> Vec<String> {
    let folder =
        std::env::temp_dir().join(format!("zubi-man-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::create_dir_all(&folder).expect("folder");
    zubi(&["man", folder.to_str().expect("path")]);
    let pages = std::fs::read_dir(&folder).expect("folder").map(|e| e.expect("page").file_name());
    let mut pages: Vec<String> = pages.map(|p| p.to_str().expect("name").trim_end_matches(".1").to_owned()).collect();
    std::fs::remove_dir_all(&folder).expect("folder");
    pages.sort();
    pages
}

#[test]
fn every_command_has_a_man_page() {
    insta::assert_snapshot!(man_pages().join("\n"));
}

#[test]
fn the_help_of_every_command_that_has_a_man_page_is_held_here() {
    let missing: Vec<String> =
        man_pages().into_iter().filter(|p| !p.ends_with("zubi-man") && !SHOWN.contains(&p.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new());
}
