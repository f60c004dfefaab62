//! MACs that pipework makes of a text.

use zubi_model::{Invalid, Mac};

/// `U:TEXT`: `02:` and the first five bytes of the MD5 of the text and a newline, since the script asks `md5sum` by echo.
pub fn mac_of_text(text: &str) -> Result<Mac, Invalid> {
    let sum = md5::compute(format!("{text}\n")).0;
    let bytes: Vec<String> = [2].iter().chain(&sum[..5]).map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":").parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gives_the_mac_that_the_script_gives() {
        assert_eq!(mac_of_text("myhost.foo.com").unwrap().to_string(), "02:72:6c:cd:9b:8d");
    }
}
