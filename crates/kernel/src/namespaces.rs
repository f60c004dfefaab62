//! The network namespaces of this machine: the processes in each, and the files that lead to it.
//!
//! # How it works
//! One walk through /proc and through the folders where runtimes bind namespaces. Files that lead to one namespace have
//! one inode number. Nothing is opened for that.
//!
//! # Limits
//! A namespace that only a thread, an open descriptor or a file elsewhere keeps is not found, and neither is that of a
//! process which the caller may not trace (ptrace(2), PTRACE_MODE_READ).

use crate::error::Error;
use crate::netns::{Netns, OWN};
use crate::session::Session;
use crate::socket::Kept;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zubi_model::NsRef;
use zubi_plan::Place;
use zubi_wire::Batch;
use zubi_wire::route::NetnsId;

/// Where namespaces are bound: by `ip netns` and most runtimes, by Docker.
const FOLDERS: [&str; 2] = [crate::named::FOLDER, "/run/docker/netns"];
/// How many namespaces are open at a time.
const MOST_OPEN: usize = 8;

/// A network namespace other than the host's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetnsFound {
    /// The processes in it, by number.
    pub processes: Vec<u32>,
    /// The files that it is bound to.
    pub files: Vec<PathBuf>,
}

impl NetnsFound {
    /// A path that leads to it: a file stays when a process ends.
    pub fn path(&self) -> PathBuf {
        let of_process = |pid| PathBuf::from(format!("/proc/{pid}/ns/net"));
        self.files.first().cloned().or_else(|| self.processes.first().map(of_process)).unwrap_or_default()
    }
}

/// What /proc tells of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSeen {
    /// Its number.
    pub pid: u32,
    /// Its name (`comm`), as the process may have set it itself.
    pub command: String,
    /// Its control groups (`/proc/PID/cgroup`, cgroups(7)).
    pub cgroup: String,
    /// The words of its parent's command line.
    pub parent: Vec<String>,
}

impl ProcessSeen {
    /// Reads it; `None` for a process that has ended.
    pub fn read(pid: u32) -> Option<Self> {
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).ok();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let command = text(read("comm")?).trim_end_matches('\n').to_owned();
        // The name may have brackets and spaces of its own; the parent is the second field behind it (proc(5)).
        let stat = text(read("stat")?);
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let parent = fields.split_ascii_whitespace().nth(1).unwrap_or_default();
        let words = text(fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default());
        Some(ProcessSeen {
            pid,
            command,
            cgroup: text(read("cgroup").unwrap_or_default()),
            parent: words.split_terminator('\0').map(str::to_owned).collect(),
        })
    }
}

impl Session {
    /// Every network namespace that this process may see, except the host's.
    pub fn namespaces(&self) -> Result<Vec<NetnsFound>, Error> {
        let kind = fs::metadata(OWN).map_err(|e| Error::system("examine", OWN, e))?.dev();
        let mut all: BTreeMap<u64, NetnsFound> = BTreeMap::new();
        let see = |path: &Path| {
            // A file that nothing is bound to is on another device.
            let inode = fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))?;
            (inode.0 == kind && !self.machine.home().is(inode)).then_some(inode.1)
        };
        for pid in pids()? {
            if let Some(inode) = see(Path::new(&format!("/proc/{pid}/ns/net"))) {
                all.entry(inode).or_default().processes.push(pid);
            }
        }
        for file in FOLDERS.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
            if let Some(inode) = see(&file.path()) {
                all.entry(inode).or_default().files.push(file.path());
            }
        }
        let sorted = |mut found: NetnsFound| {
            found.processes.sort_unstable();
            found.files.sort();
            found
        };
        Ok(all.into_values().map(sorted).collect())
    }

    /// The numbers by which the host refers to these namespaces; `None` for one without a number, and for one that has
    /// ended or cannot be opened.
    pub fn netns_ids(&mut self, found: &[NetnsFound]) -> Result<Vec<Option<NetnsId>>, Error> {
        let mut ids = Vec::new();
        for some in found.chunks(MOST_OPEN) {
            let open: Vec<Option<Netns>> = some.iter().map(|one| Netns::open_any(&one.path()).ok()).collect();
            let mut batch = Batch::new();
            for netns in open.iter().flatten() {
                NetnsId::get(&mut batch, netns.raw_fd().cast_unsigned());
            }
            let mut answers = self.route()?.ask("numbers of namespaces", &batch)?.into_iter();
            ids.extend(open.iter().map(|netns| {
                netns.as_ref()?;
                answers.next()?.objects.iter().map(Kept::message).find_map(|m| NetnsId::parse(&m))
            }));
        }
        Ok(ids)
    }

    /// The number by which the host refers to a sandbox, if it does.
    pub fn netns_id(&mut self, sandbox: &NsRef) -> Result<Option<NetnsId>, Error> {
        self.open_sandbox(sandbox)?;
        let Some(netns) = self.sandbox(sandbox).map(|netns| netns.raw_fd().cast_unsigned()) else { return Ok(None) };
        let mut batch = Batch::new();
        NetnsId::get(&mut batch, netns);
        let answer = self.route()?.ask("number of a namespace", &batch)?.pop().unwrap_or_default();
        match answer.outcome {
            Some(Err(source)) => Err(Error::Netlink { object: "number of a namespace".into(), source, hint: None }),
            _ => Ok(answer.objects.iter().map(Kept::message).find_map(|m| NetnsId::parse(&m))),
        }
    }

    /// Whether the namespace that has this number at a place exists. When the last process has left one, its devices
    /// can be seen until the kernel has taken them down, for some milliseconds or, among many others, seconds.
    pub fn exists(&mut self, place: &Place, id: NetnsId) -> Result<bool, Error> {
        let mut batch = Batch::new();
        id.find(&mut batch);
        let answer = self.socket(place)?.ask("number of a namespace", &batch)?.into_iter().next();
        match answer.and_then(|answer| answer.outcome) {
            Some(Err(source)) if source.errno == libc::ENOENT => Ok(false),
            Some(Err(source)) => Err(Error::Netlink { object: "number of a namespace".into(), source, hint: None }),
            _ => Ok(true),
        }
    }

    /// The processes of the host's namespace that have these tun or tap devices of the host open: what a virtual
    /// machine's device is attached to.
    pub fn tap_holders(&self, devices: &HashSet<&str>) -> Result<HashMap<String, u32>, Error> {
        let mut holders = HashMap::new();
        if devices.is_empty() {
            return Ok(holders);
        }
        for pid in pids()? {
            let process = PathBuf::from(format!("/proc/{pid}"));
            // A device of the same name may be in the namespace of another process.
            let is_home =
                fs::metadata(process.join("ns/net")).is_ok_and(|meta| self.machine.home().is((meta.dev(), meta.ino())));
            let Ok(open) = fs::read_dir(process.join("fd")) else { continue };
            if !is_home {
                continue;
            }
            for fd in open.flatten().filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.ends_with("net/tun"))) {
                // `iff:	vnet0` (tun_chr_show_fdinfo in drivers/net/tun.c).
                let info = fs::read_to_string(process.join("fdinfo").join(fd.file_name())).unwrap_or_default();
                let device = info.lines().find_map(|line| line.strip_prefix("iff:")).map(str::trim);
                if let Some(device) = device.filter(|device| devices.contains(device)) {
                    holders.entry(device.to_owned()).or_insert(pid);
                }
            }
        }
        Ok(holders)
    }
}

fn pids() -> Result<Vec<u32>, Error> {
    let entries = fs::read_dir("/proc").map_err(|e| Error::system("list", "/proc", e))?;
    Ok(entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
}
