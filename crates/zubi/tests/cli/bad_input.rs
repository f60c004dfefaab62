//! Bad input is refused before the first effect, with the right exit code and words that help.

use crate::blue::{ZUBI, blue};
use zubi_lab::{Host, Outside, Snapshot, assert_reaches};

const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;
const CONFLICT: i32 = 4;
const PRIVILEGE: i32 = 6;
const STATE: i32 = 8;

/// Each command fails with its code and words and changes nothing.
fn refused(host: &Host, all: &[(&str, i32, &str)]) {
    let before = Snapshot::take();
    for (command, code, words) in all {
        host.zubi(command).fails(*code, words);
        let after = Snapshot::take();
        assert!(before == after, "{command} changed something");
    }
}

/// The same for exact words, which may contain spaces.
fn refused_words(host: &Host, all: &[(&[&str], i32, &str)]) {
    let before = Snapshot::take();
    for (words, code, said) in all {
        host.zubi_words(words).fails(*code, said);
        before.assert_no_residue(&Snapshot::take());
    }
}

const EVIL: [&str; 12] =
    ["a/b", "../up", ".", "..", "a b", "", "$(reboot)", "a;reboot", "a`id`", "x\ny", "{ drop }", "@set"];

fn strange_names_of_networks_are_refused() {
    let host = Host::new(ZUBI);
    for name in EVIL {
        refused_words(
            &host,
            &[
                (&["network", "create", name, "--subnet", "10.1.0.0/24"], USAGE, "name"),
                (&["network", "rm", name], USAGE, "name"),
                (&["network", "inspect", name], USAGE, "name"),
                (&["connect", name, "c1"], USAGE, "name"),
            ],
        );
    }
}

fn strange_names_of_sandboxes_are_refused() {
    let host = blue();
    for name in EVIL {
        refused_words(
            &host,
            &[
                (&["sandbox", "add", name], USAGE, "name"),
                (&["sandbox", "rm", name], USAGE, "name"),
                (&["run", "--name", name, "--network", "none", "--", "true"], USAGE, "name"),
            ],
        );
    }
}

fn strange_names_of_devices_are_refused() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    for name in EVIL {
        refused_words(
            &host,
            &[
                (&["network", "create", "red", "--bridge", name], USAGE, "name"),
                (&["connect", "blue", "c1", "--ifname", name], USAGE, "name"),
            ],
        );
    }
}

fn device_names_of_sixteen_bytes_are_refused() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    refused(
        &host,
        &[
            ("network create red --bridge sixteen-bytes-ab", USAGE, "15"),
            ("connect blue c1 --ifname sixteen-bytes-ab", USAGE, "15"),
        ],
    );
    host.network("red --subnet 10.1.0.0/24 --bridge fifteen-bytes-a");
    host.connect("blue c1 --ifname fifteen-bytes-a");
}

fn the_loopback_s_name_is_refused_as_device() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    refused(&host, &[("connect blue c1 --ifname lo", CONFLICT, "device lo is there already")]);
}

fn subnets_that_overlap_themselves_are_refused() {
    let host = Host::new(ZUBI);
    refused(
        &host,
        &[
            ("network create red --subnet 10.1.0.0/24 --subnet 10.1.0.128/25", USAGE, "overlaps 10.1.0.0/24"),
            ("network create red --subnet 10.1.0.0/24 --subnet 10.2.0.0/24", USAGE, "second IPv4 subnet"),
        ],
    );
}

fn subnets_that_overlap_other_networks_are_refused() {
    let host = blue();
    refused(
        &host,
        &[
            ("network create red --subnet 10.55.66.128/25", CONFLICT, "overlaps network blue"),
            ("network create red --subnet 10.55.0.0/16", CONFLICT, "overlaps network blue"),
            ("network create red --subnet fd00:55::/80", CONFLICT, "overlaps network blue"),
        ],
    );
}

