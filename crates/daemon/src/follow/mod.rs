//! Brings followed sandboxes back.
//!
//! # How it works
//! The engine looks for every followed sandbox and does what is needed; this part decides when. It looks when a command
//! has changed a record, when a device of the host has gone (the end of a sandbox takes its pair along), and when Docker
//! tells that a container started or ended. Podman, containerd and `ip netns` tell nobody, but keep files: while one of
//! theirs is awaited, it looks several times a second.
//!
//! # Limits
//! A container that ends and starts again between two looks is seen as the new one that it is.

mod docker;

use crate::changes::Changes;
use crate::context::Context;
use crate::tidings::Tidings;
use docker::Events;
use std::path::PathBuf;
use std::time::Duration;
use zubi_engine::{CameBack, Returning, Search};
use zubi_kernel::monitor::{Group, Hears};
use zubi_model::PartState;

const PART: &str = "follow";
/// The pause between two looks while a sandbox is awaited that only files tell about.
const SOON: Duration = Duration::from_millis(250);
/// The pause otherwise: nothing should be missed, but if it is, it is found then.
const LATER: Duration = Duration::from_secs(30);
/// The pause between two tries to hear Docker.
const AGAIN: Duration = Duration::from_secs(1);
/// What happens together is looked at once.
const TOGETHER: Duration = Duration::from_millis(10);

/// Brings followed sandboxes back, until the daemon ends.
pub(crate) async fn run(mut context: Context, mut changes: Changes) {
    let mut links = match Tidings::of_route(&[Group::Links], Hears::Host) {
        Ok(links) => links,
        Err(e) => return context.board.tell(PART, PartState::Failing, e.to_string()),
    };
    let mut docker = Docker::new(context.engine().config().runtimes.docker_socket.clone());
    let mut search = Search::All;
    loop {
        changes.mark_unchanged();
        let found = context.call(move |session| Ok(session.come_back(search))).await;
        let mut wait = LATER;
        match found {
            Ok(found) => {
                tell(&context, &found, search);
                if found.iter().any(awaits_files) {
                    wait = SOON;
                }
                docker.is_wanted |= found.iter().any(|one| one.sandbox.starts_with("docker:"));
            }
            Err(e) => context.board.tell(PART, PartState::Failing, e.to_string()),
        }
        search = tokio::select! {
            () = context.ended() => return,
            () = tokio::time::sleep(wait) => if wait == SOON { Search::InFiles } else { Search::All },
            there = changes.changed() => if there.is_err() { return } else { Search::All },
            _ = links.next() => Search::All,
            () = docker.next() => Search::All,
        };
        tokio::time::sleep(TOGETHER).await;
        links.now();
    }
}

/// Whether a sandbox is awaited whose coming only files tell.
fn awaits_files(one: &CameBack) -> bool {
    matches!(one.outcome, Returning::Awaited | Returning::Left) && !one.sandbox.starts_with("docker:")
}

fn tell(context: &Context, found: &[CameBack], search: Search) {
    let mut failed = None;
    let mut awaited = 0;
    for CameBack { sandbox, network, outcome } in found {
        let object = format!("{sandbox} on {network}");
        match outcome {
            Returning::Here => {}
            Returning::Awaited => awaited += 1,
            Returning::Back(endpoint) => {
                context.counts.came_back();
                let addresses: Vec<String> = endpoint.addresses.iter().map(|a| a.address.to_string()).collect();
                context.board.happened(PART, object, format!("came back, with {}", addresses.join(" and ")));
            }
            Returning::Left => {
                awaited += 1;
                context.board.happened(PART, object, "ended; its addresses are kept");
            }
            Returning::Failed(e) => failed = Some(format!("{object}: {e}")),
        }
    }
    match failed {
        Some(why) => context.board.tell(PART, PartState::Failing, why),
        // Only a whole look knows the numbers.
        None if search == Search::InFiles => {}
        None if found.is_empty() => context.board.tell(PART, PartState::Off, "no sandbox is followed"),
        None => {
            let all = found.len();
            context.board.tell(PART, PartState::Ok, format!("{all} sandboxes, {awaited} of them stopped"));
        }
    }
}

/// What Docker tells, as long as a container of it is followed.
struct Docker {
    socket: PathBuf,
    is_wanted: bool,
    events: Option<Events>,
}

impl Docker {
    fn new(socket: PathBuf) -> Self {
        Docker { socket, is_wanted: false, events: None }
    }

    /// Returns when something happened, or may have happened unheard.
    async fn next(&mut self) {
        if !self.is_wanted {
            return std::future::pending().await;
        }
        loop {
            match &mut self.events {
                Some(events) => {
                    if events.next().await.is_err() {
                        self.events = None;
                    }
                    return;
                }
                None => match Events::of(&self.socket).await {
                    Ok(events) => {
                        self.events = Some(events);
                        return;
                    }
                    Err(_) => tokio::time::sleep(AGAIN).await,
                },
            }
        }
    }
}
