//! Where the runtimes of this machine are, and asking them.

use crate::containerd::DOCKERS_NAMESPACE;
use crate::monitored::Monitored;
use crate::podman::{Known, PodmanStore};
use crate::process::{Process, read_pid_file};
use crate::{Container, Runtime, RuntimeError, api, containerd};
use std::ffi::OsString;
use std::path::PathBuf;
use zubi_model::SandboxRef;

/// Where each runtime keeps what it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtimes {
    /// Docker's socket.
    pub docker_socket: PathBuf,
    /// dockerd's pid file: [`Runtimes::find`] leaves the socket alone unless this process runs. `None` when the user
    /// named the socket, which is then always asked.
    pub docker_pid_file: Option<PathBuf>,
    /// Podman's stores.
    pub podman_stores: Vec<PodmanStore>,
    /// Podman's socket as named by the user.
    pub podman_host: Option<PathBuf>,
    /// Podman's usual sockets: only [`Runtimes::podman`] asks there, and only for names the stores do not know.
    pub podman_sockets: Vec<PathBuf>,
    /// The folder of containerd's tasks.
    pub containerd_state: PathBuf,
    /// /proc.
    pub proc: PathBuf,
}

impl Runtimes {
    /// The usual places, moved by `DOCKER_HOST`, `CONTAINER_HOST` (where they are `unix://`),
    /// `CONTAINERS_STORAGE_CONF`, `XDG_RUNTIME_DIR`, `XDG_DATA_HOME`, `XDG_CONFIG_HOME` and `HOME`. Reads no file.
    pub fn from_env(lookup: impl Fn(&str) -> Option<OsString>) -> Runtimes {
        let path = |name: &str| lookup(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let socket = |name: &str| {
            let value = lookup(name)?.into_string().ok()?;
            value.strip_prefix("unix://").map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let home = |xdg: &str, below: &str| path(xdg).or_else(|| path("HOME").map(|home| home.join(below)));

        let conf = path("CONTAINERS_STORAGE_CONF");
        let mut podman_stores = vec![PodmanStore {
            conf: conf.unwrap_or_else(|| "/etc/containers/storage.conf".into()),
            graph_root: "/var/lib/containers/storage".into(),
            run_root: "/run/containers/storage".into(),
        }];
        let mut podman_sockets = vec![PathBuf::from("/run/podman/podman.sock")];
        if let Some(run) = path("XDG_RUNTIME_DIR") {
            podman_sockets.push(run.join("podman/podman.sock"));
            if let (Some(data), Some(config)) =
                (home("XDG_DATA_HOME", ".local/share"), home("XDG_CONFIG_HOME", ".config"))
            {
                podman_stores.push(PodmanStore {
                    conf: config.join("containers/storage.conf"),
                    graph_root: data.join("containers/storage"),
                    run_root: run.join("containers"),
                });
            }
        }
        let docker_host = socket("DOCKER_HOST");
        Runtimes {
            docker_pid_file: docker_host.is_none().then(|| "/var/run/docker.pid".into()),
            docker_socket: docker_host.unwrap_or_else(|| "/var/run/docker.sock".into()),
            podman_stores,
            podman_host: socket("CONTAINER_HOST"),
            podman_sockets,
            containerd_state: "/run/containerd/io.containerd.runtime.v2.task".into(),
            proc: "/proc".into(),
        }
    }

    /// The running Docker container of this name, id, or unique beginning of an id. Takes 2 s at most. Connecting may
    /// start a daemon that waits for its socket: whoever says `docker:` asks for that.
    pub fn docker(&self, name: &str) -> Result<Option<Container>, RuntimeError> {
        checked(Runtime::Docker, name)?;
        api::inspect(Runtime::Docker, &self.docker_socket, &self.proc, name)
    }

    /// The running Podman container of this name, id, or unique beginning of an id (4 digits at least). A name that
    /// no store knows is asked for at the sockets.
    pub fn podman(&self, name: &str) -> Result<Option<Container>, RuntimeError> {
        self.podman_asking(self.podman_host.iter().chain(&self.podman_sockets), name)
    }

    /// The running containerd task of this id, or unique beginning of it (4 digits at least), in any containerd
    /// namespace.
    pub fn containerd(&self, name: &str) -> Result<Option<Container>, RuntimeError> {
        self.containerd_beside(&[], name)
    }

    /// The running containers of this name in every runtime that runs and is open to this user: none, one, or one
    /// for each runtime. A container that does not run is an error only when no other of that name does.
    ///
    /// Docker's own namespace in containerd is passed over, since Docker tells of it.
    pub fn find(&self, name: &str) -> Result<Vec<Container>, RuntimeError> {
        let docker = if self.docker_runs() { self.docker(name) } else { Ok(None) };
        let podman = self.podman_asking(self.podman_host.iter(), name);
        let containerd = self.containerd_beside(&[DOCKERS_NAMESPACE], name);

        let mut found = Vec::new();
        let mut stopped = None;
        for answer in [docker, podman, containerd] {
            match answer {
                Ok(container) => found.extend(container),
                Err(e) if e.runtime_is_out_of_reach() => {}
                Err(e @ RuntimeError::NotRunning { .. }) => stopped = stopped.or(Some(e)),
                Err(e) => return Err(e),
            }
        }
        match stopped {
            Some(e) if found.is_empty() => Err(e),
            _ => Ok(found),
        }
    }

    /// Whether the container's process is still the one that was found. A pid may be given to another process
    /// between the finding and the opening of a namespace; asked after the opening, this tells.
    pub fn still_runs(&self, container: &Container) -> Result<bool, RuntimeError> {
        let process = Process::read(&self.proc, container.pid).map_err(|e| {
            let path = self.proc.join(container.pid.to_string());
            RuntimeError::unreadable(container.runtime, &container.name, &path, e)
        })?;
        Ok(process.is_some_and(|process| process.started == container.started))
    }

    fn docker_runs(&self) -> bool {
        let Some(pid_file) = &self.docker_pid_file else { return true };
        // What cannot be read is not known to run: asking could start it.
        let pid = read_pid_file(pid_file).ok().flatten();
        pid.is_some_and(|pid| matches!(Process::read(&self.proc, pid), Ok(Some(_))))
    }

    fn podman_asking<'a>(
        &self,
        sockets: impl Iterator<Item = &'a PathBuf>,
        name: &str,
    ) -> Result<Option<Container>, RuntimeError> {
        checked(Runtime::Podman, name)?;
        let mut fitting = Vec::new();
        let mut podman_is_here = false;
        let mut trouble = None;
        for store in &self.podman_stores {
            match store.look_up(name) {
                Ok(Known::NoStore) => {}
                Ok(Known::Fitting(more)) => {
                    podman_is_here = true;
                    fitting.extend(more);
                }
                Err(e) => trouble = trouble.or(Some(e)),
            }
        }
        if let Some(container) = Monitored::the_one(Runtime::Podman, name, fitting)? {
            return container.running(&self.proc).map(Some);
        }
        for socket in sockets {
            match api::inspect(Runtime::Podman, socket, &self.proc, name) {
                Err(RuntimeError::NotHere { .. }) => {}
                Ok(None) => podman_is_here = true,
                answer => return answer,
            }
        }
        match trouble {
            Some(e) => Err(e),
            None if podman_is_here => Ok(None),
            None => {
                let looked = self.podman_stores.first().map(|store| store.graph_root.clone()).unwrap_or_default();
                Err(RuntimeError::NotHere { runtime: Runtime::Podman, looked })
            }
        }
    }

    fn containerd_beside(&self, passed_over: &[&str], name: &str) -> Result<Option<Container>, RuntimeError> {
        checked(Runtime::Containerd, name)?;
        let fitting = containerd::look_up(&self.containerd_state, passed_over, name)?;
        Monitored::the_one(Runtime::Containerd, name, fitting)?.map(|task| task.running(&self.proc)).transpose()
    }
}

/// Refuses what could leave a request line or a path; the rule is the one for `docker:NAME` as users write it.
fn checked(runtime: Runtime, name: &str) -> Result<(), RuntimeError> {
    format!("{}:{name}", runtime.scheme()).parse::<SandboxRef>()?;
    Ok(())
}
