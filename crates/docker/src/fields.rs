//! The body of a request: a JSON object whose fields are found as Go finds them, without regard to case.

use crate::{Error, LARGEST_REQUEST};
use serde_json::{Map, Value};
use std::str::FromStr;
use zubi_model::Invalid;

/// Reads a body.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, Error> {
    if body.len() > LARGEST_REQUEST {
        return Err(Error::Unreadable(format!("it has {} bytes, more than {LARGEST_REQUEST}", body.len())));
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::Empty);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Error::Unreadable("it is no object".into())),
        Err(e) => Err(Error::Unreadable(e.to_string())),
    }
}

/// The fields of an object, and where in the request it is.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    map: Option<&'a Map<String, Value>>,
    at: String,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(map: &'a Map<String, Value>) -> Self {
        Fields { map: Some(map), at: String::new() }
    }

    /// The place of a field, for errors.
    fn place(&self, name: &str) -> String {
        if self.at.is_empty() { name.to_owned() } else { format!("{}.{name}", self.at) }
    }

    /// A field; `null` is as good as absent. Its own spelling goes before others.
    fn value(&self, name: &str) -> Option<&'a Value> {
        let map = self.map?;
        let other = || map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        map.get(name).or_else(other).filter(|value| !value.is_null())
    }

    fn wrong(&self, name: &str, wanted: &'static str) -> Error {
        Error::Type { field: self.place(name), wanted }
    }

    /// A text; an empty one is as good as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }

    /// A value that is written as text.
    pub(crate) fn read<T: FromStr<Err = Invalid>>(&self, name: &str) -> Result<Option<T>, Error> {
        Ok(self.text(name)?.map(str::parse).transpose()?)
    }

    /// The same, which may not be missing.
    pub(crate) fn needed<T: FromStr<Err = Invalid>>(&self, name: &str) -> Result<T, Error> {
        self.read(name)?.ok_or_else(|| Error::Missing(self.place(name)))
    }

    /// `false` when absent.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A number from 0 to 65535; 0 when absent.
    pub(crate) fn number(&self, name: &str) -> Result<u16, Error> {
        let number = match self.value(name) {
            None => Some(0),
            Some(value) => value.as_u64().and_then(|number| u16::try_from(number).ok()),
        };
        number.ok_or_else(|| self.wrong(name, "a number from 0 to 65535"))
    }

    /// An object; an absent one has no fields.
    pub(crate) fn object(&self, name: &str) -> Result<Fields<'a>, Error> {
        let map = match self.value(name) {
            None => None,
            Some(Value::Object(map)) => Some(map),
            Some(_) => return Err(self.wrong(name, "an object")),
        };
        Ok(Fields { map, at: self.place(name) })
    }

    /// The objects of a list; an absent one is empty.
    pub(crate) fn objects(&self, name: &str) -> Result<Vec<Fields<'a>>, Error> {
        let list = match self.value(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(self.wrong(name, "a list")),
        };
        let object = |(number, value): (usize, &'a Value)| match value {
            Value::Object(map) => Ok(Fields { map: Some(map), at: format!("{}[{number}]", self.place(name)) }),
            _ => Err(self.wrong(name, "a list of objects")),
        };
        list.iter().enumerate().map(object).collect()
    }

    /// The keys of a map in which case matters, with their texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Vec<(&'a str, &'a str)>, Error> {
        let fields = self.object(name)?;
        let text = |(key, value): (&'a String, &'a Value)| match value {
            Value::String(text) => Ok((key.as_str(), text.as_str())),
            _ => Err(fields.wrong(key, "a text")),
        };
        fields.map.into_iter().flatten().map(text).collect()
    }

    /// The keys of an object.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.map.into_iter().flatten().map(|(key, _)| key.as_str())
    }
}
