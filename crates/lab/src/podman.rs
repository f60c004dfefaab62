//! Podman on a host of its own ([`HostKind::Root`](crate::HostKind::Root)): it has no daemon, and everything it writes is
//! below the host's own /run. Its networks are made by whatever the test names: a netavark, or CNI plug-ins.

use crate::cgroups;
use crate::cover::cover;
use crate::docker::{busybox_root, find};
use crate::host::{Answer, answer};
use crate::rootless;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What makes Podman's networks.
#[derive(Debug, Clone)]
pub enum Backend {
    /// The program `netavark` of a folder. Podman looks there for its other helpers too; those it does not find are
    /// taken from Debian's.
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

/// What starts containers: crun refuses to on hosts whose cgroups are of both versions.
const RUNTIME: &str = "runtime = \"runc\"\n";

/// How Podman is to be.
#[derive(Debug, Clone)]
pub struct PodmanConfig {
    /// What makes its networks.
    pub backend: Backend,
    /// Variables that the backend gets, always: what Podman has of its own environment does not reach those that are
    /// called when a container has ended by itself (conmon starts them, with an environment of its own).
    pub env: Vec<(String, String)>,
}

/// A way to call Podman, and its store.
#[derive(Debug, Clone)]
pub struct Podman {
    folder: PathBuf,
    user: User,
    env: Vec<(String, OsString)>,
}

/// As whom it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    Root,
    /// That of [`rootless`].
    Lab,
}

impl PodmanConfig {
    /// With these networks and no further variables.
    pub fn new(backend: Backend) -> Self {
        PodmanConfig { backend, env: Vec::new() }
    }

    /// With a further variable.
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.env.push((key.to_owned(), value.to_owned()));
        self
    }
}

impl Podman {
    /// The variable by which Podman, and zubi, find the store.
    pub const CONF_VARIABLE: &'static str = "CONTAINERS_STORAGE_CONF";
    /// Its value.
    pub const CONF: &'static str = "/run/storage.conf";
    /// Where Debian has Podman's helpers, netavark among them.
    pub const HELPERS: &'static str = "/usr/lib/podman";

    /// The home of the user without root.
    pub const HOME: &'static str = rootless::HOME;

    /// Why Podman cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = [("podman", "podman"), ("runc", "runc"), ("busybox", "busybox-static"), ("tar", "tar")];
        needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package)
    }

    /// One whose containers have no network. Writes storage.conf and containers.conf.
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

    /// One with networks. It has the image `busybox` already. The error says what could not be written.
    pub fn start(config: PodmanConfig) -> Result<Podman, String> {
        // `play kube` makes cgroups where Podman likes.
        cgroups::confine()?;
        // What libcni and host-local keep, wherever Podman's own store is.
        cover("/var/lib/cni")?;
        Self::start_as(User::Root, "/run/podman", config)
    }

    /// The same for a user without root. It calls the backend in a network namespace of the user's, with another /run:
    /// the programs and folders of the configuration must not be below that, and readable to all; [`Podman::HOME`]
    /// is a place for them.
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

    /// The same, and a further variable in the environment of Podman itself; see [`PodmanConfig::env`].
    pub fn with_env(mut self, key: &str, value: impl Into<OsString>) -> Self {
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// The folder below which everything of it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `podman WORDS`, ready to be started; words are split at spaces.
    pub fn command(&self, words: &str) -> Command {
        let mut command = match self.user {
            User::Root => Command::new("podman"),
            User::Lab => rootless::command("podman"),
        };
        // Without root it makes no cgroups where there is no systemd.
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
            // Its usual limits are higher than a machine without CAP_SYS_RESOURCE allows; ping needs the capability.
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

    /// `podman WORDS`, to its end.
    #[track_caller]
    pub fn podman(&self, words: &str) -> Answer {
        answer(self.command(words))
    }

    /// The same; fails the test unless it succeeds.
    #[track_caller]
    pub fn ok(&self, words: &str) -> String {
        let answer = self.podman(words);
        assert_eq!(answer.code, 0, "podman {words}: {}{}", answer.out, answer.err);
        answer.out
    }

    /// What `podman inspect` has to say.
    #[track_caller]
    pub fn inspect(&self, name: &str) -> serde_json::Value {
        let text = self.ok(&format!("inspect {name}"));
        let mut all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        all[0].take()
    }

    /// The address of a container in a network, of IPv4.
    #[track_caller]
    pub fn address(&self, container: &str, network: &str) -> String {
        let all = self.inspect(container);
        let address = all["NetworkSettings"]["Networks"][network]["IPAddress"].as_str();
        address.unwrap_or_else(|| panic!("{container} has none in {network}: {all:#}")).to_owned()
    }

    /// Plays a pod's definition, of Kubernetes, that is given as text.
    #[track_caller]
    pub fn play_kube(&self, definition: &str) -> Answer {
        let file = self.folder.join("kube.yaml");
        fs::write(&file, definition).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.podman(&format!("play kube {}", file.display()))
    }

    /// Makes the image `busybox` of the machine's own busybox.
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

/// The pause image of a pod would have to be built; a busybox that sleeps does as well.
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
