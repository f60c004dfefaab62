//! A bounded number of clients at a socket of any kind, each served by a task.

use crate::clients::{Clients, Place};
use crate::context::Context;
use crate::descriptors;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::yield_now;
use tokio::time::sleep;

/// A socket at which clients come in.
pub(crate) trait Listener: Sync {
    /// A connection.
    type Client: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next client.
    fn next(&self) -> impl Future<Output = io::Result<Self::Client>> + Send;
}

impl Listener for UnixListener {
    type Client = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(client, _)| client)
    }
}

impl Listener for TcpListener {
    type Client = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(client, _)| client)
    }
}

/// Serves clients until the daemon ends. One that asks nothing makes room for a new one.
pub(crate) async fn serve<L, F, T>(mut context: Context, listener: &L, part: &'static str, talk: F)
where
    L: Listener,
    F: Fn(L::Client, Arc<Place>) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let clients = Clients::new(descriptors::places());
    loop {
        let accepted = tokio::select! {
            () = context.ended() => return,
            accepted = listener.next() => accepted,
        };
        let (client, place) = match (accepted, clients.enter()) {
            (Ok(client), Some(place)) => (client, Arc::new(place)),
            // All connections are at work: this one has to come again.
            (Ok(_), None) => continue,
            (Err(e), _) => {
                tracing::warn!(part, "accept a connection: {e}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let talking = tokio::spawn(talk(client, Arc::clone(&place)));
        place.ends_by(talking.abort_handle());
        // A connection that made room is closed when its task is dropped.
        yield_now().await;
    }
}
