//! Names that stand for addresses (RFC 1035, 3.5; RFC 3596, 2.5).

use crate::name::{Name, texts};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a whole reverse name stands for.
pub(crate) fn address_of(name: &Name) -> Option<IpAddr> {
    let labels: Vec<&[u8]> = texts(name.labels()).collect();
    match labels.as_slice() {
        [d, c, b, a, b"in-addr", b"arpa"] => {
            let octet = |label: &[u8]| std::str::from_utf8(label).ok()?.parse::<u8>().ok();
            Some(Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?).into())
        }
        [nibbles @ .., b"ip6", b"arpa"] if nibbles.len() == 32 => {
            let mut bits = 0u128;
            for label in nibbles.iter().rev() {
                let [digit] = label else { return None };
                bits = bits << 4 | u128::from(char::from(*digit).to_digit(16)?);
            }
            Some(Ipv6Addr::from(bits).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_reverse_names_are_addresses() {
        let read = |text: &str| address_of(&text.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(read("2.66.55.10.in-addr.arpa").as_deref(), Some("10.55.66.2"));
        let six = format!("2.{}d.f.ip6.arpa", "0.".repeat(29));
        assert_eq!(read(&six).as_deref(), Some("fd00::2"));
        for part in ["66.55.10.in-addr.arpa", "256.0.0.10.in-addr.arpa", "0.d.f.ip6.arpa", "web.blue"] {
            assert_eq!(read(part), None, "{part}");
        }
    }
}
