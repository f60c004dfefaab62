//! Errors, and the form in which Podman expects them.

use serde::Serialize;
use std::fmt::Display;
use zubi_model::Invalid;

/// The most bytes written to stdout: a pipe holds that many before its reader reads (pipe(7)).
pub const LARGEST_ANSWER: usize = 64 * 1024;

/// The reason why a request is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is no JSON, or has another shape than netavark's protocol.
    #[error("cannot read the request: {0}")]
    Unreadable(String),
    /// A value is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A required field is missing.
    #[error("{what} is missing{}", why.map(|w| format!(": {w}")).unwrap_or_default())]
    Missing {
        /// The field.
        what: &'static str,
        /// What needs it.
        why: Option<&'static str>,
    },
    /// zubi lacks this part of netavark.
    #[error("{0} is not supported by zubi yet")]
    Unsupported(&'static str),
    /// Something unique occurs twice.
    #[error("{what} {value} is asked for twice")]
    Twice {
        /// The kind of thing.
        what: &'static str,
        /// The one that occurs twice.
        value: String,
    },
    /// There are too many of something.
    #[error("{what}: at most {most} are taken")]
    TooMany {
        /// The kind of thing.
        what: &'static str,
        /// How many are allowed.
        most: usize,
    },
    /// An error with its context.
    #[error("{context}: {cause}")]
    Within {
        /// The object or field, as in `network tnet`.
        context: String,
        /// The error.
        cause: Box<Error>,
    },
}

impl Error {
    /// Adds context.
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

/// Several errors as one text: a single one unchanged, more as a list under the heading.
pub fn joined(heading: &str, errors: &[impl Display]) -> String {
    match errors {
        [] => String::new(),
        [one] => one.to_string(),
        more => more.iter().fold(format!("{heading}:"), |text, error| text + "\n\t- " + &error.to_string()),
    }
}

/// The text for stdout after a failure: an object with one key, because Podman rejects others. Escapes control
/// characters, which would reach the user's terminal, and shortens the text to [`LARGEST_ANSWER`].
pub fn error_reply(message: &impl Display) -> String {
    #[derive(Serialize)]
    struct Reply {
        error: String,
    }
    // The text is followed by an ellipsis, the end of the object and the caller's newline.
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
