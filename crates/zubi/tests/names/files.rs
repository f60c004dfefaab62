//! What programs in sandboxes see in the place of the host's `resolv.conf` and `hosts`.

use crate::daemon::{ZUBI, start, until};
use std::fs::read_to_string;
use std::path::Path;
use zubi_lab::Host;

/// What `resolv.conf` of a named sandbox says, without the mark.
fn servers(sandbox: &str) -> String {
    without_marks(&read_to_string(format!("/etc/netns/{sandbox}/resolv.conf")).unwrap_or_default())
}

fn without_marks(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("; ")
}

const BLUE: &str = "nameserver 10.55.66.1; search zubi.internal";

fn files_that_are_lost_or_changed_are_reported_and_come_back() {
    let host = Host::new(ZUBI);
    let daemon = start(&host);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("web", "blue");
    // Without a daemon, so that nobody is faster than `check`.
    drop(daemon);
    host.zubi("check").ok();
    let harms = [
        ("rm /etc/netns/web/resolv.conf", "/etc/netns/web/resolv.conf"),
        ("rm -r /etc/netns/web", "/etc/netns/web/hosts"),
        ("sed -i 's/10.55.66.1/10.9.9.9/' /etc/netns/web/resolv.conf", "nameserver 10.55.66.1"),
        ("sed -i 's/namespace [0-9]*/namespace 7/' /etc/netns/web/hosts", "/etc/netns/web/hosts"),
    ];
    for (harm, told) in harms {
        host.shell(harm).ok();
        let problems = host.zubi("check").fails(1, "").out;
        assert!(problems.contains(told), "{harm}: {problems}");
        host.zubi("repair").ok();
        host.zubi("check").ok();
        assert_eq!(servers("web"), BLUE, "{harm}");
    }
    // What the user wrote is the user's.
    host.shell("echo nameserver 9.9.9.9 >/etc/netns/web/resolv.conf").ok();
    host.zubi("check").ok();
    host.zubi("repair").ok();
    assert_eq!(servers("web"), "nameserver 9.9.9.9");
}

fn files_follow_the_names_of_the_network() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.network("green --subnet 10.55.67.0/24");
    host.container("early", "blue");
    let _daemon = start(&host);
    host.container("web", "blue");
    host.connect("green web");
    host.network("red --subnet 10.55.68.0/24");
    host.connect("red early");
    // On blue it was before somebody answered there.
    assert_eq!(servers("early"), "nameserver 10.55.68.1; search zubi.internal");
    assert_eq!(servers("web"), BLUE);
    host.zubi("network set blue --disable-dns").ok();
    assert_eq!(servers("web"), "nameserver 10.55.67.1; search zubi.internal");
    host.zubi("network set green --disable-dns").ok();
    assert!(!Path::new("/etc/netns/web").exists());
    host.zubi("check").ok();
    let shown = host.zubi("network set blue --enable-dns --explain").ok().out;
    assert!(shown.contains(">/etc/netns/web/resolv.conf"), "{shown}");
    host.zubi("network set blue --enable-dns").ok();
    assert_eq!(servers("web"), BLUE);
    host.zubi("check").ok();
}

fn a_command_of_run_sees_who_answers_and_the_host_does_not() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    let own = read_to_string("/etc/resolv.conf").unwrap_or_default();
    let seen = |words: &str| {
        let all = host.zubi(&format!("run --network blue {words} cat /etc/resolv.conf /etc/hosts")).ok().out;
        without_marks(&all)
    };
    assert!(!seen("--name c1 --").contains("10.55.66.1"), "nobody answers without a daemon");
    let _daemon = start(&host);
    let web = host.container("web", "blue");
    let all = seen("--name c1 --");
    assert!(all.starts_with(BLUE) && all.contains(" c1"), "{all}");
    let heard = host.zubi("run --network blue -- getent ahostsv4 web").ok().out;
    assert!(heard.starts_with(&web), "{heard}");
    // While the command runs the host keeps its own files, and afterwards nothing is left.
    let mut command = host.command("run --network blue --name c2 -- sleep 1000").spawn().expect("zubi");
    until(|| host.shell("ip netns pids c2 | grep .").code == 0);
    assert_eq!(read_to_string("/etc/resolv.conf").unwrap_or_default(), own);
    host.shell("! grep -w netns /proc/self/mounts | grep /etc/").ok();
    host.shell("kill $(ip netns pids c2)").ok();
    command.wait().expect("its end");
    assert!(!Path::new("/etc/netns/c2").exists() && !Path::new("/etc/netns/c1").exists());
    // A file of the user's is what the command sees.
    host.shell("mkdir -p /etc/netns/c3 && echo nameserver 9.9.9.9 >/etc/netns/c3/resolv.conf").ok();
    assert!(seen("--name c3 --").starts_with("nameserver 9.9.9.9"));
    assert_eq!(servers("c3"), "nameserver 9.9.9.9");
}

zubi_lab::tests!(
    files_that_are_lost_or_changed_are_reported_and_come_back,
    files_follow_the_names_of_the_network,
    a_command_of_run_sees_who_answers_and_the_host_does_not,
);
