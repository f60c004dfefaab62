//! HTTP for a bounded number of clients, at a socket of any kind.

use crate::clients::{Clients, Place};
use crate::context::Context;
use crate::descriptors;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, http};
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::yield_now;
use tokio::time::sleep;

/// What a request is answered with.
pub(crate) type Answer = http::Result<Response<Full<Bytes>>>;

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

/// Serves clients until the daemon ends.
pub(crate) async fn serve<L, F, A>(mut context: Context, listener: &L, part: &'static str, answer: F)
where
    L: Listener,
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let clients = Clients::new(descriptors::places());
    loop {
        let accepted = tokio::select! {
            () = context.ended() => return,
            accepted = listener.next() => accepted,
        };
        let (place, client) = match (accepted, clients.enter()) {
            (Ok(client), Some(place)) => (place, client),
            // All connections are at work: this one has to come again.
            (Ok(_), None) => continue,
            (Err(e), _) => {
                tracing::warn!(part, "accept a connection: {e}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = Arc::new(place);
        let task = tokio::spawn(talk(context.clone(), client, Arc::clone(&place), answer.clone()));
        place.ends_by(task.abort_handle());
        // A connection that made room is closed when its task is dropped.
        yield_now().await;
    }
}

async fn talk<C, F, A>(mut context: Context, client: C, place: Arc<Place>, answer: F)
where
    C: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Answer>,
{
    let service = service_fn(|request| {
        let serving = place.serve();
        let answer = answer(request);
        async {
            let _serving = serving;
            answer.await
        }
    });
    // Any Host header is accepted, and none: old engines of Docker send the path of the socket.
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // A client that breaks off is no failure of ours.
        _ = connection.as_mut() => return,
        () = context.ended() => {}
    }
    // The answers that are being made are sent.
    connection.as_mut().graceful_shutdown();
    connection.await.ok();
}
