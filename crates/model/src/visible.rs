//! Text of other programs on a terminal. A process chooses its own name, a container runtime chooses labels and paths:
//! printed as they are, they could move the cursor, change the window's title or turn the order of a line round.

use std::borrow::Cow;
use std::fmt::Write;

/// The text without characters that a terminal obeys instead of showing them: they are written `\x1b` or `\u{202e}`. A
/// line break is one of them, so what is one line stays one.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        // Writing to a string cannot fail.
        match u32::from(c) {
            _ if !is_obeyed(c) => shown.push(c),
            code @ 0..=0xff => write!(shown, "\\x{code:02x}").unwrap_or_default(),
            code => write!(shown, "\\u{{{code:x}}}").unwrap_or_default(),
        }
    }
    Cow::Owned(shown)
}

/// Control characters (Unicode's category Cc), and the format characters (Cf) and separators that are invisible or
/// change the direction of what follows.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::visible;
    use std::borrow::Cow;

    #[test]
    fn what_can_be_seen_stays_as_it_is() {
        for text in ["zb-blue", "nginx: worker", "Zürich", "日本", "\\x1b", ""] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        assert_eq!(visible("\u{1b}]0;pwn\u{7}\u{1b}[2J"), "\\x1b]0;pwn\\x07\\x1b[2J");
        assert_eq!(visible("one\nline\r\t\u{7f}"), "one\\x0aline\\x0d\\x09\\x7f");
        assert_eq!(visible("\u{9b}31m"), "\\x9b31m");
        assert_eq!(visible("web\u{202e}gpj\u{200b}"), "web\\u{202e}gpj\\u{200b}");
        assert_eq!(visible("a\u{2028}b\u{e0041}"), "a\\u{2028}b\\u{e0041}");
    }
}
