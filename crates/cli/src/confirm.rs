//! `zubi network create --driver uplink`: whether somebody confirms, and how.

use crate::output::Output;
use crate::words::CreateWords;
use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use zubi_engine::{Error, Session, TakeOver, Typed};
use zubi_model::{Invalid, NetworkName};

/// How long a user on a remote terminal has to confirm, unless the command line says otherwise.
const USUAL: Duration = Duration::from_secs(60);

/// How often it is looked whether another command has confirmed the network.
const LOOKS: Duration = Duration::from_millis(200);

/// How to take over a card, by the command line and the terminal: over SSH the change has to be confirmed.
pub(crate) fn takeover(words: &CreateWords) -> TakeOver {
    let user = std::env::var("SSH_CONNECTION").ok().and_then(|words| words.split(' ').next()?.parse::<IpAddr>().ok());
    let is_remote = user.is_some() && io::stdin().is_terminal();
    let confirm_within = words.confirm_within.map(|span| span.0).or(is_remote.then_some(USUAL));
    TakeOver { confirm_within, force: words.force, take_lease: words.take_lease, user }
}

/// Whether the network stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is confirmed.
    Yes,
    /// Another command may confirm it.
    NotYet,
    /// The card has everything back.
    No,
}

/// On a terminal, waits for the key that confirms: it came by the new way. Without one the caller confirms with another
/// command.
pub(crate) fn wait(
    session: &mut Session,
    name: &NetworkName,
    within: Duration,
    output: &Output,
) -> Result<Kept, Error> {
    let seconds = within.as_secs();
    if !io::stdin().is_terminal() {
        output.notes(&[format!(
            "{name} is not confirmed: the card goes back in {seconds} s, unless you say zubi network confirm {name}"
        )]);
        return Ok(Kept::NotYet);
    }
    zubi_engine::forget_typed();
    output.notes(&[format!("press Enter within {seconds} s to keep {name}; otherwise the card goes back")]);
    let since = Instant::now();
    while let Some(left) = within.checked_sub(since.elapsed()) {
        match zubi_engine::typed(left.min(LOOKS))? {
            Typed::Line(line) if matches!(line.to_lowercase().as_str(), "" | "y" | "yes") => {
                session.confirm_network(name)?;
                output.notes(&[format!("{name} is confirmed")]);
                return Ok(Kept::Yes);
            }
            Typed::Line(_) => {
                session.roll_back_network(name)?;
                output.notes(&[format!("{name} is gone, and the card has everything back")]);
                return Ok(Kept::No);
            }
            Typed::Closed => std::thread::sleep(left.min(LOOKS)),
            Typed::Nothing => {}
        }
        // Another command may have confirmed it, or given the card back.
        if !session.unconfirmed_networks()?.iter().any(|one| one.network.name == *name) {
            session.network(name)?;
            output.notes(&[format!("{name} was confirmed by another command")]);
            return Ok(Kept::Yes);
        }
    }
    session.roll_back_overdue()?;
    Err(Invalid::new("network", name, "was not confirmed in time, and the card has everything back").into())
}
