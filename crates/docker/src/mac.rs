//! MACs as Go writes a slice of bytes in JSON: base64 (RFC 4648, 4).

use crate::Error;
use zubi_model::{Invalid, Mac};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Six bytes in base64: eight digits, without padding.
pub(crate) fn from_base64(text: &str) -> Result<Mac, Error> {
    let wrong = |why| Invalid::new("MAC", text, why);
    let mut number: u64 = 0;
    for digit in text.bytes() {
        let value = DIGITS.iter().position(|known| *known == digit);
        let value = value.and_then(|value| u64::try_from(value).ok());
        number = number << 6 | value.ok_or_else(|| wrong("is not six bytes in base64"))?;
    }
    if text.len() != 8 {
        return Err(wrong("is not six bytes in base64").into());
    }
    let [_, _, bytes @ ..] = number.to_be_bytes();
    // The text form refuses what no device can have.
    Ok(bytes.map(|byte| format!("{byte:02x}")).join(":").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_digits_are_a_mac() {
        assert_eq!(from_base64("AkIKAQID").unwrap().to_string(), "02:42:0a:01:02:03");
        for bad in ["", "AkIKAQI", "AkIKAQIDA", "AkIKAQI=", "AkIK QID", "AUIKAQID", "AAAAAAAA", "ü"] {
            assert!(from_base64(bad).is_err(), "{bad}");
        }
    }
}
