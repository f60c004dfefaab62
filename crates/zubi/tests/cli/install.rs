//! `install` and `uninstall`: zubi in the places of other programs, and those back in theirs.

use serde_json::json;
use zubi_lab::Host;

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;
const CONFLICT: i32 = 4;
const KERNEL: i32 = 7;

/// A folder with two plug-ins of the reference, and one of which zubi knows nothing.
fn host_with_plugins() -> Host {
    let host = Host::new(ZUBI);
    let plugin = "#!/bin/sh\\necho the reference\\n";
    host.shell(&format!(
        "mkdir /run/cni && cd /run/cni && printf '{plugin}' >bridge && cp bridge dhcp && chmod 755 bridge dhcp && \
         ln -s dhcp portmap"
    ))
    .ok();
    host
}

/// Every file with its inode, mode and sum.
fn files(host: &Host) -> String {
    host.shell("cd /run/cni && stat -c '%n %i %f %N' * && md5sum *").ok().out
}

const VERSION: &str = "CNI_COMMAND=VERSION /run/cni/bridge </dev/null";

fn plugins_are_replaced_and_come_back_as_they_were() {
    let host = host_with_plugins();
    let before = files(&host);
    assert_eq!(host.shell(VERSION).ok().out, "the reference\n");
    let said = host.zubi("install --cni /run/cni").ok().out;
    for line in [
        "/run/cni/zubi: linked\n",
        "/run/cni/host-local: linked\n",
        "/run/cni/bridge: linked; a program of 29 bytes was there, kept as /run/cni/bridge.zubi-saved\n",
        "/run/cni/portmap: linked; a link to dhcp was there, kept as /run/cni/portmap.zubi-saved\n",
    ] {
        assert!(said.contains(line), "{line}{said}");
    }
    assert!(host.shell(VERSION).ok().out.contains("supportedVersions"));
    assert_eq!(host.shell("/run/cni/dhcp").ok().out, "the reference\n");
    let again = host.zubi("install --cni /run/cni").ok().out;
    assert_eq!(again.matches(": is zubi already\n").count(), 12, "{again}");

    let said = host.zubi("uninstall --cni /run/cni").ok().out;
    assert!(said.contains("/run/cni/bridge: the program from before is back\n/run/cni/macvlan: removed\n"), "{said}");
    assert_eq!(files(&host), before);
    host.zubi("uninstall --cni /run/cni").ok();
    assert_eq!(files(&host), before);
}

fn netavark_is_replaced_and_comes_back() {
    let host = Host::new(ZUBI);
    host.shell("mkdir /run/podman && echo old >/run/podman/netavark").ok();
    host.zubi("install --netavark /run/podman/netavark").ok();
    assert!(host.shell("/run/podman/netavark --version").ok().out.starts_with("netavark "));
    host.zubi("uninstall --netavark /run/podman").ok();
    assert_eq!(host.shell("cat /run/podman/netavark; ls /run/podman").ok().out, "old\nnetavark\n");
}

fn two_paths_of_one_folder_are_one_place() {
    let host = Host::new(ZUBI);
    host.shell("mkdir /run/podman && echo old >/run/podman/netavark && ln -s podman /run/same").ok();
    for word in ["install", "uninstall"] {
        let said = host.zubi(&format!("{word} --cni /run/podman --netavark /run/same")).ok().out;
        assert_eq!(said.lines().count(), 13, "{said}");
    }
    assert_eq!(host.shell("cat /run/same/netavark; ls /run/podman").ok().out, "old\nnetavark\n");
}

