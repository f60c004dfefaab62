//! Helpers for comparing our messages with recorded ones of the real tools. They ignore the order of attributes and the
//! `NLA_F_NESTED` bit, which the kernel ignores in these messages.

use crate::message::{Attributes, Batch, Message, Messages, flag};

/// Recorded bytes (`strace -e write=...`), the sequence number zeroed.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The bytes that we write.
pub(crate) fn ours(fill: impl FnOnce(&mut Batch)) -> Vec<u8> {
    let mut batch = Batch::new();
    fill(&mut batch);
    batch.bytes().to_vec()
}

/// The one message in `bytes`.
pub(crate) fn message(bytes: &[u8]) -> Message<'_> {
    let mut all = Messages::new(bytes);
    let first = all.next().unwrap();
    assert!(all.next().is_none());
    first
}

/// Kind, flags that matter, fixed header of `header` bytes and attributes, a line each. `nested` lists the paths of
/// attributes that hold attributes, and the length of the fixed header before them.
pub(crate) fn lines(bytes: &[u8], header: usize, nested: &[(&[u16], usize)]) -> Vec<String> {
    let message = message(bytes);
    let flags = message.flags & (flag::REQUEST | flag::CREATE | flag::EXCL | flag::REPLACE | flag::APPEND);
    let mut all = Vec::new();
    describe(message.attributes(header), &[], nested, &mut all);
    all.sort();
    all.insert(0, format!("kind {} flags {flags:#x} header {:02x?}", message.kind, &message.payload[..header]));
    all
}

fn describe(attributes: Attributes<'_>, path: &[u16], nested: &[(&[u16], usize)], out: &mut Vec<String>) {
    for (kind, value) in attributes {
        let here: Vec<u16> = path.iter().copied().chain([kind]).collect();
        if let Some((_, header)) = nested.iter().find(|(path, _)| *path == here) {
            out.push(format!("{here:?} header {:02x?}", &value[..*header]));
            describe(Attributes::new(&value[*header..]), &here, nested, out);
        } else {
            out.push(format!("{here:?} {:02x?}", without_nul(value)));
        }
    }
}

/// The kernel accepts text with and without a final NUL, and `ip` sometimes leaves it out.
fn without_nul(value: &[u8]) -> &[u8] {
    match value.split_last() {
        Some((0, text)) if !text.is_empty() && text.iter().all(u8::is_ascii_graphic) => text,
        _ => value,
    }
}
