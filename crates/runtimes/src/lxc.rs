//! LXC's containers. The monitor of a running container listens on an abstract socket that ends with `/NAME/command`, and
//! tells the number of the first process (`LXC_CMD_GET_INIT_PID`, src/lxc/commands.h of LXC 2 to 6). Incus and LXD have
//! the same monitors.
//!
//! # Limits
//! LXC hashes paths that are too long for a socket's name (108 bytes): those containers are not found.

use crate::http::{HttpError, TIMEOUT, connect};
use crate::process::Process;
use crate::{Container, Runtime, RuntimeError};
use std::fs;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;
use zubi_model::Pid;

const RUNTIME: Runtime = Runtime::Lxc;
const GET_INIT_PID: i32 = 4;
/// struct lxc_cmd_req and struct lxc_cmd_rsp: two numbers and a pointer.
const LENGTH: usize = 8 + size_of::<usize>();

/// The running container with this name. `folder` has the stopped ones too, for the error.
pub(crate) fn look_up(proc: &Path, folder: &Path, name: &str) -> Result<Option<Container>, RuntimeError> {
    let mut sockets = sockets(proc, name)?;
    let Some(socket) = sockets.pop() else { return without_monitor(folder, name) };
    if !sockets.is_empty() {
        sockets.push(socket);
        sockets.sort();
        return Err(RuntimeError::Ambiguous { runtime: RUNTIME, name: name.to_owned(), candidates: sockets });
    }
    let from = PathBuf::from(format!("@{socket}"));
    let pid = init_pid(&socket).map_err(|e| match e {
        HttpError::Absent => not_running(name),
        HttpError::Slow => RuntimeError::Slow {
            runtime: RUNTIME,
            name: name.to_owned(),
            socket: from.clone(),
            seconds: TIMEOUT.as_secs(),
        },
        HttpError::Io { op, source } => {
            RuntimeError::Io { runtime: RUNTIME, name: name.to_owned(), op, path: from.clone(), source }
        }
        HttpError::Garbled(why) => {
            RuntimeError::Garbled { runtime: RUNTIME, name: name.to_owned(), from: from.clone(), why }
        }
    })?;
    let process = Process::read(proc, pid)
        .map_err(|e| RuntimeError::unreadable(RUNTIME, name, &proc.join(pid.to_string()), e))?
        .ok_or_else(|| RuntimeError::Gone { runtime: RUNTIME, name: name.to_owned(), pid })?;
    // Anybody may listen on any abstract socket, and name any process.
    if !is_trusted(proc, &process) {
        let why = format!("process {pid} is not a child of a monitor of root's or of yours");
        return Err(RuntimeError::Garbled { runtime: RUNTIME, name: name.to_owned(), from, why });
    }
    let (id, name) = (name.to_owned(), name.to_owned());
    Ok(Some(Container { runtime: RUNTIME, id, name, pid, started: process.started }))
}

fn not_running(name: &str) -> RuntimeError {
    RuntimeError::NotRunning { runtime: RUNTIME, name: name.to_owned(), status: "stopped".into() }
}

/// The sockets of monitors of containers with this name, without the `@` for which the list shows the first byte.
fn sockets(proc: &Path, name: &str) -> Result<Vec<String>, RuntimeError> {
    let list = proc.join("net/unix");
    let text = match fs::read(&list) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(RuntimeError::unreadable(RUNTIME, name, &list, e)),
    };
    let end = format!("/{name}/command");
    let text = String::from_utf8_lossy(&text);
    let names = text.lines().filter_map(|line| line.split_ascii_whitespace().nth(7)?.strip_prefix('@'));
    let mut found: Vec<String> = names.filter(|socket| socket.ends_with(&end)).map(str::to_owned).collect();
    // A connection that is open has the name of its listener.
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether it exists. A folder that is closed to this user says nothing.
fn without_monitor(folder: &Path, name: &str) -> Result<Option<Container>, RuntimeError> {
    match fs::metadata(folder.join(name).join("config")) {
        Ok(_) => Err(not_running(name)),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            Err(RuntimeError::unreadable(RUNTIME, name, folder, e))
        }
        Err(_) if folder.exists() => Ok(None),
        Err(_) => Err(RuntimeError::NotHere { runtime: RUNTIME, looked: folder.to_owned() }),
    }
}

fn init_pid(socket: &str) -> Result<Pid, HttpError> {
    let address = SocketAddr::from_abstract_name(socket).map_err(|source| HttpError::Io { op: "name", source })?;
    let mut stream = connect(address, Instant::now() + TIMEOUT, &|| {})?;
    let failed = |op| {
        move |source: io::Error| match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => HttpError::Slow,
            io::ErrorKind::UnexpectedEof => HttpError::Garbled("the answer ends in the middle".into()),
            _ => HttpError::Io { op, source },
        }
    };
    stream.set_read_timeout(Some(TIMEOUT)).map_err(failed("set up"))?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(failed("set up"))?;
    let mut request = [0; LENGTH];
    request[..4].copy_from_slice(&GET_INIT_PID.to_ne_bytes());
    stream.write_all(&request).map_err(failed("write to"))?;
    let mut answer = [0; LENGTH];
    stream.read_exact(&mut answer).map_err(failed("read from"))?;
    let number = |at: usize| answer[at..].first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    match (number(0), u32::try_from(number(8))) {
        (0, Ok(pid)) if pid > 0 => Ok(Pid(pid)),
        (result, _) => Err(HttpError::Garbled(format!("it names no process ({result})"))),
    }
}

/// Whether the process is a child of one of root's or of this user's.
fn is_trusted(proc: &Path, process: &Process) -> bool {
    let owner = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.uid());
    let monitor = owner(&proc.join(process.parent.to_string()));
    monitor.is_some_and(|uid| uid == 0 || Some(uid) == owner(Path::new("/proc/self")))
}
