//! Docker's event stream (Docker Engine API, `GET /events`): it says *when* to look. What happened is for the engine to
//! find.

use std::io;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Containers start, end, go, and get other names.
const REQUEST: &[u8] = b"GET /events?filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%2C\
    %22die%22%2C%22destroy%22%2C%22rename%22%5D%7D HTTP/1.1\r\nHost: docker\r\n\r\n";

/// A stream of events.
#[derive(Debug)]
pub(crate) struct Events(UnixStream);

impl Events {
    /// Asks the daemon at a socket for its events.
    pub(crate) async fn of(socket: &Path) -> io::Result<Events> {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(REQUEST).await?;
        Ok(Events(stream))
    }

    /// Returns when something happened. An error means that the stream has ended.
    pub(crate) async fn next(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        match self.0.read(&mut buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
