//! Names: the name server of all networks.
//!
//! # How it works
//! Each network's gateway address has a socket for datagrams and one for connections. Whatever comes in goes through
//! one [`Resolver`], which first reads what the records say by now (`following.rs`), then answers or asks a server of
//! the host's (`elsewhere.rs`). What is answered, and to whom, is `zubi-names`' to decide.
//!
//! A command makes a network or an endpoint visible by renaming its record, and the kernel queues the event of
//! inotify(7) while it does. So a question that is sent after an attach has returned is read after that event.
//!
//! # Invariants
//! - Nothing listens on a wildcard address: hosts have resolvers on port 53 already.
//! - Memory and descriptors have bounds: for questions elsewhere and those who wait for one, for connections in all and
//!   of one asker, and for the cache.

mod connections;
mod datagrams;
mod elsewhere;
mod following;
mod host_files;
mod listening;
mod part;
mod random;
mod resolver;

use crate::changes::Changes;
use crate::context::Context;
use crate::error::Error;
use crate::signals::Sign;
use listening::Listening;
use part::PART;
use resolver::Resolver;
use std::time::Duration;
use zubi_model::{NameService, PartState};

/// How soon an address whose port is taken is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the sockets are looked at without a cause.
const QUIET: Duration = Duration::from_secs(300);
/// How long a part that does not start waits.
const PAUSE: Duration = Duration::from_secs(5);

/// Answers questions about names until the daemon ends.
pub(crate) async fn run(mut context: Context, mut changes: Changes) {
    loop {
        let why = match serve(&mut context, &mut changes).await {
            Ok(Sign::End) => return,
            Ok(Sign::Reload) => continue,
            Err(why) => why,
        };
        context.board.tell(PART, PartState::Failing, why.to_string());
        tokio::select! {
            () = context.ended() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn serve(context: &mut Context, changes: &mut Changes) -> Result<Sign, Error> {
    let mut reloads = context.reloads();
    if context.engine().config().names.service == NameService::Off {
        context.board.tell(PART, PartState::Off, "the settings say so (dns)");
        tokio::select! {
            () = context.ended() => return Ok(Sign::End),
            _ = reloads.changed() => return Ok(Sign::Reload),
        }
    }
    let resolver = Resolver::new(context)?;
    let mut listening = Listening::new(resolver.clone(), &context.engine().run_folder());
    loop {
        changes.mark_unchanged();
        resolver.catch_up();
        let zones = resolver.zones();
        let taken = listening.serve(&zones);
        let names = zones.len();
        match taken.first() {
            Some(why) => context.board.tell(PART, PartState::Failing, why.clone()),
            None if names == 0 => context.board.tell(PART, PartState::Off, "no networks with names"),
            None => context.board.tell(PART, PartState::Ok, format!("{names} networks")),
        }
        let pause = if taken.is_empty() { QUIET } else { AGAIN };
        tokio::select! {
            () = context.ended() => return Ok(Sign::End),
            _ = reloads.changed() => return Ok(Sign::Reload),
            () = resolver.networks_changed() => {}
            () = tokio::time::sleep(pause) => {}
            there = changes.changed() => if there.is_err() { return Ok(Sign::End) },
        }
    }
}
