//! What cannot be done, and how Podman is told.

use serde::Serialize;
use std::fmt::Display;
use zubi_model::Invalid;

/// Of what is written to stdout, in bytes: a pipe takes as much although nobody reads yet (pipe(7)).
pub const LARGEST_ANSWER: usize = 64 * 1024;

/// Why a request is refused. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no JSON, or not of the shape netavark's protocol has.
    #[error("cannot read the request: {0}")]
    Unreadable(String),
    /// A value that cannot be.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// What has to be said was not.
    #[error("{what} is missing{}", why.map(|w| format!(": {w}")).unwrap_or_default())]
    Missing {
        /// The field.
        what: &'static str,
        /// What takes it.
        why: Option<&'static str>,
    },
    /// A part of netavark that zubi does not have.
    #[error("{0} is not supported by zubi yet")]
    Unsupported(&'static str),
    /// Twice what there may be once.
    #[error("{what} {value} is asked for twice")]
    Twice {
        /// What kind of thing.
        what: &'static str,
        /// Which one.
        value: String,
    },
    /// More than is taken.
    #[error("{what}: at most {most} are taken")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// What it is about, and what is wrong with it.
    #[error("{context}: {cause}")]
    Within {
        /// "network tnet".
        context: String,
        /// See there.
        cause: Box<Error>,
    },
}

impl Error {
    /// The same, and what it is about.
    #[must_use]
    pub fn within(self, context: impl Display) -> Self {
        Error::Within { context: context.to_string(), cause: Box::new(self) }
    }

    pub(crate) fn missing(what: &'static str) -> Self {
        Error::Missing { what, why: None }
    }

    pub(crate) fn twice(what: &'static str, value: &impl Display) -> Self {
        Error::Twice { what, value: value.to_string() }
    }
}

/// Several errors as one text: one as it is, more as a list under the heading. Empty without any.
pub fn joined(heading: &str, errors: &[impl Display]) -> String {
    match errors {
        [] => String::new(),
        [one] => one.to_string(),
        more => more.iter().fold(format!("{heading}:"), |text, error| text + "\n\t- " + &error.to_string()),
    }
}

/// What goes to stdout when something failed: one key, else Podman complains of the others. Control characters, which
/// would reach the user's terminal, are shown; what is too long is cut.
pub fn error_reply(message: &impl Display) -> String {
    #[derive(Serialize)]
    struct Reply {
        error: String,
    }
    // Behind the text come an ellipsis, the end of the object and the caller's new line.
    let room = LARGEST_ANSWER - r#"{"error":"…"}"#.len() - 1;
    let mut used = 0;
    let mut error = String::new();
    let text = message.to_string();
    let shown = text.chars().flat_map(|c| {
        let hidden = c.is_control() && c != '\n' && c != '\t';
        let (escaped, plain) = if hidden { (Some(c.escape_default()), None) } else { (None, Some(c)) };
        escaped.into_iter().flatten().chain(plain)
    });
    for c in shown {
        used += if matches!(c, '"' | '\\' | '\n' | '\t') { 2 } else { c.len_utf8() };
        if used > room {
            error.push('…');
            break;
        }
        error.push(c);
    }
    serde_json::to_string(&Reply { error }).unwrap_or_else(|_| r#"{"error":"unknown"}"#.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_chain_is_one_text() {
        let cause = Invalid::new("MTU", "70000", "is not between 68 and 65535");
        let error = Error::from(cause).within("network tnet").within("setup");
        assert_eq!(error.to_string(), "setup: network tnet: MTU `70000`: is not between 68 and 65535");
        assert_eq!(error_reply(&"a \"b\"\n\x1b[2J"), r#"{"error":"a \"b\"\n\\u{1b}[2J"}"#);
    }

    #[test]
    fn several_errors_are_a_list_under_a_heading() {
        let none: [&str; 0] = [];
        assert_eq!(joined("teardown", &none), "");
        assert_eq!(joined("teardown", &["one"]), "one");
        assert_eq!(joined("teardown", &["one", "two"]), "teardown:\n\t- one\n\t- two");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        for unit in ["x", "\"", "ü", "\n", "\x07", "🦀", "a🦀"] {
            let text = error_reply(&unit.repeat(LARGEST_ANSWER));
            assert!(text.len() < LARGEST_ANSWER && text.len() > LARGEST_ANSWER - 32, "{unit}: {}", text.len());
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(value["error"].as_str().unwrap().ends_with('…'), "{unit}");
        }
    }
}
