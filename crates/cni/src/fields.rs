//! Reads JSON objects as Go's `encoding/json` does: keys in any case, `null` like an absent key.

use crate::error::CniError;
use serde_json::{Map, Value};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use zubi_model::{Invalid, Mtu};

/// The unknown keys of an object: they are kept and printed again.
pub(crate) type Rest = Map<String, Value>;

/// An object, and its place in the document.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    place: String,
}

impl<'a> Fields<'a> {
    /// The document itself.
    pub fn document(map: &'a Map<String, Value>) -> Self {
        Fields { map, place: String::new() }
    }

    /// The object `value`. `place` appears in errors only.
    pub fn of(value: &'a Value, place: impl Into<String>) -> Result<Self, CniError> {
        let place = place.into();
        match value {
            Value::Object(map) => Ok(Fields { map, place }),
            other => Err(CniError::config(&place, shown(other), "is not an object")),
        }
    }

    /// The key with its place, as in `ipam.ranges`.
    pub fn name(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    /// The value of a key; an exact match wins over one in another case.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        let same = || self.map.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v);
        self.map.get(key).or_else(same).filter(|v| !v.is_null())
    }

    /// Whether the object has the key, even with `null`.
    pub fn mentions(&self, key: &str) -> bool {
        self.map.keys().any(|k| k.eq_ignore_ascii_case(key))
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, CniError> {
        self.get(key).map(|v| v.as_str().ok_or_else(|| self.wrong(key, v, "is not a string"))).transpose()
    }

    /// A text, parsed; `None` when it is empty.
    pub fn parsed<T: FromStr>(&self, key: &str) -> Result<Option<T>, CniError>
    where
        T::Err: Reason,
    {
        let text = self.text(key)?.filter(|t| !t.is_empty());
        text.map(|t| t.parse().map_err(|e: T::Err| CniError::config(self.name(key), t, e.reason()))).transpose()
    }

    /// A boolean, if the key is present.
    pub fn choice(&self, key: &str) -> Result<Option<bool>, CniError> {
        self.get(key).map(|v| v.as_bool().ok_or_else(|| self.wrong(key, v, "is neither true nor false"))).transpose()
    }

    /// A boolean; an absent key is false.
    pub fn flag(&self, key: &str) -> Result<bool, CniError> {
        Ok(self.choice(key)?.unwrap_or(false))
    }

    /// An unsigned number of 32 bits.
    pub fn number(&self, key: &str) -> Result<Option<u32>, CniError> {
        let read = |v: &'a Value| {
            let number = v.as_u64().and_then(|n| u32::try_from(n).ok());
            number.ok_or_else(|| self.wrong(key, v, "is not a whole number from 0 to 4294967295"))
        };
        self.get(key).map(read).transpose()
    }

    /// A path; `None` when it is empty.
    pub fn path(&self, key: &str) -> Result<Option<PathBuf>, CniError> {
        match self.text(key)?.filter(|t| !t.is_empty()) {
            Some(text) if text.contains('\0') => Err(CniError::config(self.name(key), text, "is not a path")),
            text => Ok(text.map(PathBuf::from)),
        }
    }

    /// An MTU in bytes; 0 is like an absent key and leaves it to the kernel.
    pub fn mtu(&self, key: &str) -> Result<Option<Mtu>, CniError> {
        let bytes = self.number(key)?.filter(|bytes| *bytes > 0);
        bytes.map(|b| b.try_into().map_err(|e: Invalid| CniError::config(self.name(key), b, e.why))).transpose()
    }

    /// A list; an absent key is an empty one.
    pub fn list(&self, key: &str) -> Result<&'a [Value], CniError> {
        match self.get(key) {
            None => Ok(&[]),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(self.wrong(key, other, "is not a list")),
        }
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Result<Vec<&'a str>, CniError> {
        let list = self.list(key)?.iter();
        list.map(|v| v.as_str().ok_or_else(|| self.wrong(key, v, "is not a string"))).collect()
    }

    /// A list of objects.
    pub fn objects(&self, key: &str) -> Result<Vec<Fields<'a>>, CniError> {
        let list = self.list(key)?.iter().enumerate();
        list.map(|(at, v)| Fields::of(v, format!("{}[{at}]", self.name(key)))).collect()
    }

    /// An object.
    pub fn object(&self, key: &str) -> Result<Option<Fields<'a>>, CniError> {
        self.get(key).map(|v| Fields::of(v, self.name(key))).transpose()
    }

    /// The error that refuses the value of a key.
    pub fn wrong(&self, key: &str, value: &Value, why: impl fmt::Display) -> CniError {
        CniError::config(self.name(key), shown(value), why)
    }

    /// All keys but these.
    pub fn rest(&self, known: &[&str]) -> Rest {
        let unknown = self.map.iter().filter(|(k, _)| !known.iter().any(|known| known.eq_ignore_ascii_case(k)));
        unknown.map(|(k, v)| (k.clone(), v.clone())).collect()
    }
}

/// Why a text is invalid, without the text.
pub(crate) trait Reason {
    /// The reason in words.
    fn reason(self) -> String;
}

impl Reason for Invalid {
    fn reason(self) -> String {
        match self.next {
            Some(next) => format!("{}; {next}", self.why),
            None => self.why,
        }
    }
}

impl Reason for std::net::AddrParseError {
    fn reason(self) -> String {
        "is not an IP address".into()
    }
}

impl Reason for ipnet::AddrParseError {
    fn reason(self) -> String {
        "is not an IP address with a prefix length".into()
    }
}

/// A value on one line; a list or an object as its size.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(map) => format!("an object of {}", map.len()),
        other => other.to_string(),
    }
}
