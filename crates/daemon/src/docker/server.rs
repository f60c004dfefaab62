//! HTTP on the plug-in socket.

use crate::clients::{Clients, Place};
use crate::context::Context;
use crate::descriptors;
use crate::docker::driver::Driver;
use crate::docker::part::PART;
use crate::docker::socket::Socket;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, http};
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use zubi_docker::{Interface, LARGEST_REQUEST, Refusal, interpret, reply};
use zubi_model::PartState;

/// So long a request may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);
/// So long the work for a request may take: longer than a wait for a lock of a command.
const WORK: Duration = Duration::from_secs(45);
/// The pause before something that failed is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Serves Docker until the daemon ends.
pub(super) async fn run(mut context: Context, path: PathBuf, driver: Arc<Driver>) {
    loop {
        match Socket::open(&path) {
            Ok(socket) => {
                context.board.tell(PART, PartState::Ok, format!("listens at {}", path.display()));
                return serve(context, socket, driver).await;
            }
            Err(e) => context.board.tell(PART, PartState::Failing, e.to_string()),
        }
        tokio::select! {
            () = context.ended() => return,
            () = sleep(PAUSE) => {}
        }
    }
}

async fn serve(mut context: Context, socket: Socket, driver: Arc<Driver>) {
    let clients = Clients::new(descriptors::places());
    loop {
        let accepted = tokio::select! {
            () = context.ended() => return,
            accepted = socket.listener.accept() => accepted,
        };
        let (place, client) = match (accepted, clients.enter()) {
            (Ok((client, _)), Some(place)) => (place, client),
            // All connections are at work: this one has to come again.
            (Ok(_), None) => continue,
            (Err(e), _) => {
                tracing::warn!(part = PART, "accept a connection: {e}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = Arc::new(place);
        let task = tokio::spawn(talk(context.clone(), client, Arc::clone(&place), Arc::clone(&driver)));
        place.ends_by(task.abort_handle());
        // A connection that made room is closed when its task is dropped.
        yield_now().await;
    }
}

async fn talk(mut context: Context, client: UnixStream, place: Arc<Place>, driver: Arc<Driver>) {
    let serving = context.clone();
    let service = service_fn(move |request| {
        let (context, driver, place) = (serving.clone(), Arc::clone(&driver), Arc::clone(&place));
        async move {
            let _serving = place.serve();
            answer(&context, &driver, request).await
        }
    });
    // Any Host header is accepted, and none: old engines send the path of the socket.
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

async fn answer(
    context: &Context,
    driver: &Arc<Driver>,
    request: Request<Incoming>,
) -> http::Result<Response<Full<Bytes>>> {
    let path = request.uri().path().to_owned();
    if request.method() != Method::POST {
        return response(StatusCode::METHOD_NOT_ALLOWED, "Docker's plug-in protocol has POST only\n".into());
    }
    let body = Limited::new(request.into_body(), LARGEST_REQUEST + 1).collect();
    let body = match timeout(ARRIVAL, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(e)) => return response(StatusCode::BAD_REQUEST, format!("cannot read the request: {e}\n")),
        Err(_) => return response(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time\n".into()),
    };
    let intent = match interpret(&path, &body) {
        Ok(intent) => intent,
        Err(Refusal::Unknown) => return response(StatusCode::NOT_FOUND, format!("{path} is no method of zubi's\n")),
        Err(Refusal::Wrong { interface, error }) => return refused(&path, interface, &error),
    };
    let interface = intent.interface();
    let driver = Arc::clone(driver);
    let worker = Arc::clone(&driver);
    let work = context.call(move |session| Ok(worker.perform(session, intent)));
    match timeout(WORK, work).await {
        Ok(Ok(Ok(text))) => {
            tracing::debug!(part = PART, path, "done");
            response(StatusCode::OK, text)
        }
        Ok(Ok(Err(failure))) => refused(&path, interface, &failure),
        Ok(Err(e)) => refused(&path, interface, &e),
        Err(_) => refused(&path, interface, &format!("zubi did not finish within {} s; try again", WORK.as_secs())),
    }
}

/// An error has the status of a success, and a form of its own.
fn refused(path: &str, interface: Interface, why: &impl std::fmt::Display) -> http::Result<Response<Full<Bytes>>> {
    tracing::warn!(part = PART, path, "{why}");
    response(StatusCode::OK, reply::error(interface, why))
}

fn response(status: StatusCode, text: String) -> http::Result<Response<Full<Bytes>>> {
    Response::builder().status(status).header(CONTENT_TYPE, reply::CONTENT_TYPE).body(Full::new(Bytes::from(text)))
}