fn subnets_that_overlap_the_host_s_routes_are_refused() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.shell("ip route add 10.8.0.0/16 via 192.0.2.2 && ip route add 10.9.0.0/16 dev uplink table 7").ok();
    host.shell("ip link add br-other type bridge && ip addr add 10.10.0.1/24 dev br-other").ok();
    refused(
        &host,
        &[
            ("network create red --subnet 192.0.2.0/25", CONFLICT, "uplink"),
            ("network create red --subnet 10.8.0.0/16", CONFLICT, "the route 10.8.0.0/16 by uplink"),
            ("network create red --subnet 10.9.7.0/24", CONFLICT, "(table 7)"),
            ("network create red --subnet 10.10.0.0/16", CONFLICT, "br-other"),
            ("network create red --subnet 2001:db8::/64", CONFLICT, "uplink"),
        ],
    );
}

fn subnets_that_are_none_are_refused() {
    let host = Host::new(ZUBI);
    refused(
        &host,
        &[
            ("network create red --subnet 10.1.0.0/31", USAGE, "10.1.0.0/31"),
            ("network create red --subnet 10.1.0.0/32", USAGE, "10.1.0.0/32"),
            ("network create red --subnet fd00::/127", USAGE, "fd00::/127"),
            ("network create red --subnet fd00::/128", USAGE, "fd00::/128"),
            ("network create red --subnet 10.1.0.7/24", USAGE, "10.1.0.0/24"),
            ("network create red --subnet fd00::7/64", USAGE, "fd00::/64"),
            ("network create red --subnet 224.0.0.0/24", USAGE, "multicast"),
            ("network create red --subnet ff02::/64", USAGE, "multicast"),
            ("network create red --subnet 127.1.0.0/24", USAGE, "loopback"),
            ("network create red --subnet 169.254.0.0/16", USAGE, "link-local"),
            ("network create red --subnet fe80::/64", USAGE, "link-local"),
            ("network create red --subnet 0.0.0.0/0", USAGE, "0.0.0.0/0"),
            ("network create red --subnet 10.1.0.0", USAGE, "10.1.0.0"),
            ("network create red --subnet 10.1.0.0/33", USAGE, "10.1.0.0/33"),
            ("network create red --subnet what", USAGE, "what"),
        ],
    );
}

fn gateways_ranges_and_exclusions_outside_are_refused() {
    let host = Host::new(ZUBI);
    let create = "network create red --subnet 10.1.0.0/24";
    let all: Vec<(String, &str)> = [
        ("--gateway 10.2.0.1", "is not inside 10.1.0.0/24"),
        ("--gateway fd00::1", "is not inside 10.1.0.0/24"),
        ("--gateway 10.1.0.0", "is not a host address"),
        ("--gateway 10.1.0.255", "is not a host address"),
        ("--gateway 10.1.0.1 --gateway 10.1.0.2", "second"),
        ("--ip-range 10.2.0.0/25", "is not inside 10.1.0.0/24"),
        ("--ip-range 10.1.0.0/16", "10.1.0.0/"),
        ("--exclude 10.2.0.7", "is not inside 10.1.0.0/24"),
        ("--exclude 10.1.0.7-10.1.0.3", "10.1.0.7-10.1.0.3"),
        ("--exclude 10.1.0.250-10.1.1.3", "10.1.0."),
        ("--mtu 12", "12"),
        ("--label =x", "=x"),
    ]
    .map(|(words, said)| (format!("{create} {words}"), said))
    .to_vec();
    for (command, said) in &all {
        refused(&host, &[(command, USAGE, said)]);
    }
    refused(&host, &[("network create red --gateway 10.1.0.1", USAGE, "--gateway needs --subnet")]);
}

fn fixed_addresses_that_cannot_be_are_refused() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    refused(
        &host,
        &[
            ("connect blue c1 --ip 10.9.0.7", USAGE, "is not inside 10.55.66.0/24"),
            ("connect blue c1 --ip 10.55.66.0", USAGE, "network address"),
            ("connect blue c1 --ip 10.55.66.255", USAGE, "broadcast address"),
            ("connect blue c1 --ip 10.55.66.1", USAGE, "is the gateway"),
            ("connect blue c1 --ip fd00:55::", USAGE, "anycast"),
            ("connect blue c1 --ip 10.55.66.7 --ip 10.55.66.8", USAGE, "second IPv4 address"),
            ("connect blue c1 --ip seven", USAGE, "seven"),
        ],
    );
}

