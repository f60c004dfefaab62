//! What is wrong with a value that came from outside.

/// A value that was refused before anything was done with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{value}`: {why}{}", next.as_ref().map(|n| format!("; {n}")).unwrap_or_default())]
pub struct Invalid {
    /// The kind of value: "network name", "subnet".
    pub what: &'static str,
    /// The text as it was given.
    pub value: String,
    /// What is wrong with it.
    pub why: String,
    /// The next step, where there is one.
    pub next: Option<String>,
}

impl Invalid {
    /// `value` is no valid `what`; `why` says what is wrong with it.
    pub fn new(what: &'static str, value: impl std::fmt::Display, why: impl Into<String>) -> Self {
        Invalid { what, value: printable(&value.to_string()), why: why.into(), next: None }
    }

    /// Adds the next step.
    #[must_use]
    pub fn try_instead(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// Control characters would let a name rewrite the terminal it is reported on.
fn printable(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(200)
        .flat_map(|c| {
            let escaped: Box<dyn Iterator<Item = char>> =
                if c.is_control() { Box::new(c.escape_default()) } else { Box::new(std::iter::once(c)) };
            escaped
        })
        .collect();
    if text.chars().count() > 200 {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_sent() {
        let e = Invalid::new("network name", "a\x1b[2Jb", "has a control character");
        assert_eq!(e.to_string(), "network name `a\\u{1b}[2Jb`: has a control character");
    }
}
