//! The machines of systemd-machined: containers of systemd-nspawn, and what else registers there. It writes a file for
//! each, `NAME`, with lines `KEY=VALUE` (src/machine/machine.c, `machine_save`).

use crate::process::Process;
use crate::{Container, Runtime, RuntimeError};
use std::fs;
use std::io;
use std::path::Path;
use zubi_model::Pid;

const RUNTIME: Runtime = Runtime::Machine;

/// The running machine with this name.
pub(crate) fn look_up(proc: &Path, folder: &Path, name: &str) -> Result<Option<Container>, RuntimeError> {
    let file = folder.join(name);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound && folder.exists() => return Ok(None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(RuntimeError::NotHere { runtime: RUNTIME, looked: folder.to_owned() });
        }
        Err(e) => return Err(RuntimeError::unreadable(RUNTIME, name, &file, e)),
    };
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let garbled = |why: &str| RuntimeError::Garbled {
        runtime: RUNTIME,
        name: name.to_owned(),
        from: file.clone(),
        why: why.to_owned(),
    };
    // Its leader is a process of the host's.
    if value("CLASS") == Some("vm") {
        return Err(garbled("it is a virtual machine, which has no namespace"));
    }
    let leader = value("LEADER").ok_or_else(|| garbled("it has no LEADER"))?;
    let pid: u32 = leader.parse().map_err(|_| garbled("its LEADER is no process id"))?;
    let pid = Pid(pid);
    match Process::read(proc, pid) {
        Ok(Some(process)) => {
            let (id, name) = (value("ID").unwrap_or(name).to_owned(), name.to_owned());
            Ok(Some(Container { runtime: RUNTIME, id, name, pid, started: process.started }))
        }
        Ok(None) => Err(RuntimeError::Gone { runtime: RUNTIME, name: name.to_owned(), pid }),
        Err(e) => Err(RuntimeError::unreadable(RUNTIME, name, &proc.join(pid.to_string()), e)),
    }
}
