//! Renews leases of DHCP in time.

use crate::changes::Changes;
use crate::context::Context;
use std::time::Duration;
use zubi_engine::{Error, RenewWishes, Renewal, Renewed};
use zubi_model::PartState;

const PART: &str = "leases";
/// The shortest pause: a server that does not answer is not asked in a loop.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest one: clocks are set, and machines sleep.
const LONGEST: Duration = Duration::from_secs(300);

/// What a round found.
struct Round {
    renewed: Vec<Result<Renewed, Error>>,
    leases: usize,
    /// The time until the next one is due.
    next: Option<Duration>,
}

/// Renews what is due, until the daemon ends.
pub(crate) async fn run(mut context: Context, mut changes: Changes) {
    loop {
        changes.mark_unchanged();
        let pause = match context.call(round).await {
            Ok(round) => {
                tell(&context, &round);
                round.next.map_or(LONGEST, |next| next.clamp(PAUSE, LONGEST))
            }
            Err(e) => {
                context.board.tell(PART, PartState::Failing, e.to_string());
                PAUSE
            }
        };
        tokio::select! {
            () = context.ended() => return,
            () = tokio::time::sleep(pause) => {}
            // There may be a new lease.
            there = changes.changed() => if there.is_err() { return },
        }
    }
}

fn round(session: &mut zubi_engine::Session) -> Result<Round, Error> {
    let due = session.leases()?.iter().any(|view| view.due_in == Some(Duration::ZERO));
    let renewed = if due { session.renew_leases(RenewWishes::default())? } else { Vec::new() };
    let leases = session.leases()?;
    let next = leases.iter().filter_map(|view| view.due_in).min();
    Ok(Round { renewed, leases: leases.len(), next })
}

fn tell(context: &Context, round: &Round) {
    let mut failed = None;
    for outcome in &round.renewed {
        match outcome {
            Ok(renewed) => {
                let object = format!("{} on {}", renewed.holder, renewed.network);
                match renewed.renewal {
                    Renewal::NotDue | Renewal::Gone => {}
                    Renewal::Renewed => {
                        context.counts.renewed("renewed");
                        context.board.happened(PART, object, "the lease is renewed");
                    }
                    Renewal::Anew(_) => {
                        context.counts.renewed("anew");
                        context.board.happened(PART, object, "a new lease replaces a lost one");
                    }
                    Renewal::Unanswered => {
                        context.counts.renewed("unanswered");
                        failed = Some(format!("{object}: no server answers"));
                    }
                }
            }
            Err(e) => {
                context.counts.renewed("failed");
                failed = Some(e.to_string());
            }
        }
    }
    match failed {
        Some(why) => context.board.tell(PART, PartState::Failing, why),
        None if round.leases == 0 => context.board.tell(PART, PartState::Off, "no leases"),
        None => context.board.tell(PART, PartState::Ok, format!("{} leases", round.leases)),
    }
}
