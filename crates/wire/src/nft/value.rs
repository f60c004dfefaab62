//! Values: the parts of keys and of data, and their encoding in registers.

use super::family::{NFPROTO_IPV4, NFPROTO_IPV6, nfproto};
use super::words::family_word;
use super::{Field, PortNumber, PortRange, Protocol};
use crate::message::text_of;
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use zubi_model::{Family, IfName};

/// One part of a key or of a map's data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// A single address.
    Address(IpAddr),
    /// A prefix, in sets with intervals.
    Prefix(IpNet),
    /// A device.
    Device(IfName),
    /// A transport protocol.
    Protocol(Protocol),
    /// A single port.
    Port(PortNumber),
    /// An address family.
    Family(Family),
    /// Ports, in sets with intervals. The kernel stores two ends there, also for a single port.
    Ports(PortRange),
}

impl Value {
    /// Decodes the value of a field, or of a span if `last` is given. `None` if the bytes are invalid for the field.
    pub(super) fn read(field: Field, first: &[u8], last: Option<&[u8]>) -> Option<Self> {
        let single = last.is_none_or(|last| last == first);
        match field {
            Field::Ipv4 | Field::Ipv6 => {
                let from = address(field, first)?;
                match last {
                    None => Some(Value::Address(from)),
                    Some(last) => prefix(from, address(field, last)?).map(Value::Prefix),
                }
            }
            Field::IfName => single.then(|| text_of(first).parse().ok().map(Value::Device))?,
            Field::Proto => match first {
                [number] if single => Protocol::from_number(*number).map(Value::Protocol),
                _ => None,
            },
            Field::NfProto => match first {
                [NFPROTO_IPV4] if single => Some(Value::Family(Family::V4)),
                [NFPROTO_IPV6] if single => Some(Value::Family(Family::V6)),
                _ => None,
            },
            Field::Port => {
                let port = |bytes| <[u8; 2]>::try_from(bytes).ok().map(u16::from_be_bytes).map(PortNumber);
                match last {
                    None => port(first).map(Value::Port),
                    Some(last) => PortRange::new(port(first)?, port(last)?).map(Value::Ports),
                }
            }
        }
    }

    /// Whether it has two ends.
    pub(super) fn is_span(&self) -> bool {
        matches!(self, Value::Prefix(_) | Value::Ports(_))
    }

    pub(super) fn first(&self) -> Vec<u8> {
        match self {
            Value::Address(a) => address_bytes(*a),
            Value::Prefix(net) => address_bytes(net.network()),
            Value::Device(name) => {
                let mut bytes = name.as_str().as_bytes().to_vec();
                bytes.resize(16, 0);
                bytes
            }
            Value::Protocol(protocol) => vec![protocol.number()],
            Value::Family(family) => vec![nfproto(*family)],
            Value::Port(port) => port.0.to_be_bytes().to_vec(),
            Value::Ports(ports) => ports.first().0.to_be_bytes().to_vec(),
        }
    }

    pub(super) fn last(&self) -> Vec<u8> {
        match self {
            Value::Prefix(net) => address_bytes(net.broadcast()),
            Value::Ports(ports) => ports.last().0.to_be_bytes().to_vec(),
            other => other.first(),
        }
    }
}

fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

fn address(field: Field, bytes: &[u8]) -> Option<IpAddr> {
    match field {
        Field::Ipv4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

/// The prefix that covers exactly the span, if there is one.
fn prefix(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    let nets = (0..=IpNet::from(first).max_prefix_len()).filter_map(|len| IpNet::new(first, len).ok());
    nets.into_iter().find(|net| net.network() == first && net.broadcast() == last)
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Address(a) => write!(f, "{a}"),
            Value::Prefix(net) => write!(f, "{net}"),
            // In quotes: a device may have a keyword of nft as its name.
            Value::Device(name) => write!(f, "\"{name}\""),
            Value::Protocol(protocol) => write!(f, "{protocol}"),
            Value::Family(family) => f.write_str(&family_word(nfproto(*family))),
            Value::Port(port) => write!(f, "{port}"),
            Value::Ports(ports) => write!(f, "{ports}"),
        }
    }
}

/// Encodes values for consecutive registers. Each value is padded to whole words, except a single value.
pub(super) fn joined(values: &[Value], bytes_of: impl Fn(&Value) -> Vec<u8>) -> Vec<u8> {
    if let [value] = values {
        return bytes_of(value);
    }
    let mut all = Vec::new();
    for value in values {
        all.extend(bytes_of(value));
        all.resize(all.len().next_multiple_of(4), 0);
    }
    all
}

/// Splits bytes into those of each field, the inverse of [`joined`]. A missing field is empty.
pub(super) fn parted<'a>(fields: &[Field], bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut at = 0;
    fields
        .iter()
        .map(|field| {
            let part = bytes.get(at..at + field.len() as usize).unwrap_or_default();
            at += (field.len() as usize).next_multiple_of(4);
            part
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_written() {
        let ports = PortRange::new(PortNumber(9000), PortNumber(9199)).unwrap();
        for (field, value) in [
            (Field::Ipv4, Value::Address("10.1.0.2".parse().unwrap())),
            (Field::Ipv6, Value::Address("fd00::2".parse().unwrap())),
            (Field::Ipv4, Value::Prefix("10.1.0.0/24".parse().unwrap())),
            (Field::Ipv4, Value::Prefix("0.0.0.0/0".parse().unwrap())),
            (Field::Ipv6, Value::Prefix("fd00::2/128".parse().unwrap())),
            (Field::IfName, Value::Device("zb-blue".parse().unwrap())),
            (Field::Proto, Value::Protocol(Protocol::Sctp)),
            (Field::NfProto, Value::Family(Family::V4)),
            (Field::NfProto, Value::Family(Family::V6)),
            (Field::Port, Value::Port(PortNumber(80))),
            (Field::Port, Value::Ports(ports)),
            (Field::Port, Value::Ports(PortNumber(80).into())),
        ] {
            let last = value.is_span().then(|| value.last());
            assert_eq!(Value::read(field, &value.first(), last.as_deref()), Some(value));
        }
    }

    #[test]
    fn what_is_no_value_of_its_kind_is_not_read() {
        assert_eq!(Value::read(Field::Ipv4, &[10, 1, 0, 2], Some(&[10, 1, 0, 5])), None);
        assert_eq!(Value::read(Field::Ipv6, &[10, 1, 0, 2], None), None);
        assert_eq!(Value::read(Field::Proto, &[1], None), None);
        assert_eq!(Value::read(Field::Proto, &[6], Some(&[17])), None);
        assert_eq!(Value::read(Field::Port, &[0, 2], Some(&[0, 1])), None);
        assert_eq!(Value::read(Field::NfProto, &[7], None), None);
        assert_eq!(Value::read(Field::Port, &[0], None), None);
    }

    #[test]
    fn values_are_filled_up_except_one_alone() {
        let key = [Value::Protocol(Protocol::Tcp), Value::Port(PortNumber(8080))];
        let bytes = joined(&key, Value::first);
        assert_eq!(bytes, [6, 0, 0, 0, 0x1f, 0x90, 0, 0]);
        assert_eq!(parted(&[Field::Proto, Field::Port], &bytes), [&[6][..], &[0x1f, 0x90]]);
        assert_eq!(joined(&key[1..], Value::first), [0x1f, 0x90]);
        assert_eq!(parted(&[Field::Port], &[0x1f, 0x90]), [&[0x1f, 0x90]]);
    }
}
