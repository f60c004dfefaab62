//! Docker's HTTP interface, which Podman's service has too: `GET /containers/NAME/json` (Docker Engine API, "Inspect a
//! container").

use crate::error::quoted;
use crate::http::{self, HttpError, TIMEOUT};
use crate::process::Process;
use crate::{Container, Runtime, RuntimeError};
use serde::Deserialize;
use std::path::Path;
use zubi_model::{Pid, Progress};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    name: String,
    state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    pid: u32,
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
struct Complaint {
    message: String,
}

/// Asks the daemon at `socket` for the container `name`, which must be valid in a request line.
pub(crate) fn inspect(
    runtime: Runtime,
    socket: &Path,
    proc: &Path,
    progress: &Progress,
    name: &str,
) -> Result<Option<Container>, RuntimeError> {
    let asking = progress.begin();
    let waiting = || asking.step(|| format!("waiting for an answer of {} at {}", runtime.scheme(), socket.display()));
    let garbled = |why: String| RuntimeError::Garbled { runtime, name: name.to_owned(), from: socket.to_owned(), why };
    let response = http::get(socket, &format!("/containers/{name}/json"), &waiting).map_err(|e| match e {
        HttpError::Absent => RuntimeError::NotHere { runtime, looked: socket.to_owned() },
        HttpError::Slow => {
            RuntimeError::Slow { runtime, name: name.to_owned(), socket: socket.to_owned(), seconds: TIMEOUT.as_secs() }
        }
        HttpError::Io { op, source } => {
            RuntimeError::Io { runtime, name: name.to_owned(), op, path: socket.to_owned(), source }
        }
        HttpError::Garbled(why) => garbled(why),
    })?;
    match response.status {
        200 => {}
        404 => return Ok(None),
        status => {
            let message = match serde_json::from_slice::<Complaint>(&response.body) {
                Ok(complaint) => quoted(&complaint.message),
                Err(_) => quoted(&String::from_utf8_lossy(&response.body)),
            };
            return Err(RuntimeError::Refused { runtime, name: name.to_owned(), status, message });
        }
    }
    let inspected: Inspected = serde_json::from_slice(&response.body).map_err(|e| garbled(e.to_string()))?;
    // Docker puts a slash before names.
    let found = quoted(inspected.name.trim_start_matches('/'));
    let State { running, pid, status } = inspected.state;
    if !running || pid == 0 {
        let status = if status.is_empty() { "stopped".to_owned() } else { quoted(&status) };
        return Err(RuntimeError::NotRunning { runtime, name: found, status });
    }
    let pid = Pid(pid);
    match Process::read(proc, pid) {
        Ok(Some(process)) => {
            let id = quoted(&inspected.id);
            Ok(Some(Container { runtime, id, name: found, pid, started: process.started }))
        }
        Ok(None) => Err(RuntimeError::Gone { runtime, name: found, pid }),
        Err(e) => Err(RuntimeError::unreadable(runtime, &found, &proc.join(pid.to_string()), e)),
    }
}
