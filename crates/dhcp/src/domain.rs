//! Domain names in options. They end up in resolv.conf: a name with other characters than those of host names is none.

/// A name has at most 127 labels (RFC 1035, 3.1), and a pointer before each.
const MOST_STEPS: usize = 255;

/// A name as text (option 15).
pub(crate) fn from_text(bytes: &[u8]) -> Option<String> {
    // RFC 2132, 2: a client must not rely on trailing NULs, so there may be some.
    let end = bytes.iter().rposition(|b| *b != 0)? + 1;
    let text = str::from_utf8(&bytes[..end]).ok()?;
    let name = text.strip_suffix('.').unwrap_or(text);
    is_name(name).then(|| name.to_owned())
}

/// Names with compression (option 119; RFC 3397, RFC 1035 4.1.4). Bytes that cannot be read end the list.
pub(crate) fn from_wire(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let Some((name, next)) = name_at(bytes, at) else { break };
        if is_name(&name) && !names.contains(&name) {
            names.push(name);
        }
        at = next;
    }
    names
}

/// The name at this place, and where the next one starts.
fn name_at(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let mut labels: Vec<&str> = Vec::new();
    let mut next = None;
    // A pointer leads to an earlier place than the part of the name that it ends.
    let (mut at, mut part) = (start, start);
    for _ in 0..MOST_STEPS {
        let len = *bytes.get(at)?;
        match len {
            0 => return Some((labels.join("."), next.unwrap_or(at + 1))),
            1..=63 => {
                let end = at + 1 + usize::from(len);
                labels.push(str::from_utf8(bytes.get(at + 1..end)?).ok()?);
                at = end;
            }
            0xc0.. => {
                let to = usize::from(len & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
                next.get_or_insert(at + 2);
                if to >= part {
                    return None;
                }
                (at, part) = (to, to);
            }
            _ => return None,
        }
    }
    None
}

fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_3397_is_read() {
        let bytes = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
        assert_eq!(from_wire(bytes), ["eng.apple.com", "marketing.apple.com"]);
    }

    #[test]
    fn a_pointer_that_does_not_lead_back_ends_the_list() {
        assert_eq!(from_wire(b"\x01a\x00\x01b\xc0\x03\x01c\x00"), ["a"]);
        assert_eq!(from_wire(b"\xc0\x00"), [""; 0]);
        assert_eq!(from_wire(b"\x01a\x00\x01b\xc0"), ["a"]);
        assert_eq!(from_wire(b"\x01a\x00\x01b\x80\x00"), ["a"]);
        assert_eq!(from_wire(b"\x01a\x00\x05b"), ["a"]);
    }

    #[test]
    fn a_chain_of_pointers_ends() {
        let mut bytes = b"\x01a\x00".to_vec();
        for to in std::iter::once(0u16).chain((3..8000).step_by(2)) {
            bytes.extend((0xc000 | to).to_be_bytes());
        }
        assert_eq!(from_wire(&bytes), ["a"]);
    }

    #[test]
    fn a_name_that_is_more_than_a_name_is_left_out() {
        assert_eq!(from_wire(b"\x04a\nb \x00\x01c\x00\x00\x01c\x00"), ["c"]);
        assert_eq!(from_text(b"example.org.\0\0").as_deref(), Some("example.org"));
        for bad in [&b""[..], b"\0", b".", b"a..b", b"a b", b"a\nnameserver 1.1.1.1", b"\xff", &[b'a'; 64]] {
            assert_eq!(from_text(bad), None, "{bad:?}");
        }
    }
}
