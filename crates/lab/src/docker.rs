//! Docker on a host of its own ([`HostKind::Root`](crate::HostKind::Root)), at its default paths: /run is the host's
//! own. Unless started with its firewall, it has no network but `none` and writes no rules.

use crate::cgroups;
use crate::host::{Answer, answer};
use crate::log;
use crate::patience::patience;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use zubi_kernel::sys;

/// The image of [`Docker::import_busybox`].
const IMAGE: &str = "busybox";
const LOG: &str = "/run/dockerd.log";
const CONTAINERD: &str = "/var/run/docker/containerd/containerd.pid";
/// Where the image's files are assembled.
pub(crate) const ROOT: &str = "/run/busybox-root";
const APPLETS: [&str; 9] = ["sh", "sleep", "ping", "ip", "cat", "ls", "nc", "tail", "hostname"];
const PATIENCE: Duration = Duration::from_secs(30);

/// A running dockerd. It ends with this value; its containers end with the host.
#[derive(Debug)]
pub struct Docker {
    daemon: Child,
    client: PathBuf,
    /// The words about its own network that it was started with.
    network: Vec<String>,
}

impl Docker {
    /// Why Docker cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = [("dockerd", "docker.io"), ("docker", "docker.io"), ("busybox", "busybox-static"), ("tar", "tar")];
        needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package)
    }

    /// Starts it and waits until it answers. The error contains its log.
    pub fn start() -> Result<Docker, String> {
        Self::start_with(&["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"])
    }

    /// Like [`Docker::start`], with its bridge `docker0` and its `iptables` rules. Docker needs no network of its own
    /// to exist first, and the rules stay when it ends.
    pub fn start_with_firewall() -> Result<Docker, String> {
        Self::start_with(&["--bip=172.31.99.1/24"])
    }

    fn start_with(network: &[&str]) -> Result<Docker, String> {
        let failed = |what: &'static str| move |e: std::io::Error| format!("{what}: {e}");
        // The machine's own settings do not apply here, and old versions write a key beside them.
        if Path::new("/etc/docker").is_dir() {
            sys::mount(Path::new("tmpfs"), Path::new("/etc/docker"), Some("tmpfs"), 0)
                .map_err(failed("/etc/docker"))?;
        }
        fs::write("/run/dockerd.json", "{}").map_err(failed("/run/dockerd.json"))?;
        let log = File::create(LOG).map_err(failed(LOG))?;
        let mut command = Command::new(find("dockerd").ok_or("dockerd is not installed")?);
        command
            .args(["--config-file=/run/dockerd.json", "--data-root=/run/docker-data", "--storage-driver=vfs"])
            .args(network)
            .args(["--exec-opt=native.cgroupdriver=cgroupfs", &format!("--cgroup-parent=/{}", cgroups::own())])
            .env_remove("DOCKER_HOST")
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed(LOG))?)
            .stderr(log);
        let daemon = command.spawn().map_err(failed("dockerd"))?;
        // Prefer the client of the same package; a newer one elsewhere in PATH would also work.
        let client = Some(PathBuf::from("/usr/bin/docker")).filter(|path| path.is_file()).or_else(|| find("docker"));
        let network = network.iter().map(|word| (*word).to_owned()).collect();
        let mut docker = Docker { daemon, client: client.ok_or("docker is not installed")?, network };
        docker.wait_until_ready()?;
        Ok(docker)
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let since = Instant::now();
        loop {
            let answer = self.docker("version --format {{.Server.Version}}");
            if answer.code == 0 {
                return Ok(());
            }
            let ended = self.daemon.try_wait().map_err(|e| format!("dockerd: {e}"))?;
            if let Some(status) = ended {
                return Err(format!("dockerd ended: {status}\n{}", Self::log_tail()));
            }
            if since.elapsed() > patience(PATIENCE) {
                let patience = patience(PATIENCE).as_secs();
                return Err(format!(
                    "dockerd did not answer within {patience} s: {}\n{}",
                    answer.err,
                    Self::log_tail()
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `docker WORDS`, ready to start; words are split at spaces.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.client);
        command.args(words.split_whitespace()).stdin(Stdio::null());
        command.env("DOCKER_CONFIG", "/run/docker-client").env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT");
        command
    }

    /// Runs `docker WORDS`.
    #[track_caller]
    pub fn docker(&self, words: &str) -> Answer {
        answer(self.command(words))
    }

    /// Like [`Docker::docker`]; fails the test, with the daemon's log, unless the command succeeds.
    #[track_caller]
    pub fn ok(&self, words: &str) -> String {
        let answer = self.docker(words);
        assert_eq!(answer.code, 0, "docker {words}: {}{}\n{}", answer.out, answer.err, Self::log_tail());
        answer.out
    }

    /// Makes the image `busybox` from the machine's own busybox: nothing is downloaded.
    pub fn import_busybox(&self) -> Result<(), String> {
        let tar = busybox_root()?;
        let imported = self.docker(&format!("import {tar} {IMAGE}"));
        if imported.code == 0 { Ok(()) } else { Err(format!("docker import: {}{}", imported.err, Self::log_tail())) }
    }

    /// The last lines of the daemon's log.
    pub fn log_tail() -> String {
        log::tail(LOG)
    }

    /// Ends it with SIGKILL, and starts it again as it was. Its containers die with it: those that outlive it are ended
    /// when it comes back.
    pub fn killed_and_started(mut self) -> Result<Docker, String> {
        self.daemon.kill().and_then(|()| self.daemon.wait()).map_err(|e| format!("dockerd: {e}"))?;
        // It asks no process whether the file is right.
        fs::remove_file("/var/run/docker.pid").ok();
        // Its containerd gets a signal when it dies. The next dockerd would take even a zombie for a containerd.
        let containerd = fs::read_to_string(CONTAINERD).unwrap_or_default();
        let stat = Path::new("/proc").join(containerd.trim()).join("stat");
        let since = Instant::now();
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            if since.elapsed() > patience(PATIENCE) {
                return Err(format!("containerd {containerd} outlives dockerd"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::remove_file(CONTAINERD).ok();
        Self::start_with(&self.network.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Ends it with SIGTERM, as its service manager would.
    pub fn stop(mut self) -> Result<(), String> {
        sys::kill(self.daemon.id(), libc::SIGTERM).map_err(|e| format!("dockerd: {e}"))?;
        let since = Instant::now();
        while self.daemon.try_wait().map_err(|e| format!("dockerd: {e}"))?.is_none() {
            if since.elapsed() > patience(PATIENCE) {
                return Err(format!("dockerd did not end\n{}", Self::log_tail()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}

/// A tar of a container's files: busybox under the names of some of its applets.
pub(crate) fn busybox_root() -> Result<&'static str, String> {
    const TAR: &str = "/run/busybox.tar";
    let failed = |e: std::io::Error| format!("{ROOT}: {e}");
    let bin = Path::new(ROOT).join("bin");
    if Path::new(TAR).exists() {
        return Ok(TAR);
    }
    fs::create_dir_all(&bin).map_err(failed)?;
    fs::copy(find("busybox").ok_or("busybox-static is not installed")?, bin.join("busybox")).map_err(failed)?;
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", bin.join(applet)).map_err(failed)?;
    }
    let packed = Command::new("tar").args(["-C", ROOT, "-cf", TAR, "."]).output().map_err(|e| format!("tar: {e}"))?;
    if packed.status.success() { Ok(TAR) } else { Err(format!("tar: {}", String::from_utf8_lossy(&packed.stderr))) }
}

/// The path of a program; sbin folders are searched too.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}
