//! A daemon starts, ends, is killed, reads its settings again, and answers.

use std::fs;
use std::os::unix::net::UnixStream;
use zubi_kernel::sys;
use zubi_lab::{Host, ZubiDaemon};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");
/// The exit code for a folder that cannot be written.
const READ_ONLY: i32 = 8;

fn a_run_folder_has_one_daemon_and_a_killed_one_is_in_nobodys_way() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    let first = ZubiDaemon::start(&host, DAEMON);
    // `zubi daemon` is the same program.
    host.zubi("daemon").fails(4, "a daemon has the run folder /run/zubi already; zubi status tells about it");
    assert_eq!(host.zubi("--json status").ok().json()["pid"], first.pid());
    host.shell(&format!("kill -9 {}", first.pid())).ok();
    assert_eq!(first.ended(), None);
    host.zubi("status").fails(3, "zubi daemon runs one");
    let second = ZubiDaemon::start(&host, DAEMON);
    assert_eq!(host.zubi("--json status").ok().json()["pid"], second.pid());
    assert_eq!(second.end(&host), Some(0));
    assert!(!fs::exists("/run/zubi/daemon.sock").expect("the run folder"));
    host.zubi("check").ok();
}

fn commands_need_no_daemon_and_say_how_to_run_one() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    for question in ["status", "events"] {
        host.zubi(question).fails(3, "/run/zubi/daemon.sock does not exist; zubi daemon runs one");
    }
}

fn settings_are_read_again_on_a_hangup_and_wrong_ones_leave_those_from_before() {
    let host = Host::new(ZUBI).with_env("ZUBI_CONFIG", "/run/config.json");
    fs::write("/run/config.json", "{}").expect("settings");
    let daemon = ZubiDaemon::start(&host, DAEMON);
    let hang_up = || host.shell(&format!("kill -HUP {}", daemon.pid())).ok();
    fs::write("/run/config.json", "{\"mtu\": 1400,\n  \"icc\": maybe}").expect("settings");
    hang_up();
    ZubiDaemon::says(
        "the settings from before stay: settings file /run/config.json: expected value at line 2 column 10",
    );
    fs::write("/run/config.json", "{\"mtu\": 1400}").expect("settings");
    hang_up();
    ZubiDaemon::says("the settings are read again");
    host.zubi("status").ok();
}

fn wrong_settings_are_told_with_their_place_before_the_daemon_starts() {
    let host = Host::new(ZUBI).with_env("ZUBI_CONFIG", "/run/config.json");
    fs::write("/run/config.json", "{\n  \"nmae\": 1}").expect("settings");
    assert_eq!(ZubiDaemon::spawn(&host, DAEMON).ended(), Some(2));
    ZubiDaemon::says("settings file /run/config.json: unknown field `nmae`");
    ZubiDaemon::says("at line 2 column 8");
}

fn it_keeps_the_capabilities_that_it_needs_and_no_others() {
    let host = Host::new(ZUBI);
    let daemon = ZubiDaemon::start(&host, DAEMON);
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("its status");
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        u64::from_str_radix(line.trim_start_matches(':').trim(), 16).expect("a number")
    };
    // CHOWN, DAC_OVERRIDE, FOWNER, NET_BIND_SERVICE, NET_BROADCAST, NET_ADMIN, NET_RAW, SYS_PTRACE, SYS_ADMIN.
    let needed = [0, 1, 3, 10, 11, 12, 13, 19, 21].iter().fold(0, |all, bit| all | 1 << bit);
    for set in ["CapPrm", "CapEff"] {
        assert_eq!(of(set), needed, "{set}");
    }
    assert_eq!((of("CapInh"), of("CapAmb")), (0, 0));
}

/// Connects ten thousand times to each socket, or as often as this process may.
fn crowd() -> Vec<UnixStream> {
    sys::raise_descriptor_limit().expect("more descriptors");
    // The test needs some itself.
    let most = sys::descriptor_limit().expect("a limit").saturating_sub(200) / 2;
    let connect = |path| (0..most.min(10_000)).map_while(move |_| UnixStream::connect(path).ok());
    ["/run/zubi/daemon.sock", "/run/docker/plugins/zubi.sock"].into_iter().flat_map(connect).collect()
}

