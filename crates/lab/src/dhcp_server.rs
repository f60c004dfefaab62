//! Real DHCP servers: dnsmasq, whose leases last 2 minutes at least, and busybox's udhcpd, whose leases may last seconds.

use crate::lan::ROUTER;
use crate::runner::skip;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A DHCP server that ends with the value.
#[derive(Debug)]
pub struct DhcpServer {
    process: Child,
    log: String,
}

impl DhcpServer {
    /// A dnsmasq in a namespace, that probes no addresses. Its leases are in `/run/NAMESPACE.leases`: a host of a test
    /// shares all other folders with the machine.
    pub fn dnsmasq(namespace: &str, options: &str) -> DhcpServer {
        let line = format!(
            "exec ip netns exec {namespace} dnsmasq -d -C /dev/null --port=0 --interface=eth0 --bind-interfaces \
             --user=root --no-ping --log-dhcp --dhcp-authoritative --dhcp-leasefile=/run/{namespace}.leases {options}"
        );
        DhcpServer::start(&line, namespace, "DHCP, sockets bound")
    }

    /// A udhcpd on the router, with leases of so many seconds.
    pub fn udhcpd(seconds: u32) -> DhcpServer {
        let settings = format!(
            "start 192.168.1.100\nend 192.168.1.199\ninterface eth0\nlease_file /run/udhcpd.leases\nmin_lease 1\n\
             pidfile /run/udhcpd.pid\noption lease {seconds}\noption subnet 255.255.255.0\noption router {ROUTER}\n"
        );
        fs::write("/run/udhcpd.conf", settings).expect("settings");
        let line = "touch /run/udhcpd.leases; exec ip netns exec router busybox udhcpd -f -a 1 /run/udhcpd.conf";
        DhcpServer::start(line, "udhcpd", "started")
    }

    /// Whether there is a dnsmasq. If not, the test is recorded as skipped and should return.
    pub fn has_dnsmasq(test: &str) -> bool {
        has("command -v dnsmasq", test, "needs dnsmasq-base")
    }

    /// Whether there is a udhcpd, likewise.
    pub fn has_udhcpd(test: &str) -> bool {
        has("busybox --list | grep -qx udhcpd", test, "needs a busybox with udhcpd")
    }

    fn start(line: &str, name: &str, ready: &str) -> DhcpServer {
        let log = format!("/run/{name}.log");
        let file = fs::File::create(&log).expect("a log");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", line]).stdin(Stdio::null()).stderr(file.try_clone().expect("a log")).stdout(file);
        let server = DhcpServer { process: command.spawn().expect("a shell"), log };
        let since = Instant::now();
        while !server.log().contains(ready) {
            assert!(since.elapsed() < Duration::from_secs(10), "{}", server.log());
            sleep(Duration::from_millis(10));
        }
        server
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for DhcpServer {
    fn drop(&mut self) {
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

fn has(line: &str, test: &str, lack: &str) -> bool {
    let mut shell = Command::new("/bin/sh");
    let found =
        shell.args(["-c", line]).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    if !found {
        skip(test, lack);
    }
    found
}
