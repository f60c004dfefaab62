//! Podman on a host of its own ([`HostKind::Root`](crate::HostKind::Root)): it has no daemon, and writes only below the
//! host's own /run. The test chooses its network backend: a netavark, or CNI plug-ins.

use crate::cgroups;
use crate::cover::cover;
use crate::docker::{busybox_root, find};
use crate::host::{Answer, answer};
use crate::rootless;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Podman's network backend.
#[derive(Debug, Clone)]
pub enum Backend {
    /// The program `netavark` of a folder. Podman looks for its other helpers there too, and falls back to Debian's.
    Netavark {
        /// The folder.
        helpers: PathBuf,
    },
    /// CNI plug-ins.
    Cni {
        /// Their folder.
        plugins: PathBuf,
        /// The folder of the network lists, in which Podman writes its own too.
        conf: PathBuf,
    },
}

/// crun refuses to start containers on hosts with cgroups of both versions, so runc does it.
const RUNTIME: &str = "runtime = \"runc\"\n";

/// Podman's configuration.
#[derive(Debug, Clone)]
pub struct PodmanConfig {
    /// The network backend.
    pub backend: Backend,
    /// Variables that the backend always gets. Podman's own environment does not reach a backend that runs after a
    /// container ended by itself: conmon starts that one with its own environment.
    pub env: Vec<(String, String)>,
}

/// A way to call Podman, and its store.
#[derive(Debug, Clone)]
pub struct Podman {
    folder: PathBuf,
    user: User,
    env: Vec<(String, OsString)>,
}

/// The user that Podman runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Root,
    /// The user of [`rootless`].
    Lab,
}

impl PodmanConfig {
    /// These networks, no further variables.
    pub fn new(backend: Backend) -> Self {
        PodmanConfig { backend, env: Vec::new() }
    }

    /// Adds a variable.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }
}

impl Podman {
    /// The variable by which Podman and zubi find the store.
    pub const CONF_VARIABLE: &'static str = "CONTAINERS_STORAGE_CONF";
    /// Its value.
    pub const CONF: &'static str = "/run/storage.conf";
    /// Debian's folder of Podman's helpers, netavark among them.
    pub const HELPERS: &'static str = "/usr/lib/podman";

    /// The home of the user without root.
    pub const HOME: &'static str = rootless::HOME;

