//! HTTP on the plug-in socket.

use crate::context::Context;
use crate::docker::driver::Driver;
use crate::docker::part::PART;
use crate::http::{self, Answer};
use crate::socket::Socket;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
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
                let serving = context.clone();
                let answer = move |request| {
                    let (context, driver) = (serving.clone(), Arc::clone(&driver));
                    async move { answer(&context, &driver, request).await }
                };
                return http::serve(context, &socket.listener, PART, answer).await;
            }
            Err(e) => context.board.tell(PART, PartState::Failing, e.to_string()),
        }
        tokio::select! {
            () = context.ended() => return,
            () = sleep(PAUSE) => {}
        }
    }
}

async fn answer(context: &Context, driver: &Arc<Driver>, request: Request<Incoming>) -> Answer {
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
    let began = Instant::now();
    let served = |outcome| context.counts.served_docker(&path, outcome, began.elapsed());
    let driver = Arc::clone(driver);
    let worker = Arc::clone(&driver);
    let work = context.call(move |session| Ok(worker.perform(session, intent)));
    match timeout(WORK, work).await {
        Ok(Ok(Ok(text))) => {
            tracing::debug!(part = PART, path, "done");
            served("done");
            response(StatusCode::OK, text)
        }
        Ok(Ok(Err(failure))) => {
            served("refused");
            refused(&path, interface, &failure)
        }
        Ok(Err(e)) => {
            served("failed");
            refused(&path, interface, &e)
        }
        Err(_) => {
            served("too_late");
            refused(&path, interface, &format!("zubi did not finish within {} s; try again", WORK.as_secs()))
        }
    }
}

/// An error has the status of a success, and a form of its own.
fn refused(path: &str, interface: Interface, why: &impl std::fmt::Display) -> Answer {
    tracing::warn!(part = PART, path, "{why}");
    response(StatusCode::OK, reply::error(interface, why))
}

fn response(status: StatusCode, text: String) -> Answer {
    Response::builder().status(status).header(CONTENT_TYPE, reply::CONTENT_TYPE).body(Full::new(Bytes::from(text)))
}
