//! containerd on a host of its own ([`HostKind::Root`](crate::HostKind::Root)), with its state at the default paths.
//! With plug-ins it offers the CRI that Kubernetes uses, see [`Containerd::cri`], and `ctr run --cni` works.

use crate::cgroups;
use crate::cover::{cover, cover_with};
use crate::cri::Cri;
use crate::docker::{ROOT, busybox_root, find};
use crate::host::{Answer, answer};
use crate::image;
use crate::log;
use crate::patience::patience;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LOG: &str = "/run/containerd.log";
const SOCKET: &str = "/run/containerd/containerd.sock";
const CONF: &str = "/run/containerd.toml";
const PATIENCE: Duration = Duration::from_secs(30);
/// Where `ctr run --cni` looks for plug-ins; no option changes it.
const CTR_PLUGINS: &str = "/opt/cni/bin";
/// Where it looks for networks; it uses the first.
const CTR_CONF: &str = "/etc/cni/net.d";
/// Where go-cni keeps results, besides the network's own state.
const RESULTS: &str = "/var/lib/cni";

/// A running containerd. It ends with this value; its tasks end with the host.
#[derive(Debug)]
pub struct Containerd {
    daemon: Child,
}

impl Containerd {
    /// Why containerd cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = [("containerd", "containerd"), ("ctr", "containerd"), ("busybox", "busybox-static")];
        needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package)
    }

    /// Starts it without CRI and waits until it answers. The error contains its log.
    pub fn start() -> Result<Containerd, String> {
        Self::start_with("disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n", &[])
    }

    /// Starts it with CRI, plug-ins, a folder of network lists, and the image that [`Containerd::run_cni`] and pod
    /// sandboxes use. The folder may be filled later. Plug-ins get these variables in addition to those of this
    /// process.
    pub fn start_with_cni(plugins: &Path, conf: &Path, env: &[(&str, &str)]) -> Result<Containerd, String> {
        cover_with(CTR_PLUGINS, plugins)?;
        cover_with(CTR_CONF, conf)?;
        cover(RESULTS)?;
        let cri = format!(
            "[plugins.\"io.containerd.grpc.v1.cri\"]\n\
             sandbox_image = \"{}\"\n\
             disable_apparmor = true\n\
             restrict_oom_score_adj = true\n\
             disable_tcp_service = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n\
             snapshotter = \"native\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n\
             runtime_type = \"io.containerd.runc.v2\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\n\
             bin_dir = \"{CTR_PLUGINS}\"\n\
             conf_dir = \"{CTR_CONF}\"\n\
             max_conf_num = 1\n",
            image::NAME,
        );
        let containerd = Self::start_with(&cri, env)?;
        // CRI uses one containerd namespace, `ctr` another.
        for namespace in ["default", "k8s.io"] {
            let words = format!("-n {namespace} image import --no-unpack {}", image::archive()?);
            let imported = containerd.ctr(&words);
            if imported.code != 0 {
                return Err(format!("ctr {words}: {}{}", imported.err, Self::log_tail()));
            }
        }
        let since = Instant::now();
        // At first the service answers that it is not initialized yet.
        while let Err(why) = containerd.cri().runtime_status() {
            if since.elapsed() > patience(PATIENCE) {
                return Err(format!(
                    "CRI is not ready after {} s: {why}\n{}",
                    patience(PATIENCE).as_secs(),
                    Self::log_tail()
                ));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(containerd)
    }

    fn start_with(conf: &str, env: &[(&str, &str)]) -> Result<Containerd, String> {
        let conf = format!("version = 2\nroot = \"/run/containerd-root\"\nstate = \"/run/containerd\"\n{conf}");
        fs::write(CONF, conf).map_err(|e| format!("{CONF}: {e}"))?;
        let log = File::create(LOG).and_then(|log| Ok((log.try_clone()?, log))).map_err(|e| format!("{LOG}: {e}"))?;
        let mut command = Command::new(find("containerd").ok_or("containerd is not installed")?);
        command.arg(format!("--config={CONF}")).envs(env.iter().copied());
        command.stdin(Stdio::null()).stdout(log.0).stderr(log.1);
        let daemon = command.spawn().map_err(|e| format!("containerd: {e}"))?;
        let containerd = Containerd { daemon };
        let since = Instant::now();
        while containerd.ctr("version").code != 0 {
            if since.elapsed() > patience(PATIENCE) {
                return Err(format!(
                    "containerd did not answer within {} s\n{}",
                    patience(PATIENCE).as_secs(),
                    Self::log_tail()
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(containerd)
    }

    /// Starts a task that sleeps, in a network namespace of its own.
    #[track_caller]
    pub fn run(&self, id: &str) {
        busybox_root().unwrap_or_else(|why| panic!("{why}"));
        self.ctr(&format!("run -d --cgroup /{}/{id} --rootfs {ROOT} {id} /bin/sleep 1000", cgroups::own())).ok();
    }

    /// Like [`Containerd::run`], attached by the plug-ins to the first network of the folder. `ctr` calls the plug-ins
    /// itself, with these variables in addition to its own, and never detaches.
    #[track_caller]
    pub fn run_cni(&self, id: &str, env: &[(&str, &str)]) -> Answer {
        Self::run_with_cni("-d", id, "/bin/sleep 1000", env)
    }

    /// Runs a command in an attached task. `ctr` detaches when the command has ended: without a namespace, since the
    /// task is gone by then.
    #[track_caller]
    pub fn run_cni_to_end(&self, id: &str, words: &str, env: &[(&str, &str)]) -> Answer {
        Self::run_with_cni("--rm", id, words, env)
    }

    #[track_caller]
    fn run_with_cni(how: &str, id: &str, words: &str, env: &[(&str, &str)]) -> Answer {
        let (own, image) = (cgroups::own(), image::NAME);
        let flags = format!("--cni --snapshotter native --cap-add CAP_NET_RAW --cgroup /{own}/{id}");
        let mut command = ctr(&format!("run {how} {flags} {image} {id} {words}"));
        command.envs(env.iter().copied());
        answer(command)
    }

    /// Ends a task and removes its container.
    #[track_caller]
    pub fn remove(&self, id: &str) {
        self.ctr(&format!("task kill --signal SIGKILL {id}")).ok();
        self.ctr(&format!("task delete --force {id}"));
        self.ctr(&format!("container delete {id}")).ok();
    }

    /// Runs a command inside a task.
    #[track_caller]
    pub fn exec(&self, id: &str, words: &str) -> Answer {
        // Concurrent commands need distinct names.
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.ctr(&format!("task exec --exec-id exec{count} {id} {words}"))
    }

    /// Runs `ctr WORDS`; words are split at spaces.
    #[track_caller]
    pub fn ctr(&self, words: &str) -> Answer {
        answer(ctr(words))
    }

    /// Its CRI; needs [`Containerd::start_with_cni`].
    pub fn cri(&self) -> Cri {
        Cri::new(SOCKET, LOG)
    }

    /// The last lines of the daemon's log.
    pub fn log_tail() -> String {
        log::tail(LOG)
    }
}

fn ctr(words: &str) -> Command {
    let mut command = Command::new("ctr");
    command.args(words.split_whitespace()).env_remove("CONTAINERD_ADDRESS").env_remove("CONTAINERD_NAMESPACE");
    command.stdin(Stdio::null());
    command
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}