    /// Why Podman cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = [("podman", "podman"), ("runc", "runc"), ("busybox", "busybox-static"), ("tar", "tar")];
        needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package)
    }

    /// A Podman whose containers have no network. Writes storage.conf and containers.conf.
    pub fn new() -> Self {
        let conf = "/run/containers.conf";
        write_storage(Path::new(Self::CONF), Path::new("/run")).expect(Self::CONF);
        fs::write(conf, format!("[engine]\n{RUNTIME}")).expect(conf);
        let podman = Podman { folder: "/run".into(), user: User::Root, env: Vec::new() };
        podman.with_env(Self::CONF_VARIABLE, Self::CONF).with_env("CONTAINERS_CONF", conf)
    }

    /// Why Podman cannot be used without root here: what is missing.
    pub fn missing_rootless() -> Option<&'static str> {
        Self::missing().or_else(rootless::missing)
    }

    /// A Podman with networks and the image `busybox`. The error says what could not be written.
    pub fn start(config: PodmanConfig) -> Result<Podman, String> {
        // `play kube` creates cgroups at the root.
        cgroups::confine()?;
        // libcni and host-local keep state here, wherever Podman's own store is.
        cover("/var/lib/cni")?;
        Self::start_as(User::Root, "/run/podman", config)
    }

    /// Like [`Podman::start`], for a user without root. Podman calls the backend in the user's network namespace, with
    /// another /run: the programs and folders of the configuration must be readable to all and not below /run;
    /// [`Podman::HOME`] is a place for them.
    pub fn start_rootless(config: PodmanConfig) -> Result<Podman, String> {
        rootless::make()?;
        Self::start_as(User::Lab, &format!("{}/podman", Self::HOME), config)
    }

    fn start_as(user: User, folder: &str, config: PodmanConfig) -> Result<Podman, String> {
        let folder = PathBuf::from(folder);
        let failed = |e: std::io::Error| format!("{}: {e}", folder.display());
        fs::create_dir_all(&folder).map_err(failed)?;
        let storage = if user == User::Root { PathBuf::from(Self::CONF) } else { folder.join("storage.conf") };
        write_storage(&storage, &folder).map_err(failed)?;
        let conf = folder.join("containers.conf");
        fs::write(&conf, containers_conf(&config, &folder)).map_err(failed)?;
        if user == User::Lab {
            rootless::give(&folder).map_err(failed)?;
        }
        let mut podman = Podman { folder, user, env: Vec::new() };
        podman = podman.with_env(Self::CONF_VARIABLE, storage).with_env("CONTAINERS_CONF", conf);
        if let Backend::Netavark { helpers } = config.backend {
            podman = podman.with_env("CONTAINERS_HELPER_BINARY_DIR", helpers);
        }
        podman.import_busybox();
        Ok(podman)
    }

    /// Adds a variable to the environment of Podman itself; see [`PodmanConfig::env`].
    pub fn with_env(mut self, key: &str, value: impl Into<OsString>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// The folder that holds everything of this Podman.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `podman WORDS`, ready to start; words are split at spaces.
    pub fn command(&self, words: &str) -> Command {
        let mut command = match self.user {
            User::Root => Command::new("podman"),
            User::Lab => rootless::command("podman"),
        };
        // Without root and systemd Podman makes no cgroups.
        let cgroup_parent = (self.user == User::Root).then(|| format!("--cgroup-parent=/{}", cgroups::own()));
        command.args(["--cgroup-manager=cgroupfs", "--events-backend=none", "--log-level=warn"]);
        let mut words = words.split_whitespace().peekable();
        let first = words.next().expect("a word");
        command.arg(first);
        if first == "pod" && words.peek() == Some(&"create") {
            command.args(words.next()).args(&cgroup_parent);
        }
        if ["run", "create"].contains(&first) {
            command.args(&cgroup_parent);
            // The default limits exceed what a machine without CAP_SYS_RESOURCE allows; ping needs the capability.
            command.args([
                "--ulimit=nofile=1000:1000",
                "--ulimit=nproc=1000:1000",
                "--log-driver=none",
                "--cap-add=NET_RAW",
            ]);
        }
        command.args(words).envs(self.env.iter().cloned()).stdin(Stdio::null());
        command.env_remove("CONTAINER_HOST");
        command
    }

    /// Runs `podman WORDS`.
    #[track_caller]
    pub fn podman(&self, words: &str) -> Answer {
        answer(self.command(words))
    }

    /// Like [`Podman::podman`]; fails the test unless the command succeeds.
    #[track_caller]
    pub fn ok(&self, words: &str) -> String {
        let answer = self.podman(words);
        assert_eq!(answer.code, 0, "podman {words}: {}{}", answer.out, answer.err);
        answer.out
    }

    /// The output of `podman inspect`.
    #[track_caller]
    pub fn inspect(&self, name: &str) -> serde_json::Value {
        let text = self.ok(&format!("inspect {name}"));
        let mut all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        all[0].take()
    }

    /// The IPv4 address of a container in a network.
    #[track_caller]
    pub fn address(&self, container: &str, network: &str) -> String {
        let all = self.inspect(container);
        let address = all["NetworkSettings"]["Networks"][network]["IPAddress"].as_str();
        address.unwrap_or_else(|| panic!("{container} has no address in {network}: {all:#}")).to_owned()
    }

    /// Runs `podman play kube` with this pod definition.
    #[track_caller]
    pub fn play_kube(&self, definition: &str) -> Answer {
        let file = self.folder.join("kube.yaml");
        fs::write(&file, definition).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.podman(&format!("play kube {}", file.display()))
    }

    /// Makes the image `busybox` from the machine's own busybox.
    #[track_caller]
    pub fn import_busybox(&self) {
        let tar = busybox_root().unwrap_or_else(|why| panic!("{why}"));
        self.ok(&format!("import -q --change CMD=[\"/bin/sleep\",\"100000\"] {tar} localhost/busybox"));
    }
}

impl Default for Podman {
    fn default() -> Self {
        Self::new()
    }
}

fn write_storage(conf: &Path, folder: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let folder = folder.display();
    let roots = format!("graphroot = \"{folder}/podman-graph\"\nrunroot = \"{folder}/podman-run\"\n");
    fs::write(conf, format!("[storage]\ndriver = \"vfs\"\n{roots}"))
}

/// Podman would have to build a pod's pause image; a busybox that sleeps replaces it.
fn containers_conf(config: &PodmanConfig, folder: &Path) -> String {
    let network = match &config.backend {
        Backend::Netavark { .. } => {
            format!("network_backend = \"netavark\"\nnetwork_config_dir = \"{}/networks\"\n", folder.display())
        }
        Backend::Cni { plugins, conf } => format!(
            "network_backend = \"cni\"\ncni_plugin_dirs = [\"{}\"]\nnetwork_config_dir = \"{}\"\n",
            plugins.display(),
            conf.display()
        ),
    };
    let env: Vec<String> = config.env.iter().map(|(key, value)| format!("\"{key}={value}\"")).collect();
    format!(
        "[containers]\n\
         default_ulimits = [\"nofile=1000:1000\", \"nproc=1000:1000\"]\n\
         log_driver = \"none\"\n\
         [engine]\n\
         cgroup_manager = \"cgroupfs\"\n\
         events_logger = \"none\"\n\
         {RUNTIME}\
         infra_image = \"localhost/busybox\"\n\
         env = [{}]\n\
         helper_binaries_dir = [\"{}\"]\n\
         [network]\n{network}",
        env.join(", "),
        Podman::HELPERS,
    )
}
