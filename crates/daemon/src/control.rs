//! The socket that `zubi status` and `zubi events` ask: a line of JSON in, lines of JSON out.

use crate::clients::{Clients, Place};
use crate::context::Context;
use crate::descriptors;
use crate::error::Error;
use serde_json::json;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::yield_now;
use tokio::time::timeout;
use zubi_model::{DAEMON_SOCKET, DaemonQuestion};

/// A question is shorter than this.
const LONGEST: u64 = 1024;
/// So long a client may take to ask.
const PATIENCE: Duration = Duration::from_secs(1);

/// The socket, until it is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Makes the socket. The caller holds the daemon's lock, so a socket that is there has no owner.
    pub(crate) fn open(run: &Path) -> Result<Self, Error> {
        let path = run.join(DAEMON_SOCKET);
        let object = || format!("socket {}", path.display());
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::system(object(), "remove")(e)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(Error::system(object(), "make"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(Error::system(object(), "chmod"))?;
        Ok(Control { listener, path })
    }

    /// Serves clients until the daemon ends. One that asks nothing makes room for a new one.
    pub(crate) async fn serve(self, mut context: Context) {
        let clients = Clients::new(descriptors::places());
        loop {
            let accepted = tokio::select! {
                () = context.ended() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (client, place) = match (accepted, clients.enter()) {
                (Ok((client, _)), Some(place)) => (client, Arc::new(place)),
                // All have asked for something that goes on: this one has to come again.
                (Ok(_), None) => continue,
                (Err(e), _) => {
                    tracing::warn!(part = "control", "accept a client: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (mut context, own) = (context.clone(), Arc::clone(&place));
            let task = tokio::spawn(async move {
                let ended = context.clone();
                tokio::select! {
                    // A client that has gone needs no answer.
                    _ = serve(client, &own, &ended) => {}
                    () = context.ended() => {}
                }
            });
            place.ends_by(task.abort_handle());
            // A connection that made room is closed when its task is dropped.
            yield_now().await;
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

async fn serve(client: UnixStream, place: &Place, context: &Context) -> io::Result<()> {
    let (reading, mut writing) = client.into_split();
    let mut question = String::new();
    let mut reading = BufReader::new(reading.take(LONGEST));
    match timeout(PATIENCE, reading.read_line(&mut question)).await {
        Ok(read) => read?,
        Err(_) => return Ok(()),
    };
    let _serving = place.serve();
    match serde_json::from_str(&question) {
        Ok(DaemonQuestion::Status) => writing.write_all(line(&json!(context.board.status())).as_bytes()).await,
        Ok(DaemonQuestion::Events) => {
            let mut happenings = context.board.listen();
            loop {
                match happenings.recv().await {
                    Ok(happening) => writing.write_all(line(&json!(happening)).as_bytes()).await?,
                    Err(RecvError::Lagged(missed)) => {
                        writing.write_all(line(&json!({ "missed": missed })).as_bytes()).await?;
                    }
                    Err(RecvError::Closed) => return Ok(()),
                }
            }
        }
        Err(e) => writing.write_all(line(&json!({ "error": e.to_string() })).as_bytes()).await,
    }
}

fn line(value: &serde_json::Value) -> String {
    format!("{value}\n")
}
