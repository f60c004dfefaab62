//! What Docker does not tell a driver: the names of networks and containers. They are asked for when a request has been
//! answered.

use crate::context::Context;
use std::sync::Arc;
use tokio::sync::Notify;

/// Asks for names whenever there may be new ones, until the daemon ends.
pub(super) async fn run(mut context: Context, changed: Arc<Notify>) {
    loop {
        tokio::select! {
            () = context.ended() => return,
            () = changed.notified() => {}
        }
    }
}