fn what_is_taken_names_its_owner() {
    let host = blue();
    host.zubi("sandbox add web").ok();
    host.zubi("sandbox add c1").ok();
    host.connect("blue web --ip 10.55.66.7 --mac 02:00:00:00:00:07");
    let bridge = host.shell("ip -o link show zb-blue | sed 's/.*ether \\([^ ]*\\).*/\\1/'").ok().out;
    let of_bridge = format!("connect blue c1 --mac {}", bridge.trim());
    refused(
        &host,
        &[
            ("connect blue c1 --ip 10.55.66.7", CONFLICT, "address 10.55.66.7 is taken by web"),
            ("connect blue c1 --mac 02:00:00:00:00:07", CONFLICT, "MAC 02:00:00:00:00:07 is taken by web"),
            (&of_bridge, CONFLICT, "the bridge zb-blue"),
        ],
    );
}

fn macs_that_are_none_are_refused() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    refused(
        &host,
        &[
            ("connect blue c1 --mac 01:00:5e:00:00:01", USAGE, "multicast"),
            ("connect blue c1 --mac ff:ff:ff:ff:ff:ff", USAGE, "ff:ff:ff:ff:ff:ff"),
            ("connect blue c1 --mac 00:00:00:00:00:00", USAGE, "00:00:00:00:00:00"),
            ("connect blue c1 --mac 02:00:00:00:07", USAGE, "02:00:00:00:07"),
            ("connect blue c1 --mac zz", USAGE, "zz"),
        ],
    );
}

fn routes_that_cannot_be_are_refused() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    host.network("four --subnet 10.4.0.0/24");
    refused(
        &host,
        &[
            ("connect blue c1 --route 10.9.0.0/16,10.8.0.1", USAGE, "next hop outside 10.55.66.0/24"),
            ("connect blue c1 --route 10.9.0.0/16,fd00:55::2", USAGE, "10.9.0.0/16,fd00:55::2"),
            ("connect blue c1 --route 10.9.0.7/16,10.55.66.2", USAGE, "10.9.0.7/16"),
            ("connect blue c1 --route nonsense", USAGE, "nonsense"),
            ("connect four c1 --route fd00:9::/48,fd00:55::2", USAGE, "is IPv6, which network four does not have"),
        ],
    );
}

fn paths_that_are_no_network_namespace_are_refused() {
    let host = blue();
    host.shell("touch /run/file && mkfifo /run/fifo && mkdir /run/folder && ln -s /run/nowhere /run/link").ok();
    refused(
        &host,
        &[
            ("connect blue /run/nowhere", NOT_FOUND, "does not exist"),
            ("connect blue /run/link", NOT_FOUND, "does not exist"),
            ("connect blue /run/file", NOT_FOUND, "is a plain file"),
            ("connect blue /run/fifo", NOT_FOUND, "is a FIFO"),
            ("connect blue /run/folder", NOT_FOUND, "is a directory"),
            ("connect blue /run/file/deeper", NOT_FOUND, "/run/file/deeper"),
            ("connect blue /proc/self/ns/mnt", NOT_FOUND, "is a namespace of another kind"),
            ("connect blue /proc/self/ns/net", NOT_FOUND, "is the host's own network namespace"),
            ("connect blue pid:1", NOT_FOUND, "is the host's own network namespace"),
            ("connect blue /dev/null", NOT_FOUND, "not a network namespace"),
            ("connect blue relative/path", USAGE, "relative/path"),
            ("connect blue pid:999999", NOT_FOUND, "process 999999 does not exist"),
            ("connect blue pid:0", USAGE, "pid"),
            ("connect blue pid:x", USAGE, "pid"),
            ("connect blue nobody", NOT_FOUND, "zubi sandbox add nobody makes one"),
            ("sandbox add c1 --from /run/file", NOT_FOUND, "is a plain file"),
            ("sandbox add c1 --from /proc/self/ns/net", NOT_FOUND, "is the host's own network namespace"),
            ("sandbox exec nobody -- true", NOT_FOUND, "nobody"),
            ("run --network container:nobody -- true", NOT_FOUND, "nobody"),
        ],
    );
}

