//! Puts right what other programs break.
//!
//! # How it works
//! The kernel tells what goes: devices, addresses, routes and rules, of the host and of the sandboxes. What it tells in
//! a short time is looked at together, and the engine repairs the objects that are concerned, each under its lock. From
//! time to time everything is looked at: most settings under /proc/sys change without a word. Those that would be missed
//! soon are read more often (`silent_settings.rs`).
//!
//! # Limits
//! Between a harm and its repair some milliseconds pass, and longer where many things break at once.

use crate::changes::Changes;
use crate::context::Context;
use crate::silent_settings::{self, SilentSettings};
use crate::tidings::Tidings;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use zubi_engine::{Healing, Object};
use zubi_kernel::monitor::{Group, Hears, Tiding};
use zubi_model::PartState;

const PART: &str = "heal";
/// What happens together is looked at once.
const TOGETHER: Duration = Duration::from_millis(10);
/// A round of work is followed by a pause of so many times its length: others need the machine too.
const SHARE: u32 = 2;
/// The pause between two looks at everything.
const ROUND: Duration = Duration::from_secs(30);
/// So often an object that cannot be repaired is tried again: the reason may go.
const AGAIN: Duration = Duration::from_secs(1);

/// Repairs until the daemon ends.
pub(crate) async fn run(mut context: Context, mut records: Changes) {
    let (mut devices, mut ruleset) = match Tidings::of_route(&Group::ALL, Hears::Everybody)
        .and_then(|devices| Ok((devices, Tidings::of_nftables()?)))
    {
        Ok(both) => both,
        Err(e) => return context.board.tell(PART, PartState::Failing, e.to_string()),
    };
    // What happened before the first tiding can only be found.
    let mut told: HashSet<Tiding> = HashSet::from([Tiding::Overrun]);
    let mut repairs: u64 = 0;
    let mut silent = SilentSettings::new();
    let mut heard = Instant::now();
    loop {
        let began = Instant::now();
        let found = context.call(move |session| session.heal_after(&told)).await;
        let failed = match found {
            Ok(healings) => {
                if !healings.is_empty() {
                    context.counts.healed(heard.elapsed());
                }
                tell(&context, &healings, &mut repairs)
            }
            Err(e) => Some(e.to_string()),
        };
        let pause = if failed.is_some() { AGAIN } else { ROUND };
        match &failed {
            Some(why) => context.board.tell(PART, PartState::Failing, why),
            None => context.board.tell(PART, PartState::Ok, format!("{repairs} repairs so far")),
        }
        tokio::time::sleep(TOGETHER.max(began.elapsed() * SHARE)).await;
        let until = tokio::time::Instant::now() + pause;
        let (news, more) = loop {
            let lost = tokio::select! {
                () = context.ended() => return,
                () = tokio::time::sleep_until(until) => break (vec![Tiding::Overrun], TOGETHER),
                news = devices.next() => break (news, TOGETHER),
                // A ruleset that is flushed translates nothing.
                news = ruleset.next() => break (news, Duration::ZERO),
                _ = records.changed(), if !silent.is_stale => {
                    silent.is_stale = true;
                    continue;
                }
                // What cannot be repaired is tried again, no more often than `AGAIN`.
                () = tokio::time::sleep(silent_settings::PAUSE), if silent.matter() && failed.is_none() => {
                    silent.lost(&context).await
                }
            };
            if !lost.is_empty() {
                break (lost, Duration::ZERO);
            }
        };
        heard = Instant::now();
        tokio::time::sleep(more).await;
        told = news.into_iter().chain(devices.now()).chain(ruleset.now()).collect();
    }
}

/// Tells what was repaired. Returns why the last of those that failed did.
fn tell(context: &Context, healings: &[Healing], repairs: &mut u64) -> Option<String> {
    let mut failed = None;
    for Healing { object, outcome } in healings {
        match outcome {
            Ok(words) => {
                for what in words {
                    *repairs += 1;
                    context.counts.repaired(kind_of(object));
                    context.board.happened(PART, name_of(object), what.clone());
                }
            }
            Err(e) => {
                context.counts.could_not_repair(kind_of(object));
                failed = Some(e.to_string());
            }
        }
    }
    failed
}

fn kind_of(object: &Object) -> &'static str {
    match object {
        Object::Firewall => "firewall",
        Object::Network(_) => "network",
        Object::Endpoint(_) => "endpoint",
        Object::Link(_) => "link",
    }
}

fn name_of(object: &Object) -> String {
    match object {
        Object::Firewall => "firewall".to_owned(),
        Object::Network(name) => format!("network {name}"),
        Object::Endpoint(key) => format!("endpoint {key}"),
        Object::Link(id) => format!("link {id}"),
    }
}