fn descriptors_of(daemon: &ZubiDaemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("its descriptors").count()
}

fn clients_that_say_nothing_keep_nobody_from_an_answer() {
    let host = Host::new(ZUBI);
    let daemon = ZubiDaemon::start(&host, DAEMON);
    host.wait_for("test -S /run/docker/plugins/zubi.sock");
    let idle = crowd();
    assert!(idle.len() > 900, "{}", idle.len());
    host.zubi("status").ok();
    assert!(descriptors_of(&daemon) < 700, "{}", descriptors_of(&daemon));
    drop(idle);
    assert_eq!(daemon.end(&host), Some(0));
}

fn with_few_descriptors_clients_leave_some_for_the_work() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    fs::write("/run/limited", format!("#!/bin/sh\nulimit -n 128\nexec {DAEMON} \"$@\"\n")).expect("a script");
    host.shell("chmod +x /run/limited").ok();
    let daemon = ZubiDaemon::start(&host, "/run/limited");
    host.wait_for("test -S /run/docker/plugins/zubi.sock");
    let idle = crowd();
    host.shell("nft flush ruleset").ok();
    host.wait_for(&format!("{ZUBI} check"));
    host.wait_for(&format!("{ZUBI} status"));
    assert!(!ZubiDaemon::log().contains("Too many open files"), "{}", ZubiDaemon::log());
    drop(idle);
    assert_eq!(daemon.end(&host), Some(0));
}

fn a_run_folder_that_cannot_be_written_is_named() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.shell("mount --bind /run/zubi /run/zubi && mount -o remount,bind,ro /run/zubi").ok();
    assert_eq!(ZubiDaemon::spawn(&host, DAEMON).ended(), Some(READ_ONLY));
    ZubiDaemon::says("/run/zubi");
    ZubiDaemon::says("Read-only file system");
    host.shell("umount /run/zubi").ok();
    let mut daemon = ZubiDaemon::start(&host, DAEMON);
    // A daemon that runs goes on, says what is wrong, and goes to work again.
    host.shell("mount --bind /run/zubi /run/zubi && mount -o remount,bind,ro /run/zubi").ok();
    host.shell("nft flush ruleset").ok();
    host.wait_for(&format!("{ZUBI} status | grep -q 'Read-only file system'"));
    host.shell("umount /run/zubi").ok();
    host.wait_for(&format!("{ZUBI} check"));
    assert!(daemon.lives());
}

fn a_question_that_is_none_is_answered_with_the_reason() {
    let host = Host::new(ZUBI);
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    let ask = |line: &str| {
        let program = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect('/run/zubi/daemon.sock')\n\
                       s.sendall(sys.argv[1].encode()+b'\\n')\nprint(s.recv(4096).decode())";
        fs::write("/run/ask.py", program).expect("a program");
        host.shell(&format!("python3 /run/ask.py '{line}'")).ok().out
    };
    assert!(ask("\"reboot\"").contains("unknown variant `reboot`"));
    assert!(ask("{").contains("error"));
    assert!(ask(&"x".repeat(5000)).contains("error"));
    host.zubi("status").ok();
}

zubi_lab::tests!(
    a_run_folder_has_one_daemon_and_a_killed_one_is_in_nobodys_way,
    commands_need_no_daemon_and_say_how_to_run_one,
    settings_are_read_again_on_a_hangup_and_wrong_ones_leave_those_from_before,
    wrong_settings_are_told_with_their_place_before_the_daemon_starts,
    it_keeps_the_capabilities_that_it_needs_and_no_others,
    clients_that_say_nothing_keep_nobody_from_an_answer,
    with_few_descriptors_clients_leave_some_for_the_work,
    a_run_folder_that_cannot_be_written_is_named,
    a_question_that_is_none_is_answered_with_the_reason
);
