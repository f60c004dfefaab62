//! Docker's HTTP interface, which Podman's service has too: `GET /containers/NAME/json` (Docker Engine API, "Inspect a
//! container").

use crate::error::quoted;
use crate::http::{self, HttpError, TIMEOUT};
use crate::process::Process;
use crate::{Container, Runtime, RuntimeError};
use serde::Deserialize;
use std::collections::BTreeMap;
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

/// A network as Docker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineNetwork {
    /// 64 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The driver: `bridge`, `zubi`.
    pub driver: String,
    /// The bridge, where the engine's own driver made one.
    pub bridge: Option<String>,
    /// The endpoints that the engine has.
    pub endpoints: Vec<EngineEndpoint>,
}

/// An endpoint as Docker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEndpoint {
    /// 64 hex digits.
    pub id: String,
    /// The name of its container.
    pub container: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedNetwork {
    id: String,
    name: String,
    #[serde(default)]
    driver: String,
    options: Option<BTreeMap<String, String>>,
    containers: Option<BTreeMap<String, Attached>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attached {
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Connected {
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    networks: Option<BTreeMap<String, OnNetwork>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OnNetwork {
    #[serde(rename = "EndpointID", default)]
    endpoint: String,
    aliases: Option<Vec<String>>,
    /// From Docker 25 on: its name, aliases, short id and host name.
    #[serde(rename = "DNSNames")]
    dns_names: Option<Vec<String>>,
}

/// Asks the daemon at `socket` for the further names that a container has by its endpoint. Both must be valid in a request
/// line. None when there is no such container, or it has no such endpoint.
pub(crate) fn names_by_endpoint(
    runtime: Runtime,
    socket: &Path,
    progress: &Progress,
    container: &str,
    endpoint: &str,
) -> Result<Vec<String>, RuntimeError> {
    let path = format!("/containers/{container}/json");
    let Some(body) = ask(runtime, socket, progress, container, &path)? else { return Ok(Vec::new()) };
    let garbled =
        |why: String| RuntimeError::Garbled { runtime, name: container.to_owned(), from: socket.to_owned(), why };
    let seen: Connected = serde_json::from_slice(&body).map_err(|e| garbled(e.to_string()))?;
    let networks = seen.network_settings.networks.unwrap_or_default();
    let it = networks.into_values().find(|network| network.endpoint == endpoint);
    let mut names: Vec<String> = Vec::new();
    for name in it.into_iter().flat_map(|it| [it.aliases, it.dns_names]).flatten().flatten() {
        let name = quoted(&name);
        if name != container && !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Asks the daemon at `socket` for the network `name`, which must be valid in a request line.
pub(crate) fn inspect_network(
    runtime: Runtime,
    socket: &Path,
    progress: &Progress,
    name: &str,
) -> Result<Option<EngineNetwork>, RuntimeError> {
    let Some(body) = ask(runtime, socket, progress, name, &format!("/networks/{name}"))? else { return Ok(None) };
    let garbled = |why: String| RuntimeError::Garbled { runtime, name: name.to_owned(), from: socket.to_owned(), why };
    let seen: InspectedNetwork = serde_json::from_slice(&body).map_err(|e| garbled(e.to_string()))?;
    let bridge = (seen.driver == "bridge").then(|| {
        let named = seen.options.as_ref().and_then(|options| options.get("com.docker.network.bridge.name"));
        named.map_or_else(|| format!("br-{}", seen.id.get(..12).unwrap_or(&seen.id)), |name| quoted(name))
    });
    let attached = seen.containers.unwrap_or_default();
    let endpoints =
        attached.into_values().map(|of| EngineEndpoint { id: quoted(&of.endpoint), container: quoted(&of.name) });
    Ok(Some(EngineNetwork {
        id: quoted(&seen.id),
        name: quoted(&seen.name),
        driver: quoted(&seen.driver),
        bridge,
        endpoints: endpoints.collect(),
    }))
}

/// Asks the daemon at `socket` for the container `name`, which must be valid in a request line.
pub(crate) fn inspect(
    runtime: Runtime,
    socket: &Path,
    proc: &Path,
    progress: &Progress,
    name: &str,
) -> Result<Option<Container>, RuntimeError> {
    let garbled = |why: String| RuntimeError::Garbled { runtime, name: name.to_owned(), from: socket.to_owned(), why };
    let path = format!("/containers/{name}/json");
    let Some(body) = ask(runtime, socket, progress, name, &path)? else { return Ok(None) };
    let inspected: Inspected = serde_json::from_slice(&body).map_err(|e| garbled(e.to_string()))?;
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

/// The body of an answer; `None` when there is no such object. `name`: of the object, for errors.
fn ask(
    runtime: Runtime,
    socket: &Path,
    progress: &Progress,
    name: &str,
    path: &str,
) -> Result<Option<Vec<u8>>, RuntimeError> {
    let asking = progress.begin();
    let waiting = || asking.step(|| format!("waiting for an answer of {} at {}", runtime.scheme(), socket.display()));
    let garbled = |why: String| RuntimeError::Garbled { runtime, name: name.to_owned(), from: socket.to_owned(), why };
    let response = http::get(socket, path, &waiting).map_err(|e| match e {
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
        200 => Ok(Some(response.body)),
        404 => Ok(None),
        status => {
            let message = match serde_json::from_slice::<Complaint>(&response.body) {
                Ok(complaint) => quoted(&complaint.message),
                Err(_) => quoted(&String::from_utf8_lossy(&response.body)),
            };
            Err(RuntimeError::Refused { runtime, name: name.to_owned(), status, message })
        }
    }
}
