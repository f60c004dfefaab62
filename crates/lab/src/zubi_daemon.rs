//! zubi's daemon of a test.

use crate::host::Host;
use crate::patience::patience;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const LOG: &str = "/run/zubi-daemon.log";
/// How long it may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A daemon of the host's zubi. It is killed with the value.
#[derive(Debug)]
pub struct ZubiDaemon(Child);

impl ZubiDaemon {
    /// Starts it, and waits until it answers.
    #[track_caller]
    pub fn start(host: &Host, program: &str) -> ZubiDaemon {
        let mut daemon = ZubiDaemon::spawn(host, program);
        let since = Instant::now();
        while host.zubi("status").code != 0 {
            let ended = daemon.0.try_wait().expect("the state of the daemon");
            assert!(ended.is_none() && since.elapsed() < patience(PATIENCE), "{}", ZubiDaemon::log());
            sleep(Duration::from_millis(10));
        }
        daemon
    }

    /// Starts it. Its log goes on where that of an earlier one ended.
    #[track_caller]
    pub fn spawn(host: &Host, program: &str) -> ZubiDaemon {
        own_etc(host);
        let log = fs::OpenOptions::new().create(true).append(true).open(LOG).expect("a log");
        let mut command = Command::new(program);
        command.envs(host.variables()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        ZubiDaemon(command.spawn().expect("zubi-daemon"))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has not ended.
    #[track_caller]
    pub fn lives(&mut self) -> bool {
        self.0.try_wait().expect("the state of the daemon").is_none()
    }

    /// What it and the earlier ones have said.
    pub fn log() -> String {
        fs::read_to_string(LOG).unwrap_or_default()
    }

    /// Waits until its log has these words.
    #[track_caller]
    pub fn says(words: &str) {
        let since = Instant::now();
        while !ZubiDaemon::log().contains(words) {
            assert!(since.elapsed() < patience(PATIENCE), "{words:?} is not in {}", ZubiDaemon::log());
            sleep(Duration::from_millis(10));
        }
    }

    /// Ends it by SIGTERM; returns its exit code.
    #[track_caller]
    pub fn end(mut self, host: &Host) -> Option<i32> {
        host.shell(&format!("kill {}", self.0.id())).ok();
        self.0.wait().expect("its end").code()
    }

    /// Stops it at a time when it holds no lock. Its sockets and files stay.
    #[track_caller]
    pub fn pause(&self, host: &Host) {
        let since = Instant::now();
        let pid = self.0.id();
        let locks = "for lock in $(find /run/zubi/lock -type f ! -name daemon); do flock -n $lock true || exit 1; done";
        while host.shell(&format!("kill -STOP {pid}; {locks}")).code != 0 {
            host.shell(&format!("kill -CONT {pid}")).ok();
            assert!(since.elapsed() < patience(PATIENCE), "it holds a lock all the time");
            sleep(Duration::from_millis(10));
        }
    }

    /// Its exit code, when it ends by itself.
    #[track_caller]
    pub fn ended(mut self) -> Option<i32> {
        self.0.wait().expect("its end").code()
    }
}

/// Gives the host an /etc of its own. It shares that of the machine otherwise, and with a daemon zubi writes below
/// /etc/netns. Without overlays it is a copy of what can be read.
#[track_caller]
pub fn own_etc(host: &Host) {
    host.shell(
        "mountpoint -q /etc && exit; mkdir -p /run/etc.new /run/etc.work; \
         mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc.new,workdir=/run/etc.work /etc 2>/dev/null || \
         { cp -a /etc/. /run/etc.new 2>/dev/null; mount --bind /run/etc.new /etc; }",
    )
    .ok();
}

impl Drop for ZubiDaemon {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
