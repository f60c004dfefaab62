//! Who is in a network namespace: a container, a process, or a name alone.
//!
//! # How it works
//! Runtimes put a container's processes into a control group with the container's id in its name. Where they do not, as
//! Podman without root, the parent of the first process is the container's monitor, with the id on its command line. The
//! name of a container is asked for where that starts nothing.

use crate::session::Session;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use zubi_kernel::{NetnsFound, ProcessSeen, named};
use zubi_runtimes::{Runtime, RuntimeError};
use zubi_wire::route::NetnsId;

/// How many processes of one namespace are looked at: the first of a container is among the first of its namespace.
const MOST_LOOKED_AT: usize = 16;

/// Who has a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A sandbox with a record of ours, as the record names it.
    Sandbox(String),
    /// A container.
    Container {
        /// Its runtime: "docker", "podman", "containerd".
        runtime: &'static str,
        /// Its full id.
        id: String,
        /// Its name, if the runtime tells one.
        name: Option<String>,
        /// One of its processes.
        pid: u32,
    },
    /// A process in no container, the one with the lowest number.
    Process {
        /// Its number.
        pid: u32,
        /// Its name.
        command: String,
        /// The file that the namespace is bound to, if there is one.
        file: Option<PathBuf>,
    },
    /// A namespace without a process.
    Namespace(PathBuf),
    /// The host itself.
    Host,
    /// A namespace that no process and no name that can be seen leads to.
    Hidden(NetnsId),
}

/// The last part of a namespace's path under /run/netns, and any other path as it is.
fn file_words(file: &Path) -> String {
    file.strip_prefix(named::FOLDER).unwrap_or(file).display().to_string()
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Sandbox(spelled) => f.write_str(spelled),
            Owner::Container { runtime, id, name, .. } => write!(f, "{runtime}:{}", name.as_ref().unwrap_or(id)),
            Owner::Process { pid, command, file: None } => write!(f, "pid:{pid} ({command})"),
            Owner::Process { pid, command, file: Some(file) } => {
                write!(f, "pid:{pid} ({command}) in {}", file_words(file))
            }
            Owner::Namespace(file) => f.write_str(&file_words(file)),
            Owner::Host => f.write_str("host"),
            Owner::Hidden(_) => f.write_str("hidden namespace"),
        }
    }
}

/// The container that a process is in by its control groups. One that the asking process is in too is none: from
/// inside, it is the machine.
fn container_of(cgroup: &str, own: &str) -> Option<(Runtime, String)> {
    let own: HashSet<&str> = own.split(['/', '\n']).collect();
    cgroup.lines().find_map(|line| {
        let mut before = "";
        let mut found = None;
        // The innermost counts.
        for part in line.splitn(3, ':').nth(2)?.split('/') {
            if !own.contains(part) {
                found = container_in(part, before).or(found);
            }
            before = part;
        }
        found
    })
}

/// Control groups are named `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`, and with the driver
/// cgroupfs `docker/ID`, `libpod-ID`, `NAMESPACE/ID`; those of LXC `lxc.payload.NAME`.
fn container_in(part: &str, before: &str) -> Option<(Runtime, String)> {
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some((Runtime::Lxc, name.to_owned()));
    }
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let (prefix, id) = name.rsplit_once('-').unwrap_or(("", name));
    if id.len() != 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let runtime = match (prefix, before) {
        ("docker", _) | ("", "docker") => Runtime::Docker,
        // CRI-O keeps its containers where Podman does.
        ("libpod" | "crio", _) => Runtime::Podman,
        ("cri-containerd" | "nerdctl" | "", _) => Runtime::Containerd,
        // conmon and others beside a container.
        _ => return None,
    };
    Some((runtime, id.to_owned()))
}

/// The container whose monitor a process is, by the words of its command line: conmon(8), or containerd's shim.
fn monitored_by(words: &[String]) -> Option<(Runtime, String)> {
    let program = Path::new(words.first()?).file_name()?.to_str()?;
    let behind = |option: &str| words.iter().skip_while(|word| *word != option).nth(1);
    match program {
        "conmon" => Some((Runtime::Podman, behind("-c")?.clone())),
        shim if shim.starts_with("containerd-shim") => Some((Runtime::Containerd, behind("-id")?.clone())),
        _ => None,
    }
}

/// Who a namespace belongs to, by its processes and the files that it is bound to.
fn owner_of(processes: impl Iterator<Item = ProcessSeen>, own_cgroup: &str, files: &[PathBuf]) -> Option<Owner> {
    let file = files.first().cloned();
    let mut first = None;
    for process in processes {
        let container = container_of(&process.cgroup, own_cgroup).or_else(|| monitored_by(&process.parent));
        if let Some((runtime, id)) = container {
            return Some(Owner::Container { runtime: runtime.scheme(), id, name: None, pid: process.pid });
        }
        first.get_or_insert(process);
    }
    match (first, file) {
        (Some(ProcessSeen { pid, command, .. }), file) => Some(Owner::Process { pid, command, file }),
        (None, file) => file.map(Owner::Namespace),
    }
}

/// Names owners, and asks each runtime for a name only until it fails once.
#[derive(Debug)]
pub(crate) struct Owners {
    own_cgroup: String,
    names: HashMap<(Runtime, String), Option<String>>,
    silent: HashSet<Runtime>,
}

impl Owners {
    pub(crate) fn new() -> Self {
        let own_cgroup = ProcessSeen::read(std::process::id()).map(|own| own.cgroup).unwrap_or_default();
        Owners { own_cgroup, names: HashMap::new(), silent: HashSet::new() }
    }