fn what_is_not_there_is_said_so() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    refused(
        &host,
        &[
            ("connect nowhere c1", NOT_FOUND, "network nowhere does not exist; there are: blue"),
            ("network rm nowhere", NOT_FOUND, "network nowhere does not exist"),
            ("network inspect nowhere", NOT_FOUND, "network nowhere does not exist"),
            ("run --network nowhere -- true", NOT_FOUND, "network nowhere does not exist"),
            ("run --network blue --network nowhere -- true", NOT_FOUND, "network nowhere does not exist"),
            ("sandbox rm nobody", NOT_FOUND, "nobody"),
            ("network create blue", CONFLICT, "network blue exists already"),
            ("sandbox add c1", CONFLICT, "sandbox c1 exists already"),
            ("run --name c1 --network none -- true", CONFLICT, "sandbox c1 exists already"),
            ("run --network none --network blue -- true", USAGE, "cannot be combined"),
        ],
    );
}

fn without_capabilities_it_says_which_and_what_to_do() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    let before = Snapshot::take();
    for (words, missing) in [
        ("--bounding-set -all --inh-caps -all", "no CAP_NET_ADMIN and no CAP_SYS_ADMIN"),
        ("--bounding-set -net_admin --inh-caps -all", "no CAP_NET_ADMIN"),
        ("--bounding-set -sys_admin --inh-caps -all", "no CAP_SYS_ADMIN"),
    ] {
        for command in ["connect blue c1", "network create red", "run -- true", "network rm blue"] {
            let answer = host.shell(&format!("setpriv {words} {ZUBI} {command}")).fails(PRIVILEGE, missing);
            assert!(answer.err.contains("zubi lab"), "{}", answer.err);
        }
    }
    before.assert_no_residue(&Snapshot::take());
}

fn help_and_version_need_no_capability() {
    let host = Host::new(ZUBI);
    for words in ["--help", "--version", "completions bash"] {
        host.shell(&format!("setpriv --bounding-set -all --inh-caps -all {ZUBI} {words}")).ok();
    }
}

fn with_read_only_settings_nothing_is_begun() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    mount_settings_read_only(&host);
    let before = Snapshot::take();
    for command in ["connect blue c1", "network create red --subnet 10.1.0.0/24", "run --network blue -- true"] {
        let answer = host.zubi(command);
        assert!(answer.code == 7 || answer.code == PRIVILEGE, "{command}: {} {}", answer.code, answer.err);
        assert!(answer.err.contains("/proc/sys"), "{}", answer.err);
        assert!(answer.err.contains("Read-only") || answer.err.contains("read-only"), "{}", answer.err);
        host.settle();
        before.assert_no_residue(&Snapshot::take());
    }
}

/// As container engines mount it. Only in the test's own mount namespace.
fn mount_settings_read_only(host: &Host) {
    host.shell("mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys").ok();
}

/// A folder on a full file system.
fn full_disk(host: &Host, folder: &str) {
    host.shell(&format!(
        "mkdir -p /run/copy && cp -a {folder}/. /run/copy/ 2>/dev/null; mkdir -p {folder} && \
         mount -t tmpfs -o size=64k none {folder} && cp -a /run/copy/. {folder}/ && \
         (cat /dev/zero > {folder}/.filler; true) 2>/dev/null"
    ))
    .ok();
    let more = host.shell(&format!("echo more > {folder}/.more"));
    assert!(more.code != 0, "the disk is not full");
    host.shell(&format!("rm -f {folder}/.more")).ok();
}

fn a_full_state_folder_leaves_nothing_half_made() {
    let host = blue();
    full_disk(&host, "/run/zubi-state");
    let before = Snapshot::take();
    host.zubi("network create red --subnet 10.1.0.0/24").fails(STATE, "No space left on device");
    before.assert_no_residue(&Snapshot::take());
    host.shell("rm /run/zubi-state/.filler").ok();
    host.network("red --subnet 10.1.0.0/24");
    host.zubi("check").ok();
}

