//! The runtimes of this machine: where they keep their state, and the search for a container.

use crate::containerd::DOCKERS_NAMESPACE;
use crate::monitored::Monitored;
use crate::podman::{Known, PodmanStore};
use crate::process::{Process, read_pid_file};
use crate::{Container, EngineNetwork, Runtime, RuntimeError, api, containerd, lxc, machine};
use std::ffi::OsString;
use std::path::PathBuf;
use zubi_model::{Progress, SandboxRef};

/// Where each runtime keeps its state.
#[derive(Debug, Clone)]
pub struct Runtimes {
    /// Docker's socket.
    pub docker_socket: PathBuf,
    /// dockerd's pid file: [`Runtimes::find`] connects to the socket only if this process runs. `None` if the user
    /// named the socket: then it always connects.
    pub docker_pid_file: Option<PathBuf>,
    /// Podman's stores.
    pub podman_stores: Vec<PodmanStore>,
    /// Podman's socket, if the user named one.
    pub podman_host: Option<PathBuf>,
    /// Podman's usual sockets: only [`Runtimes::podman`] connects to them, and only for names in no store.
    pub podman_sockets: Vec<PathBuf>,
    /// The folder of containerd's tasks.
    pub containerd_state: PathBuf,
    /// The folder of LXC's containers.
    pub lxc_folder: PathBuf,
    /// The folder in which systemd-machined has a file for each machine.
    pub machines: PathBuf,
    /// /proc.
    pub proc: PathBuf,
    /// Told which daemon is asked.
    pub progress: Progress,
}

impl Runtimes {
    /// The usual places, changed by `DOCKER_HOST`, `CONTAINER_HOST` (where they are `unix://`),
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
            lxc_folder: "/var/lib/lxc".into(),
            machines: "/run/systemd/machines".into(),
            proc: "/proc".into(),
            progress: Progress::default(),
        }
    }

    /// The running Docker container with this name, id, or unique prefix of an id. Takes at most 2 s. The connection
    /// may start a socket-activated daemon, which is what the prefix `docker:` asks for.
    pub fn docker(&self, name: &str) -> Result<Option<Container>, RuntimeError> {
        checked(Runtime::Docker, name)?;
        api::inspect(Runtime::Docker, &self.docker_socket, &self.proc, &self.progress, name)
    }

    /// Docker's network with this name, id, or unique prefix of an id; `None` also when Docker does not run. Takes at most
    /// 2 s, and starts no daemon.
    pub fn docker_network(&self, name: &str) -> Result<Option<EngineNetwork>, RuntimeError> {
        checked(Runtime::Docker, name)?;
        if !self.docker_runs() {
            return Ok(None);
        }
        match api::inspect_network(Runtime::Docker, &self.docker_socket, &self.progress, name) {
            Err(RuntimeError::NotHere { .. }) => Ok(None),
            answer => answer,
        }
    }

    /// The further names, by `--network-alias` and others, that a container of Docker's has by an endpoint of its. Takes
    /// at most 2 s.
    pub fn docker_aliases(&self, container: &str, endpoint: &str) -> Result<Vec<String>, RuntimeError> {
        checked(Runtime::Docker, container)?;
        api::names_by_endpoint(Runtime::Docker, &self.docker_socket, &self.progress, container, endpoint)
    }

    /// Whether Docker runs.
    pub fn docker_runs(&self) -> bool {
        let Some(pid_file) = &self.docker_pid_file else { return true };
        // An unreadable file says nothing about the daemon, and a connection could start it.
        let pid = read_pid_file(pid_file).ok().flatten();
        pid.is_some_and(|pid| matches!(Process::read(&self.proc, pid), Ok(Some(_))))
    }

    /// The running Podman container with this name, id, or unique prefix of an id (at least 4 digits). A name in no
    /// store is looked up over the sockets.
    pub fn podman(&self, name: &str) -> Result<Option<Container>, RuntimeError> {
        self.podman_asking(self.podman_host.iter().chain(&self.podman_sockets), name)
    }

    /// The running containerd task with this id, or unique prefix of it (at least 4 digits), in any containerd
    /// namespace.
    pub fn containerd(&self, name: &str) -> Result<Option<Container>, RuntimeError> {
        self.containerd_except(&[], name)
    }

    /// The running LXC container with this name.
    pub fn lxc(&self, name: &str) -> Result<Option<Container>, RuntimeError> {
        checked(Runtime::Lxc, name)?;
        lxc::look_up(&self.proc, &self.lxc_folder, name)
    }

    /// The running machine of systemd-machined with this name.
    pub fn machine(&self, name: &str) -> Result<Option<Container>, RuntimeError> {
        checked(Runtime::Machine, name)?;
        machine::look_up(&self.proc, &self.machines, name)
    }

    /// The running containers with this name in all runtimes that run and are open to this user: at most one of each. A
    /// stopped container is an error only if no other one with that name runs.
    ///
    /// Skips Docker's namespace in containerd, because Docker reports those containers.
    pub fn find(&self, name: &str) -> Result<Vec<Container>, RuntimeError> {
        let docker = if self.docker_runs() { self.docker(name) } else { Ok(None) };
        let podman = self.podman_asking(self.podman_host.iter(), name);
        let containerd = self.containerd_except(&[DOCKERS_NAMESPACE], name);

        let mut found = Vec::new();
        let mut stopped = None;
        for answer in [docker, podman, containerd, self.lxc(name), self.machine(name)] {
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

    /// The name of the running container with this full id, unless its runtime does not run or has no names.
    pub fn name_of(&self, runtime: Runtime, id: &str) -> Result<Option<String>, RuntimeError> {
        let container = match runtime {
            Runtime::Docker if self.docker_runs() => self.docker(id)?,
            Runtime::Podman => self.podman_asking(self.podman_host.iter(), id)?,
            Runtime::Docker | Runtime::Containerd | Runtime::Lxc | Runtime::Machine => None,
        };
        Ok(container.map(|container| container.name))
    }

    /// Whether the container's process still is the one found. The kernel may reuse a pid between the search and the
    /// opening of a namespace, so call this after the opening.
    pub fn still_runs(&self, container: &Container) -> Result<bool, RuntimeError> {
        let process = Process::read(&self.proc, container.pid).map_err(|e| {
            let path = self.proc.join(container.pid.to_string());
            RuntimeError::unreadable(container.runtime, &container.name, &path, e)
        })?;
        Ok(process.is_some_and(|process| process.started == container.started))
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
        if let Some(container) = Monitored::best(Runtime::Podman, name, fitting)? {
            return container.running(&self.proc).map(Some);
        }
        for socket in sockets {
            match api::inspect(Runtime::Podman, socket, &self.proc, &self.progress, name) {
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

    fn containerd_except(&self, skipped: &[&str], name: &str) -> Result<Option<Container>, RuntimeError> {
        checked(Runtime::Containerd, name)?;
        let fitting = containerd::look_up(&self.containerd_state, skipped, name)?;
        Monitored::best(Runtime::Containerd, name, fitting)?.map(|task| task.running(&self.proc)).transpose()
    }
}

/// Refuses names that could break out of a request line or a path, by the rule for `docker:NAME`.
fn checked(runtime: Runtime, name: &str) -> Result<(), RuntimeError> {
    format!("{}:{name}", runtime.scheme()).parse::<SandboxRef>()?;
    Ok(())
}
