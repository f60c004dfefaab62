//! A real systemd-networkd, without systemd and without udev, on the host of a test.

use crate::host::Host;
use crate::runner::skip;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = "/lib/systemd/systemd-networkd";

/// A running networkd. It ends with this value.
#[derive(Debug)]
pub struct Networkd(Child);

impl Networkd {
    /// Prepares the host for it: from then on its files are the test's. Without an installed networkd, or the right to
    /// become its user, the test is skipped.
    pub fn prepare(host: &Host, test: &str) -> bool {
        // It takes a /sys that can be written to for a sign of udev, and would wait for that.
        let prepared = host.shell(&format!(
            "set -e; test -x {PROGRAM}; grep -q systemd-network /etc/passwd
             test $(awk '{{n += $3}} END {{print n}}' /proc/self/uid_map) -gt 1000
             mkdir -p /run/systemd/network /etc/systemd/network; mount -t tmpfs none /etc/systemd/network
             mount -t sysfs -o ro none /sys; touch /run/systemd/container"
        ));
        if prepared.code != 0 {
            skip(test, "needs systemd-networkd, and the right to become another user");
        }
        prepared.code == 0
    }

    /// Starts it.
    pub fn start() -> Networkd {
        let mut command = Command::new(PROGRAM);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Networkd(command.spawn().expect("networkd"))
    }
}

impl Drop for Networkd {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
