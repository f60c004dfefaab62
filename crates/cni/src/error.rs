//! Errors in the protocol's words (specification 1.1, "Error").

use serde_json::{Map, Value};
use std::fmt;
use zubi_model::Invalid;

/// The kind of an error: its code in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The version of the request is not supported, or lacks the verb.
    IncompatibleVersion,
    /// A key has a valid value that zubi does not support.
    UnsupportedField,
    /// The container is unknown: the runtime need not clean up.
    UnknownContainer,
    /// An environment variable is missing or invalid.
    Environment,
    /// Reading or writing failed.
    Io,
    /// The request cannot be decoded.
    Decode,
    /// The configuration is invalid.
    Config,
    /// The namespace cannot be used (the Go library's number).
    Netns,
    /// A retry may succeed.
    TryAgain,
    /// STATUS: no container can be attached now.
    NotAvailable,
    /// STATUS: the same, and attached containers may have limited connectivity.
    NotAvailableNorReliable,
    /// One of zubi's own codes: 100 plus this.
    Own(u8),
    /// Anything else (the Go library's number).
    Internal,
}

impl Code {
    /// The number in the answer.
    pub fn number(self) -> u32 {
        match self {
            Code::IncompatibleVersion => 1,
            Code::UnsupportedField => 2,
            Code::UnknownContainer => 3,
            Code::Environment => 4,
            Code::Io => 5,
            Code::Decode => 6,
            Code::Config => 7,
            Code::Netns => 8,
            Code::TryAgain => 11,
            Code::NotAvailable => 50,
            Code::NotAvailableNorReliable => 51,
            Code::Own(own) => 100 + u32::from(own),
            Code::Internal => 999,
        }
    }
}

/// An error, as the answer has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CniError {
    /// The kind of error.
    pub code: Code,
    /// One sentence.
    pub msg: String,
    /// Details; may be empty.
    pub details: String,
    /// The request's version, if it could be read.
    pub version: Option<String>,
}

impl CniError {
    /// An error without details.
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        CniError { code, msg: msg.into(), details: String::new(), version: None }
    }

    /// Adds details.
    #[must_use]
    pub fn detailed(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// Sets the request's version, unless it is set.
    #[must_use]
    pub fn answering(mut self, version: impl fmt::Display) -> Self {
        self.version.get_or_insert_with(|| version.to_string());
        self
    }

    /// The document for stdout.
    pub fn to_json(&self) -> Value {
        let mut out = Map::new();
        if let Some(version) = &self.version {
            out.insert("cniVersion".into(), version.as_str().into());
        }
        out.insert("code".into(), self.code.number().into());
        out.insert("msg".into(), printable(&self.msg).into());
        if !self.details.is_empty() {
            out.insert("details".into(), printable(&self.details).into());
        }
        Value::Object(out)
    }

    /// A key with an invalid value.
    pub(crate) fn config(key: impl fmt::Display, value: impl fmt::Display, why: impl fmt::Display) -> Self {
        // `Invalid` escapes control characters and shortens long values.
        let Invalid { value, .. } = Invalid::new("value", value, "");
        CniError::new(Code::Config, format!("invalid network config: {key} `{value}`: {why}"))
    }

    /// A required key is absent.
    pub(crate) fn missing(key: impl fmt::Display, why: impl fmt::Display) -> Self {
        CniError::new(Code::Config, format!("invalid network config: {key} is missing: {why}"))
    }

    /// A key with a valid value that zubi does not support.
    pub(crate) fn unsupported(key: impl fmt::Display, value: impl fmt::Display, why: impl fmt::Display) -> Self {
        let Invalid { value, .. } = Invalid::new("value", value, "");
        CniError::new(Code::UnsupportedField, format!("unsupported field {key} with value {value}"))
            .detailed(why.to_string())
    }

    /// An invalid environment variable.
    pub(crate) fn environment(variable: &str, why: impl fmt::Display) -> Self {
        CniError::new(Code::Environment, format!("invalid environment variable {variable}: {why}"))
    }
}

/// Escapes control characters and bounds the length: runtimes log the text unchanged.
fn printable(text: &str) -> String {
    const MOST: usize = 4096;
    let mut out: String = text
        .chars()
        .take(MOST)
        .flat_map(|c| {
            let escaped = c.is_control() && c != '\n';
            let shown: Vec<char> = if escaped { c.escape_default().collect() } else { vec![c] };
            shown
        })
        .collect();
    if text.chars().nth(MOST).is_some() {
        out.push('…');
    }
    out
}

impl fmt::Display for CniError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.msg)?;
        if self.details.is_empty() { Ok(()) } else { write!(f, "; {}", self.details) }
    }
}
