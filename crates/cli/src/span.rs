//! Times on the command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use zubi_model::Invalid;

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
