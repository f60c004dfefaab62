//! HTTP for a bounded number of clients, at a socket of any kind.

use crate::accept::{self, Listener};
use crate::clients::Place;
use crate::context::Context;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, http};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};

/// What a request is answered with.
pub(crate) type Answer = http::Result<Response<Full<Bytes>>>;

/// Serves requests until the daemon ends.
pub(crate) async fn serve<L, F, A>(context: Context, listener: &L, part: &'static str, answer: F)
where
    L: Listener,
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let talking = context.clone();
    accept::serve(context, listener, part, move |client, place| talk(talking.clone(), client, place, answer.clone()))
        .await;
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
