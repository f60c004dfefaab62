//! Options of a message: code, length, value (RFC 2132).
//!
//! A value longer than 255 bytes is several options of one code, joined when they are read (RFC 3396).

use std::net::Ipv4Addr;

/// Codes of options (RFC 2132 unless it says otherwise).
pub mod code {
    /// Filler of one byte.
    pub const PAD: u8 = 0;
    /// The subnet mask.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers, the preferred one first.
    pub const ROUTERS: u8 = 3;
    /// DNS servers, the preferred one first.
    pub const DNS_SERVERS: u8 = 6;
    /// The client's host name.
    pub const HOST_NAME: u8 = 12;
    /// The client's domain.
    pub const DOMAIN: u8 = 15;
    /// The link's MTU.
    pub const MTU: u8 = 26;
    /// Pairs of destination and router.
    pub const STATIC_ROUTES: u8 = 33;
    /// NTP servers.
    pub const NTP_SERVERS: u8 = 42;
    /// The address that the client wants, or declines.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// Seconds that the lease lasts; `ffffffff`: for ever.
    pub const LEASE_TIME: u8 = 51;
    /// Which of the fields `file` (1) and `sname` (2) have options, too.
    pub const OVERLOAD: u8 = 52;
    /// What the message is.
    pub const MESSAGE_TYPE: u8 = 53;
    /// The server that is meant, or that answers.
    pub const SERVER_ID: u8 = 54;
    /// Codes of the options that the client wants to know.
    pub const PARAMETERS: u8 = 55;
    /// Why the server refuses, as text.
    pub const TEXT: u8 = 56;
    /// The largest message that the client takes, in bytes.
    pub const MESSAGE_SIZE: u8 = 57;
    /// T1: seconds until the client renews.
    pub const RENEWAL_TIME: u8 = 58;
    /// T2: seconds until the client rebinds.
    pub const REBINDING_TIME: u8 = 59;
    /// What program the client is.
    pub const VENDOR_CLASS: u8 = 60;
    /// The client identifier.
    pub const CLIENT_ID: u8 = 61;
    /// Domains to search (RFC 3397).
    pub const DOMAIN_SEARCH: u8 = 119;
    /// Routes with prefix lengths (RFC 3442).
    pub const CLASSLESS_ROUTES: u8 = 121;
    /// No options follow.
    pub const END: u8 = 255;
}

/// The options of a message, in their order. A code is there once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(Vec<(u8, Vec<u8>)>);

impl Options {
    /// Adds an option; one that is there already gets longer.
    #[must_use]
    pub fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.add(code, value);
        self
    }

    /// The value of an option.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.0.iter().find(|(own, _)| *own == code).map(|(_, value)| value.as_slice())
    }

    /// All options.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.0.iter().map(|(code, value)| (*code, value.as_slice()))
    }

    /// One byte.
    pub fn u8(&self, code: u8) -> Option<u8> {
        self.first(code).map(u8::from_be_bytes)
    }

    /// A number of two bytes.
    pub fn u16(&self, code: u8) -> Option<u16> {
        self.first(code).map(u16::from_be_bytes)
    }

    /// A number of four bytes.
    pub fn u32(&self, code: u8) -> Option<u32> {
        self.first(code).map(u32::from_be_bytes)
    }

    /// One address.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.first::<4>(code).map(Ipv4Addr::from)
    }

    /// Any number of addresses.
    pub fn addresses(&self, code: u8) -> impl Iterator<Item = Ipv4Addr> {
        let value = self.get(code).unwrap_or_default();
        value.chunks_exact(4).map(|o| Ipv4Addr::new(o[0], o[1], o[2], o[3]))
    }

    /// Reads one field of options. `None` when an option reaches beyond the field.
    pub(crate) fn read(&mut self, mut field: &[u8]) -> Option<()> {
        while let Some((code, rest)) = field.split_first() {
            field = match *code {
                code::END => break,
                code::PAD => rest,
                code => {
                    let (len, rest) = rest.split_first()?;
                    let (value, rest) = rest.split_at_checked(usize::from(*len))?;
                    self.add(code, value);
                    rest
                }
            };
        }
        Some(())
    }

    /// Appends all options and the end.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        for (code, value) in &self.0 {
            // Even an empty value is an option.
            let (first, rest) = value.split_at(value.len().min(255));
            for part in std::iter::once(first).chain(rest.chunks(255)) {
                bytes.extend([*code, part.len() as u8]);
                bytes.extend(part);
            }
        }
        bytes.push(code::END);
    }

    fn add(&mut self, code: u8, value: &[u8]) {
        match self.0.iter_mut().find(|(own, _)| *own == code) {
            Some((_, all)) => all.extend(value),
            None => self.0.push((code, value.to_vec())),
        }
    }

    /// The first bytes. A server that repeats an option of a fixed length means the same by each.
    fn first<const N: usize>(&self, code: u8) -> Option<[u8; N]> {
        self.get(code)?.first_chunk().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &[u8]) -> Option<Options> {
        let mut options = Options::default();
        options.read(field)?;
        Some(options)
    }

    #[test]
    fn parts_of_a_long_option_are_joined() {
        let options = read(&[12, 2, b'w', b'e', 0, 1, 4, 255, 255, 255, 0, 12, 1, b'b', 255, 7]).unwrap();
        assert_eq!(options.get(code::HOST_NAME), Some(&b"web"[..]));
        assert_eq!(options.address(code::SUBNET_MASK), Some(Ipv4Addr::new(255, 255, 255, 0)));
        assert_eq!(options.iter().count(), 2);
    }

    #[test]
    fn a_long_value_is_split_and_an_empty_one_stays() {
        for len in [0, 1, 255, 256, 510, 511] {
            let options = Options::default().with(119, &vec![7; len]).with(53, &[1]);
            let mut bytes = Vec::new();
            options.write(&mut bytes);
            assert_eq!(bytes.len(), len + 2 * len.div_ceil(255).max(1) + 3 + 1, "{len}");
            assert_eq!(read(&bytes).unwrap(), options, "{len}");
        }
    }

    #[test]
    fn an_option_beyond_the_end_spoils_the_message() {
        assert_eq!(read(&[53, 1, 5, 51]), None);
        assert_eq!(read(&[53, 1, 5, 51, 4, 0, 0]), None);
        assert!(read(&[53, 1, 5]).is_some(), "the end may be missing");
    }

    #[test]
    fn a_value_that_is_too_short_is_absent() {
        let options = Options::default().with(51, &[0, 0, 1]).with(6, &[1, 1, 1, 1, 2, 2]);
        assert_eq!(options.u32(51), None);
        assert_eq!(options.addresses(6).collect::<Vec<_>>(), [Ipv4Addr::new(1, 1, 1, 1)]);
    }
}