fn a_full_run_folder_leaves_nothing_half_made() {
    let host = blue();
    let c0 = host.container("c0", "blue");
    host.zubi("sandbox add c1").ok();
    full_disk(&host, "/run/zubi");
    let before = Snapshot::take();
    for command in ["connect blue c1", "sandbox add c2", "run --network blue -- true"] {
        host.zubi(command).fails(STATE, "No space left on device");
        // The forgotten connections of its address are slow work.
        host.settle();
        before.assert_no_residue(&Snapshot::take());
    }
    assert_reaches("host", "c0", &c0);
    host.shell("rm /run/zubi/.filler").ok();
    host.zubi("connect blue c1").ok();
    host.zubi("check").ok();
}

fn what_is_connected_can_be_disconnected_on_a_full_run_folder() {
    let host = blue();
    host.container("c1", "blue");
    full_disk(&host, "/run/zubi");
    host.zubi("disconnect blue c1").ok();
    host.shell("rm /run/zubi/.filler").ok();
    host.zubi("gc").ok();
    host.zubi("check").ok();
}

/// An unreadable state file: the error names it, and zubi never deletes it.
fn unreadable(damage: &str, said: &str) {
    let host = blue();
    let c1 = host.container("c1", "blue");
    host.network("green --subnet 10.77.88.0/24");
    host.zubi("sandbox add c2").ok();
    let file = "/run/zubi-state/networks/blue.json";
    host.shell(&damage.replace("FILE", file)).ok();
    let content = std::fs::read(file).expect("file");
    let before = Snapshot::take();
    for command in ["network inspect blue", "connect blue c2", "network rm blue", "network create red", "network ls"] {
        let answer = host.zubi(command).fails(STATE, said);
        assert!(answer.err.contains(file), "{command} does not name the file: {}", answer.err);
        before.assert_no_residue(&Snapshot::take());
    }
    let found = host.zubi("check").fails(1, "");
    assert!(found.out.contains(file), "{}", found.out);
    for command in ["gc", "repair"] {
        has_nothing_to_do(&host, command, file);
    }
    assert_eq!(std::fs::read(file).expect("file"), content);
    // Existing endpoints keep working, and other networks can be used.
    assert_reaches("host", "c1", &c1);
    host.connect("green c2");
    assert_reaches("host", "c2", "10.77.88.2");
}

/// `gc` and `repair` may skip an unreadable file, or stop there and name it.
#[track_caller]
fn has_nothing_to_do(host: &Host, command: &str, file: &str) {
    let answer = host.zubi(command);
    let done = answer.code == 0 && answer.out.starts_with("nothing to");
    assert!(done || (answer.code == STATE && answer.err.contains(file)), "{command}: {answer:?}");
}

fn a_corrupt_network_file_is_named_and_kept() {
    unreadable("echo '{ this is no JSON' > FILE", "nothing was changed");
}

fn a_truncated_network_file_is_named_and_kept() {
    unreadable("truncate -s 40 FILE", "nothing was changed");
}

fn an_empty_network_file_is_named_and_kept() {
    unreadable("truncate -s 0 FILE", "nothing was changed");
}

fn a_network_file_of_a_newer_version_is_named_and_kept() {
    unreadable("sed -i 's/\"version\": *[0-9]*/\"version\": 99/' FILE && grep -q 99 FILE", "newer zubi");
}

fn a_corrupt_record_is_named_and_kept() {
    let host = blue();
    let c1 = host.container("c1", "blue");
    host.zubi("sandbox add c2").ok();
    host.shell("echo nonsense > $(ls /run/zubi/endpoints/*/blue.json)").ok();
    let file = host.shell("ls /run/zubi/endpoints/*/blue.json").ok().out.trim().to_owned();
    for command in ["connect blue c1", "disconnect blue c1"] {
        host.zubi(command).fails(STATE, &file);
    }
    assert!(host.zubi("check").fails(1, "").out.contains(&file));
    for command in ["gc", "repair"] {
        has_nothing_to_do(&host, command, &file);
    }
    assert_eq!(std::fs::read_to_string(&file).expect("file"), "nonsense\n");
    // Its address is not assigned again, and it keeps working.
    assert_ne!(host.connect("blue c2"), c1);
    assert_reaches("host", "c1", &c1);
}

