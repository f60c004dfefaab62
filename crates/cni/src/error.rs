//! What goes wrong, in the protocol's words (specification 1.1, "Error").

use serde_json::{Map, Value};
use std::fmt;
use zubi_model::Invalid;

/// The kind of an error, as runtimes tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The version of the request is not spoken, or does not know the verb.
    IncompatibleVersion,
    /// A key of the configuration has a value that is not supported.
    UnsupportedField,
    /// The container is not known: the runtime need not clean up.
    UnknownContainer,
    /// A variable of the environment is missing or cannot be meant so.
    Environment,
    /// Reading or writing failed.
    Io,
    /// The request cannot be decoded.
    Decode,
    /// The configuration cannot be meant so.
    Config,
    /// The namespace cannot be used (the Go library's number).
    Netns,
    /// The same may succeed later.
    TryAgain,
    /// STATUS: no container can be attached now.
    NotAvailable,
    /// STATUS: the same, and those that are attached may suffer.
    NotAvailableNorReliable,
    /// Our own: 100 and this.
    Own(u8),
    /// Anything else (the Go library's number).
    Internal,
}

impl Code {
    /// The number on the wire.
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

/// An error as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CniError {
    /// Its kind.
    pub code: Code,
    /// What is wrong, in a sentence.
    pub msg: String,
    /// More of it; may be empty.
    pub details: String,
    /// The version of the request, as far as it could be read.
    pub version: Option<String>,
}

impl CniError {
    /// Of a kind, with a sentence.
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        CniError { code, msg: msg.into(), details: String::new(), version: None }
    }

    /// With more about it.
    #[must_use]
    pub fn detailed(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// As the answer to a request of this version, unless it has one.
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

    /// A key with a value that the configuration cannot have.
    pub(crate) fn config(key: impl fmt::Display, value: impl fmt::Display, why: impl fmt::Display) -> Self {
        // The model's error keeps control characters and very long values out.
        let Invalid { value, .. } = Invalid::new("value", value, "");
        CniError::new(Code::Config, format!("invalid network config: {key} `{value}`: {why}"))
    }

    /// A key that has to be there.
    pub(crate) fn missing(key: impl fmt::Display, why: impl fmt::Display) -> Self {
        CniError::new(Code::Config, format!("invalid network config: {key} is missing: {why}"))
    }

    /// A key with a value that is allowed but not done.
    pub(crate) fn unsupported(key: impl fmt::Display, value: impl fmt::Display, why: impl fmt::Display) -> Self {
        let Invalid { value, .. } = Invalid::new("value", value, "");
        CniError::new(Code::UnsupportedField, format!("unsupported field {key} with value {value}"))
            .detailed(why.to_string())
    }

    /// A variable that cannot be meant so.
    pub(crate) fn environment(variable: &str, why: impl fmt::Display) -> Self {
        CniError::new(Code::Environment, format!("invalid environment variable {variable}: {why}"))
    }
}

/// Runtimes log it as it is: no control characters, and no more than anybody reads.
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
