//! The socket that `zubi status` and `zubi events` ask: a line of JSON in, lines of JSON out.

use crate::accept;
use crate::clients::Place;
use crate::context::Context;
use crate::error::Error;
use serde_json::json;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
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

    /// Serves clients until the daemon ends.
    pub(crate) async fn serve(self, context: Context) {
        let talking = context.clone();
        accept::serve(context, &self.listener, "control", |client, place| {
            let mut context = talking.clone();
            async move {
                let ended = context.clone();
                tokio::select! {
                    // A client that has gone needs no answer.
                    _ = serve(client, &place, &ended) => {}
                    () = context.ended() => {}
                }
            }
        })
        .await;
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