fn a_foreign_device_named_like_the_bridge_is_untouched() {
    let host = Host::new(ZUBI);
    host.shell("ip link add zb-blue type veth peer name other && ip addr add 10.1.0.1/24 dev zb-blue").ok();
    refused(
        &host,
        &[(
            "network create blue --subnet 10.55.66.0/24",
            CONFLICT,
            "a veth that zubi did not make; choose another name with --bridge",
        )],
    );
}

fn a_foreign_bridge_is_refused_and_untouched() {
    let host = Host::new(ZUBI);
    host.shell("ip link add br-theirs type bridge && ip link set br-theirs up").ok();
    refused(&host, &[("network create blue --subnet 10.55.66.0/24 --bridge br-theirs", CONFLICT, "br-theirs")]);
    refused(&host, &[("network create blue --subnet 10.55.66.0/24 --bridge lo", CONFLICT, "lo")]);
}

fn a_foreign_bridge_in_the_place_of_ours_is_untouched() {
    let host = blue();
    host.zubi("sandbox add c1").ok();
    host.shell("ip link del zb-blue && ip link add zb-blue type bridge").ok();
    refused(&host, &[("connect blue c1", CONFLICT, "zubi did not make")]);
    host.zubi("check").fails(1, "");
    host.zubi("repair").fails(CONFLICT, "zb-blue");
    host.shell("ip link show zb-blue").ok();
}

fn the_bridge_of_another_network_is_refused() {
    let host = blue();
    refused(
        &host,
        &[("network create red --subnet 10.1.0.0/24 --bridge zb-blue", USAGE, "is the bridge of network blue")],
    );
}

fn a_settings_file_with_a_typo_is_named() {
    std::fs::write("/run/config.json", r#"{"default-adress-pools":[]}"#).expect("settings");
    let host = Host::new(ZUBI).with_env("ZUBI_CONFIG", "/run/config.json");
    refused(&host, &[("network create blue", USAGE, "settings file /run/config.json: unknown field")]);
    let host = Host::new(ZUBI).with_env("ZUBI_CONFIG", "/run/missing.json");
    refused(&host, &[("network create blue", USAGE, "settings file /run/missing.json")]);
}

fn another_host_namespace_is_refused() {
    let host = blue();
    host.container("c1", "blue");
    let before = Snapshot::take();
    let answer = host.shell(&format!("unshare --net {ZUBI} gc"));
    assert_eq!(answer.code, STATE, "{}", answer.err);
    assert!(answer.err.contains("belongs to another host namespace"), "{}", answer.err);
    before.assert_no_residue(&Snapshot::take());
}

zubi_lab::tests!(
    strange_names_of_networks_are_refused,
    strange_names_of_sandboxes_are_refused,
    strange_names_of_devices_are_refused,
    device_names_of_sixteen_bytes_are_refused,
    the_loopback_s_name_is_refused_as_device,
    subnets_that_overlap_themselves_are_refused,
    subnets_that_overlap_other_networks_are_refused,
    subnets_that_overlap_the_host_s_routes_are_refused,
    subnets_that_are_none_are_refused,
    gateways_ranges_and_exclusions_outside_are_refused,
    fixed_addresses_that_cannot_be_are_refused,
    what_is_taken_names_its_owner,
    macs_that_are_none_are_refused,
    routes_that_cannot_be_are_refused,
    paths_that_are_no_network_namespace_are_refused,
    what_is_not_there_is_said_so,
    without_capabilities_it_says_which_and_what_to_do,
    help_and_version_need_no_capability,
    with_read_only_settings_nothing_is_begun,
    a_full_state_folder_leaves_nothing_half_made,
    a_full_run_folder_leaves_nothing_half_made,
    what_is_connected_can_be_disconnected_on_a_full_run_folder,
    a_corrupt_network_file_is_named_and_kept,
    a_truncated_network_file_is_named_and_kept,
    an_empty_network_file_is_named_and_kept,
    a_network_file_of_a_newer_version_is_named_and_kept,
    a_corrupt_record_is_named_and_kept,
    a_foreign_device_named_like_the_bridge_is_untouched,
    a_foreign_bridge_is_refused_and_untouched,
    a_foreign_bridge_in_the_place_of_ours_is_untouched,
    the_bridge_of_another_network_is_refused,
    a_settings_file_with_a_typo_is_named,
    another_host_namespace_is_refused,
);
