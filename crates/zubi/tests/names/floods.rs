//! Askers that ask too much, too slowly or nonsense: the others are served meanwhile.

use crate::daemon::{DAEMON, ZUBI, dig, has_dig, start, start_as};
use std::process::{Child, Command, Stdio};
use zubi_lab::{Host, ZubiDaemon, own_etc};

/// A program of Python's that ends with the value.
struct Attack(Child);

impl Attack {
    /// Runs it in a sandbox until it says that it has begun.
    fn start(sandbox: &str, program: &str) -> Attack {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", sandbox, "python3", "-c", program]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let mut first = [0];
        std::io::Read::read_exact(child.stdout.as_mut().expect("its output"), &mut first).expect("the attack begins");
        Attack(child)
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn house() -> (Host, String, ZubiDaemon) {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    let web = host.container("web", "blue");
    host.container("evil", "blue");
    let daemon = start(&host);
    (host, web, daemon)
}

fn serves(host: &Host, web: &str) {
    for transport in ["+notcp", "+tcp"] {
        assert_eq!(dig(host, "web", &format!("web {transport} @10.55.66.1")), web, "{transport}");
    }
}

fn ten_thousand_idle_connections_keep_nobody_out() {
    if !has_dig("ten_thousand_idle_connections_keep_nobody_out") {
        return;
    }
    let (host, web, daemon) = house();
    let _attack = Attack::start(
        "evil",
        "import socket, time\n\
         all = []\n\
         for n in range(10000):\n\
         \x20   s = socket.socket()\n\
         \x20   s.settimeout(5)\n\
         \x20   try: s.connect(('10.55.66.1', 53)); all.append(s)\n\
         \x20   except OSError: pass\n\
         \x20   if len(all) > 900: all.pop(0).close()\n\
         print('x', flush=True); time.sleep(100)",
    );
    serves(&host, &web);
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("its descriptors").count();
    assert!(open < 400, "{open}");
}

fn a_daemon_without_descriptors_answers_on() {
    if !has_dig("a_daemon_without_descriptors_answers_on") {
        return;
    }
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    let web = host.container("web", "blue");
    host.container("evil", "blue");
    let script = format!("#!/bin/sh\nulimit -n 40; exec {DAEMON}\n");
    host.shell(&format!("printf '{script}' >/run/limited; chmod +x /run/limited")).ok();
    let _daemon = start_as(&host, "/run/limited");
    let attack = Attack::start(
        "evil",
        "import socket, time\n\
         all = []\n\
         for n in range(200):\n\
         \x20   s = socket.socket(); s.settimeout(1)\n\
         \x20   try: s.connect(('10.55.66.1', 53)); all.append(s)\n\
         \x20   except OSError: break\n\
         print('x', flush=True); time.sleep(100)",
    );
    assert_eq!(dig(&host, "web", "web @10.55.66.1"), web);
    let later = host.container("later", "blue");
    assert_eq!(dig(&host, "web", "later @10.55.66.1"), later);
    drop(attack);
    crate::daemon::until(|| dig(&host, "web", "web +tcp @10.55.66.1") == web);
}

fn slow_and_broken_connections_and_nonsense_keep_nobody_out() {
    if !has_dig("slow_and_broken_connections_and_nonsense_keep_nobody_out") {
        return;
    }
    let (host, web, _daemon) = house();
    let _attack = Attack::start(
        "evil",
        "import os, socket, struct, time\n\
         u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         n = 0\n\
         while True:\n\
         \x20   for size in (0, 1, 11, 12, 13, 100, 4097, 60000): u.sendto(os.urandom(size), ('10.55.66.1', 53))\n\
         \x20   u.sendto(b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\xc0\\x0c\\0\\1\\0\\1', ('10.55.66.1', 53))\n\
         \x20   t = socket.socket(); t.settimeout(1)\n\
         \x20   try:\n\
         \x20       t.connect(('10.55.66.1', 53))\n\
         \x20       t.send((b'', b'\\0', b'\\0\\0', b'\\xff\\xff', b'\\0\\x20abc', b'\\0\\x0c' + b'\\0' * 12)[n % 6])\n\
         \x20       if n % 2: t.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))\n\
         \x20       if n % 3: t.close()\n\
         \x20   except OSError: pass\n\
         \x20   n += 1\n\
         \x20   if n == 50: print('x', flush=True)",
    );
    for _ in 0..5 {
        serves(&host, &web);
    }
}

fn questions_that_nobody_answers_leave_room_for_others() {
    if !has_dig("questions_that_nobody_answers_leave_room_for_others") {
        return;
    }
    let host = Host::new(ZUBI);
    own_etc(&host);
    host.shell(
        "ip link set lo up; echo nameserver 127.0.0.99 >/run/resolv.conf; \
         mount --bind /run/resolv.conf /etc/resolv.conf; nft add table ip t; \
         nft add chain ip t i '{ type filter hook input priority 0; }'; nft add rule ip t i ip daddr 127.0.0.99 drop",
    )
    .ok();
    host.network("blue --subnet 10.55.66.0/24");
    let web = host.container("web", "blue");
    host.container("evil", "blue");
    let daemon = start(&host);
    let _attack = Attack::start(
        "evil",
        "import socket, time\n\
         u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         n = 0\n\
         while True:\n\
         \x20   name = b'n%d' % n\n\
         \x20   q = b'\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + bytes([len(name)]) + name + b'\\7example\\3org\\0\\0\\1\\0\\1'\n\
         \x20   u.sendto(q, ('10.55.66.1', 53)); n += 1\n\
         \x20   if n == 5000: print('x', flush=True)\n\
         \x20   if n > 5000: time.sleep(0.001)",
    );
    serves(&host, &web);
    assert_eq!(dig(&host, "web", "www.example.com @10.55.66.1"), "SERVFAIL");
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("its descriptors").count();
    assert!(open < 400, "{open}");
}

zubi_lab::tests!(
    ten_thousand_idle_connections_keep_nobody_out,
    a_daemon_without_descriptors_answers_on,
    slow_and_broken_connections_and_nonsense_keep_nobody_out,
    questions_that_nobody_answers_leave_room_for_others,
);
