//! Figures for Prometheus, at a socket in the run folder, and at an address of the loopback device where the settings
//! name one (`metrics-addr`).
//!
//! # Invariants
//! - However often somebody reads, the kernel and the records are looked at once in a while only.

mod page;

use crate::context::Context;
use crate::error::Error;
use crate::http::{self, Answer};
use crate::signals::Sign;
use crate::socket::Socket;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::sleep;
use zubi_model::{METRICS_SOCKET, PartState};

const PART: &str = "metrics";
/// The text format of OpenMetrics, which Prometheus asks for.
const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How old what is answered may be.
const FRESH: Duration = Duration::from_secs(1);
/// The pause before something that failed is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Serves figures until the daemon ends.
pub(crate) async fn run(mut context: Context) {
    let pages = Pages(Arc::new(Inner { context: context.clone(), last: Mutex::default() }));
    loop {
        match serve(&mut context, &pages).await {
            Ok(Sign::End) => return,
            Ok(Sign::Reload) => continue,
            Err(e) => context.board.tell(PART, PartState::Failing, e.to_string()),
        }
        tokio::select! {
            () = context.ended() => return,
            () = sleep(PAUSE) => {}
        }
    }
}

async fn serve(context: &mut Context, pages: &Pages) -> Result<Sign, Error> {
    let mut reloads = context.reloads();
    let path = context.engine().run_folder().join(METRICS_SOCKET);
    let address = context.engine().config().metrics;
    let socket = Socket::open(&path)?;
    let listener = match address {
        Some(address) => {
            let failed = Error::system(format!("metrics-addr {address}"), "listen");
            Some(TcpListener::bind(address).await.map_err(failed)?)
        }
        None => None,
    };
    let places = [Some(path.display().to_string()), address.map(|address| format!("http://{address}/metrics"))];
    let places: Vec<String> = places.into_iter().flatten().collect();
    context.board.tell(PART, PartState::Ok, format!("at {}", places.join(" and ")));
    let answer = |pages: &Pages| {
        let pages = pages.clone();
        move |request| {
            let pages = pages.clone();
            async move { pages.answer(&request).await }
        }
    };
    let by_address = async {
        match &listener {
            Some(listener) => http::serve(context.clone(), listener, PART, answer(pages)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = http::serve(context.clone(), &socket.listener, PART, answer(pages)) => Ok(Sign::End),
        () = by_address => Ok(Sign::End),
        _ = reloads.changed() => Ok(Sign::Reload),
    }
}

/// What is answered.
#[derive(Clone)]
struct Pages(Arc<Inner>);

struct Inner {
    context: Context,
    last: Mutex<Option<(Instant, Bytes)>>,
}

impl Pages {
    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        if request.uri().path() != "/metrics" {
            return response(StatusCode::NOT_FOUND, "text/plain", "the figures are at /metrics\n".into());
        }
        if request.method() != Method::GET {
            return response(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "figures can be read only: GET\n".into());
        }
        match self.page().await {
            Ok(page) => response(StatusCode::OK, TYPE, page),
            Err(e) => response(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{e}\n").into()),
        }
    }

    /// The text. Those who ask at once wait for one look.
    async fn page(&self) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        let mut last = self.0.last.lock().await;
        if let Some((_, page)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(page.clone());
        }
        let context = &self.0.context;
        let figures = context.call(zubi_engine::Session::figures).await?;
        let page = Bytes::from(page::page(&context.counts, &context.board.status(), &figures)?);
        *last = Some((Instant::now(), page.clone()));
        Ok(page)
    }
}

fn response(status: StatusCode, kind: &str, text: Bytes) -> Answer {
    Response::builder().status(status).header(CONTENT_TYPE, kind).body(Full::new(text))
}