    /// Who has a namespace; `None` if it has ended.
    pub(crate) fn of_namespace(&mut self, session: &Session, found: &NetnsFound) -> Option<Owner> {
        let processes = found.processes.iter().take(MOST_LOOKED_AT).filter_map(|pid| ProcessSeen::read(*pid));
        let owner = owner_of(processes, &self.own_cgroup, &found.files)?;
        Some(self.named(session, owner))
    }

    /// The container of a process, or the process; `None` if it has ended.
    pub(crate) fn of_process(&mut self, session: &Session, pid: u32) -> Option<Owner> {
        let owner = owner_of(ProcessSeen::read(pid).into_iter(), &self.own_cgroup, &[])?;
        Some(self.named(session, owner))
    }

    fn named(&mut self, session: &Session, owner: Owner) -> Owner {
        match owner {
            Owner::Container { runtime, id, pid, .. } => {
                let docker = Runtime::Docker.scheme();
                // Docker's containers are containerd's too, and with a parent group of their own look like others.
                if runtime == Runtime::Containerd.scheme()
                    && let Some(name) = self.name_of(session, docker, &id)
                {
                    return Owner::Container { runtime: docker, id, name: Some(name), pid };
                }
                let name = self.name_of(session, runtime, &id);
                Owner::Container { runtime, id, name, pid }
            }
            other => other,
        }
    }

    fn name_of(&mut self, session: &Session, scheme: &str, id: &str) -> Option<String> {
        let all = [Runtime::Docker, Runtime::Podman, Runtime::Containerd];
        let runtime = all.into_iter().find(|runtime| runtime.scheme() == scheme && !self.silent.contains(runtime))?;
        let key = (runtime, id.to_owned());
        if let Some(known) = self.names.get(&key) {
            return known.clone();
        }
        let name = session.runtimes().name_of(runtime, id).unwrap_or_else(|e| {
            // A daemon that hangs takes seconds for every question. A container that has stopped says nothing about it.
            if !matches!(e, RuntimeError::NotRunning { .. } | RuntimeError::Gone { .. }) {
                self.silent.insert(runtime);
            }
            None
        });
        self.names.insert(key, name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn process(pid: u32, cgroup: &str) -> ProcessSeen {
        ProcessSeen { pid, command: "sleep".into(), cgroup: cgroup.into(), parent: Vec::new() }
    }

    #[test]
    fn each_runtime_s_control_group_names_its_container() {
        let a = id('a');
        for (runtime, cgroup) in [
            (Runtime::Docker, format!("0::/system.slice/docker-{a}.scope\n")),
            (Runtime::Docker, format!("12:memory:/docker/{a}\n0::/\n")),
            (Runtime::Podman, format!("0::/machine.slice/libpod-{a}.scope/container\n")),
            (Runtime::Podman, format!("0::/libpod_parent/libpod-{a}\n")),
            (Runtime::Containerd, format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{a}.scope\n")),
            (Runtime::Containerd, format!("0::/kubepods/besteffort/pod1/{a}\n")),
            (Runtime::Containerd, format!("0::/default/{a}\n")),
        ] {
            assert_eq!(container_of(&cgroup, "0::/user.slice\n"), Some((runtime, a.clone())), "{cgroup}");
        }
        for cgroup in
            ["", "0::/\n", "0::/user.slice/session-3.scope\n", &format!("0::/machine.slice/libpod-conmon-{a}.scope")]
        {
            assert_eq!(container_of(cgroup, ""), None, "{cgroup}");
        }
    }

    #[test]
    fn the_container_that_zubi_runs_in_owns_nothing_and_one_inside_it_does() {
        let (outer, inner) = (id('a'), id('b'));
        let own = format!("0::/docker/{outer}\n");
        assert_eq!(container_of(&own, &own), None);
        let nested = format!("0::/docker/{outer}/docker/{inner}\n");
        assert_eq!(container_of(&nested, &own), Some((Runtime::Docker, inner)));
    }

    #[test]
    fn a_monitor_names_its_container() {
        let of = |line: &str| monitored_by(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("/usr/bin/conmon --api-version 1 -c abc -u abc"), Some((Runtime::Podman, "abc".into())));
        let shim = "/usr/bin/containerd-shim-runc-v2 -namespace default -id web -address /run/c.sock";
        assert_eq!(of(shim), Some((Runtime::Containerd, "web".into())));
        assert_eq!(of("/bin/sh -c abc"), None);
        assert_eq!(monitored_by(&[]), None);
    }

    #[test]
    fn a_container_goes_before_a_process_and_a_process_before_a_name() {
        let files = [PathBuf::from("/run/netns/c9")];
        let container = process(7, &format!("0::/docker/{}", id('a')));
        let plain = process(5, "0::/\n");
        let all = owner_of([plain.clone(), container].into_iter(), "", &files).unwrap();
        assert_eq!(all.to_string(), format!("docker:{}", id('a')));
        assert_eq!(owner_of([plain.clone()].into_iter(), "", &files).unwrap().to_string(), "pid:5 (sleep) in c9");
        assert_eq!(owner_of([plain].into_iter(), "", &[]).unwrap().to_string(), "pid:5 (sleep)");
        assert_eq!(owner_of(std::iter::empty(), "", &files).unwrap().to_string(), "c9");
        assert_eq!(owner_of(std::iter::empty(), "", &[]), None);
    }
}
