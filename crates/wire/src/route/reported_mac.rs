//! Deserializes a MAC that the kernel reported. The text form of [`Mac`] refuses zeros (the loopback device has them)
//! and group addresses (a bridge's forwarding table has them).

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use zubi_model::Mac;

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Mac>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
    bytes.map(|bytes| Some(Mac::from_kernel(bytes))).ok_or_else(|| D::Error::custom(format!("`{text}` is no MAC")))
}
