//! `zubi network create --driver uplink`: whether somebody confirms, and how.

use crate::output::Output;
use std::fmt;
use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, Instant};
use zubi_engine::{Error, Session, TakeOver, Typed};
use zubi_model::{Invalid, NetworkName};

/// How long a user on a remote terminal has to confirm, unless the command line says otherwise.
const USUAL: Duration = Duration::from_secs(60);

/// How often it is looked whether another command has confirmed the network.
const LOOKS: Duration = Duration::from_millis(200);

/// A time: `60s`, `2m`, or seconds without a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let seconds = match unit {
            "" | "s" => Some(1),
            "m" => Some(60),
            "h" => Some(3600),
            _ => None,
        };
        let number = digits.parse::<u32>().ok();
        match number.zip(seconds).and_then(|(number, unit)| number.checked_mul(unit)) {
            Some(0) | None => {
                Err(Invalid::new("time", text, "is no time from now on").try_instead("write it as 60s or 2m"))
            }
            Some(seconds) => Ok(Span(Duration::from_secs(seconds.into()))),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

/// How to take over a card, by the command line and the terminal: over SSH the change has to be confirmed.
pub(crate) fn takeover(within: Option<Span>, force: bool) -> TakeOver {
    let user = std::env::var("SSH_CONNECTION").ok().and_then(|words| words.split(' ').next()?.parse::<IpAddr>().ok());
    let is_remote = user.is_some() && io::stdin().is_terminal();
    TakeOver { confirm_within: within.map(|span| span.0).or(is_remote.then_some(USUAL)), force, user }
}

/// On a terminal, waits for the key that confirms: it came by the new way. Without one the caller confirms with another
/// command.
pub(crate) fn wait(session: &mut Session, name: &NetworkName, within: Duration, output: &Output) -> Result<(), Error> {
    let seconds = within.as_secs();
    if !io::stdin().is_terminal() {
        output.notes(&[format!(
            "{name} is not confirmed: the card goes back in {seconds} s, unless you say zubi network confirm {name}"
        )]);
        return Ok(());
    }
    zubi_engine::forget_typed();
    output.notes(&[format!("press Enter within {seconds} s to keep {name}; otherwise the card goes back")]);
    let since = Instant::now();
    while let Some(left) = within.checked_sub(since.elapsed()) {
        match zubi_engine::typed(left.min(LOOKS))? {
            Typed::Line(line) if matches!(line.to_lowercase().as_str(), "" | "y" | "yes") => {
                session.confirm_network(name)?;
                output.notes(&[format!("{name} is confirmed")]);
                return Ok(());
            }
            Typed::Line(_) => {
                session.roll_back_network(name)?;
                output.notes(&[format!("{name} is gone, and the card has everything back")]);
                return Ok(());
            }
            Typed::Closed => std::thread::sleep(left.min(LOOKS)),
            Typed::Nothing => {}
        }
        // Another command may have confirmed it, or given the card back.
        if !session.unconfirmed_networks()?.iter().any(|one| one.network.name == *name) {
            session.network(name)?;
            output.notes(&[format!("{name} was confirmed by another command")]);
            return Ok(());
        }
    }
    session.roll_back_overdue()?;
    Err(Invalid::new("network", name, "was not confirmed in time, and the card has everything back").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        let seconds = |text: &str| text.parse::<Span>().map(|span| span.0.as_secs());
        assert_eq!(seconds("60s").unwrap(), 60);
        assert_eq!(seconds("2m").unwrap(), 120);
        assert_eq!(seconds("90").unwrap(), 90);
        for bad in ["", "0", "s", "-5s", "5 s", "1d", "99999999999"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
