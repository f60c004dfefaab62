//! Values as RFC 7047, 5.1 writes them: an atom, `["set", [..]]`, `["map", [[key, value], ..]]`, `["uuid", ".."]`.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The atoms of a set; one atom alone is a set too.
pub(crate) fn atoms(value: &Value) -> Vec<&Value> {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::String(kind), Value::Array(atoms)]) if kind == "set" => atoms.iter().collect(),
        _ => vec![value],
    }
}

/// The number of a row.
pub(crate) fn uuid(value: &Value) -> Option<&str> {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::String(kind), Value::String(number)]) if kind == "uuid" => Some(number),
        _ => None,
    }
}

/// A map of strings.
pub(crate) fn map(value: &Value) -> BTreeMap<String, String> {
    let pairs = match value.as_array().map(Vec::as_slice) {
        Some([Value::String(kind), Value::Array(pairs)]) if kind == "map" => pairs.as_slice(),
        _ => &[],
    };
    let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(key), Value::String(value)]) => Some((key.clone(), value.clone())),
        _ => None,
    };
    pairs.iter().filter_map(pair).collect()
}

/// Writes a map.
pub(crate) fn of_map(map: &BTreeMap<String, String>) -> Value {
    let pairs: Vec<Value> = map.iter().map(|(key, value)| json!([key, value])).collect();
    json!(["map", pairs])
}

/// Writes a set.
pub(crate) fn of_set<T: serde::Serialize>(atoms: impl IntoIterator<Item = T>) -> Value {
    let atoms: Vec<Value> = atoms.into_iter().map(|atom| json!(atom)).collect();
    json!(["set", atoms])
}
