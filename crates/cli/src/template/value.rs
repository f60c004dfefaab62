//! Values while a template is evaluated.

use serde_json::Value as Json;
use std::borrow::Cow;
use zubi_model::visible;

/// A value of the object, or a text that was made of it.
#[derive(Debug, Clone)]
pub(super) enum Value<'v> {
    /// Of the object: anybody's text.
    Data(Cow<'v, Json>),
    /// From the template, or without control characters already.
    Text(String),
}

impl<'v> Value<'v> {
    pub(super) fn made(json: impl Into<Json>) -> Self {
        Value::Data(Cow::Owned(json.into()))
    }

    /// The text to print.
    pub(super) fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Data(json) => match &**json {
                Json::String(text) => visible(text).into_owned(),
                Json::Null => String::new(),
                other => visible(&other.to_string()).into_owned(),
            },
        }
    }

    pub(super) fn json(&self) -> Json {
        match self {
            Value::Text(text) => Json::String(text.clone()),
            Value::Data(json) => (**json).clone(),
        }
    }

    /// As Go has it: false for false, 0, nothing, and what is empty.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Value::Text(text) => !text.is_empty(),
            Value::Data(json) => match &**json {
                Json::Null => false,
                Json::Bool(is) => *is,
                Json::Number(number) => number.as_f64() != Some(0.0),
                Json::String(text) => !text.is_empty(),
                Json::Array(list) => !list.is_empty(),
                Json::Object(fields) => !fields.is_empty(),
            },
        }
    }

    /// The number of characters, elements or fields.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Value::Text(text) => Some(text.chars().count()),
            Value::Data(json) => match &**json {
                Json::String(text) => Some(text.chars().count()),
                Json::Array(list) => Some(list.len()),
                Json::Object(fields) => Some(fields.len()),
                _ => None,
            },
        }
    }

    /// A field; an error names those that there are.
    pub(super) fn field(&self, name: &str) -> Result<Value<'v>, String> {
        self.part(|json| json.get(name)).ok_or_else(|| {
            let names: Vec<String> = match self {
                Value::Data(json) => json.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect(),
                Value::Text(_) => Vec::new(),
            };
            let there = if names.is_empty() { String::new() } else { format!("; there are: {}", names.join(", ")) };
            format!("has no field {name}{there}")
        })
    }

    /// The value at a key of an object, nothing if it is not there, or at an index of a list.
    pub(super) fn at(&self, key: &Value<'_>) -> Result<Value<'v>, String> {
        const WRONG: &str = "index needs a list or an object, and a key that fits it";
        let Value::Data(json) = self else { return Err(WRONG.into()) };
        match (&**json, key.json()) {
            (Json::Object(_), Json::String(key)) => {
                Ok(self.part(|json| json.get(&key)).unwrap_or(Value::made(Json::Null)))
            }
            (Json::Array(list), Json::Number(index)) => {
                let at = index.as_u64().and_then(|index| usize::try_from(index).ok());
                let found = at.and_then(|at| self.part(|json| json.get(at)));
                found.ok_or_else(|| format!("index {index}: the list has {}", list.len()))
            }
            _ => Err(WRONG.into()),
        }
    }

    /// The elements of a list or an object with their keys.
    pub(super) fn elements(&self) -> Option<Vec<(Value<'v>, Value<'v>)>> {
        let Value::Data(json) = self else { return None };
        match &**json {
            Json::Null => Some(Vec::new()),
            Json::Array(list) => {
                let at = |at: usize| Some((Value::made(at), self.part(|json| json.get(at))?));
                (0..list.len()).map(at).collect()
            }
            Json::Object(fields) => {
                let at = |key: &String| Some((Value::made(key.clone()), self.part(|json| json.get(key))?));
                fields.keys().map(at).collect()
            }
            _ => None,
        }
    }

    fn part(&self, part: impl Fn(&Json) -> Option<&Json>) -> Option<Value<'v>> {
        match self {
            Value::Text(_) => None,
            Value::Data(Cow::Borrowed(json)) => part(json).map(|json| Value::Data(Cow::Borrowed(json))),
            Value::Data(Cow::Owned(json)) => part(json).cloned().map(|json| Value::Data(Cow::Owned(json))),
        }
    }
}
