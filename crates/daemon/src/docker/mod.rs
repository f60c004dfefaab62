//! Docker's plug-in socket: zubi as a network driver and as its address management.
//!
//! # How it works
//! The engine sends a request for each step of a network and of an endpoint (`zubi-docker`). A request becomes calls of
//! the engine of zubi (`driver.rs`, `addresses.rs`), one session each. What Docker does not tell a driver, names, is asked
//! for afterwards (`names.rs`): a question to Docker while it waits for an answer would wait for itself.
//!
//! # Invariants
//! - Every request can come again, in any order, and about what never was.
//! - Docker has no time limit of its own, so each request has one here.
//! - What was promised and not made is lost with the daemon; everything else is in records.

mod addresses;
mod driver;
mod failure;
mod names;
mod part;
mod promises;
mod reserved;
mod server;

use crate::context::Context;
use driver::Driver;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Starts serving Docker, unless the path is empty.
pub(crate) fn start(tasks: &mut JoinSet<()>, context: &Context, path: &Path) {
    if path.as_os_str().is_empty() {
        return;
    }
    let changed = Arc::new(Notify::new());
    let driver = Arc::new(Driver::new(Arc::clone(&changed)));
    tasks.spawn(server::run(context.clone(), path.to_owned(), driver));
    tasks.spawn(names::run(context.clone(), changed));
}
