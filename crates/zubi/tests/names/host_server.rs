//! (no tests) name servers of the host, and whom it asks.

use std::process::{Child, Command, Stdio};
use zubi_lab::{Host, own_etc};

/// A dnsmasq of the host, as many hosts have one.
pub struct Server(Child);

impl Server {
    /// At an address of the loopback, with these options.
    pub fn start(host: &Host, address: &str, options: &str) -> Server {
        let line = format!(
            "exec dnsmasq -d -C /dev/null --no-hosts --no-resolv --listen-address={address} --bind-interfaces \
             --user=root --pid-file= --log-queries {options} >>/run/{address}.log 2>&1"
        );
        let server = Command::new("/bin/sh").args(["-c", &line]).stdin(Stdio::null()).spawn().expect("dnsmasq");
        host.wait_for(&format!("ss -lnu | grep -q {address}:53"));
        Server(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The host has this resolv.conf from now on.
pub fn resolv_conf(host: &Host, text: &str) {
    own_etc(host);
    std::fs::write("/run/resolv.conf.new", text).expect("a file");
    host.shell(
        "test -e /run/resolv.conf && cat /run/resolv.conf.new >/run/resolv.conf || \
                { mv /run/resolv.conf.new /run/resolv.conf && mount --bind /run/resolv.conf /etc/resolv.conf; }",
    )
    .ok();
}