fn a_dry_run_shows_the_commands_and_changes_nothing() {
    let host = host_with_plugins();
    host.zubi("install --cni /run/cni").ok();
    host.shell("rm /run/cni/bridge && mv /run/cni/bridge.zubi-saved /run/cni/bridge").ok();
    let before = files(&host);
    let shown = host.zubi("--dry-run install --cni /run/cni").ok().out;
    for line in [
        "+ ln /run/cni/bridge /run/cni/bridge.zubi-saved\n".to_owned(),
        format!("+ ln -sf {ZUBI} /run/cni/bridge\n"),
        format!("= ln -sf {ZUBI} /run/cni/portmap\n"),
    ] {
        assert!(shown.contains(&line), "{line}{shown}");
    }
    let explained = host.zubi("--explain install --cni /run/cni").ok().out;
    assert_eq!(explained.lines().count(), 2, "{explained}");
    let shown = host.zubi("--json --dry-run uninstall --cni /run/cni").ok().json();
    assert_eq!(shown["operations"][0], json!({"command": "rm /run/cni/zubi", "state": "missing"}));
    assert_eq!(files(&host), before);
    let said = host.zubi("--verbose install --cni /run/cni").ok().err;
    assert_eq!(said.lines().collect::<Vec<_>>(), explained.lines().map(|line| format!("+ {line}")).collect::<Vec<_>>());
}

fn the_answer_in_json_names_every_file() {
    let host = host_with_plugins();
    let said = host.zubi("--json install --cni /run/cni").ok().json();
    assert_eq!(said["program"], ZUBI);
    let files = said["files"].as_array().expect("files");
    assert_eq!(files.len(), 12);
    let bridge = json!({"path": "/run/cni/bridge", "state": "replaced", "saved": "/run/cni/bridge.zubi-saved"});
    assert!(files.contains(&bridge), "{said:#}");
}

fn what_is_in_the_way_is_refused_before_the_first_change() {
    let host = host_with_plugins();
    host.shell("mkdir /run/cni/tuning").ok();
    let before = files_and_folders(&host);
    host.zubi("install --cni /run/cni").fails(CONFLICT, "/run/cni/tuning: is a folder");
    assert_eq!(files_and_folders(&host), before);
    host.shell("rmdir /run/cni/tuning").ok();
    host.zubi("install --cni /run/cni").ok();
    // A package brings its program back.
    host.shell("rm /run/cni/bridge && echo newer >/run/cni/bridge").ok();
    for words in ["install --cni /run/cni", "uninstall --cni /run/cni"] {
        host.zubi(words).fails(CONFLICT, "/run/cni/bridge.zubi-saved was kept from an earlier time");
    }
    host.shell("rm /run/cni/bridge.zubi-saved").ok();
    host.zubi("install --cni /run/cni").ok();
    host.zubi("uninstall --cni /run/cni").ok();
    assert_eq!(host.shell("cat /run/cni/bridge; ls /run/cni").ok().out, "newer\nbridge\ndhcp\nportmap\n");
}

fn files_and_folders(host: &Host) -> String {
    host.shell("ls -lAi /run/cni").ok().out
}

fn errors_have_their_class_and_no_engine_is_needed() {
    let host = host_with_plugins();
    host.zubi("install").fails(USAGE, "--cni");
    host.zubi("install --cni /run/none").fails(NOT_FOUND, "folder /run/none does not exist");
    host.zubi("install --cni /run/cni/bridge").fails(USAGE, "folder `/run/cni/bridge`");
    host.zubi("install --netavark /run/cni/bridge").fails(USAGE, "must end with /netavark");
    host.shell("mkdir /run/shut && mount -t tmpfs -o ro none /run/shut").ok();
    host.zubi("install --cni /run/shut").fails(KERNEL, "Read-only file system");
    let before = host.shell("ls -A /run").out;
    host.zubi("install --cni /run/cni --state-dir /nowhere").ok();
    assert_eq!(host.shell("ls -A /run").out, before);
}

zubi_lab::tests!(
    plugins_are_replaced_and_come_back_as_they_were,
    netavark_is_replaced_and_comes_back,
    two_paths_of_one_folder_are_one_place,
    a_dry_run_shows_the_commands_and_changes_nothing,
    the_answer_in_json_names_every_file,
    what_is_in_the_way_is_refused_before_the_first_change,
    errors_have_their_class_and_no_engine_is_needed,
);
