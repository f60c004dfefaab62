//! The word for the address.

use ipnet::IpNet;
use std::net::IpAddr;
use std::str::FromStr;
use zubi_model::Invalid;

/// The clients that the script starts. All mean zubi's own.
const CLIENTS: [&str; 4] = ["dhcp", "udhcpc", "dhclient", "dhcpcd"];

/// Where the address comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressWord {
    /// `0/0`: the device is up and has none.
    None,
    /// `10.1.0.5/24`, or with a gateway `10.1.0.5/24@10.1.0.1`.
    Given {
        /// The address with its prefix length.
        address: IpNet,
        /// The router of the default route, which replaces another one.
        gateway: Option<IpAddr>,
    },
    /// `dhcp`, `udhcpc`, `dhclient` and `dhcpcd`, with what follows the colon, which was for those programs.
    Dhcp {
        /// Words for a program that zubi does not start.
        passed_over: Option<String>,
    },
}

impl FromStr for AddressWord {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "0/0" {
            return Ok(AddressWord::None);
        }
        let (client, rest) = text.split_once(':').map_or((text, None), |(client, rest)| (client, Some(rest)));
        // `udhcpc-f` and `dhclient-f` keep the script's client running; zubi renews leases anyway.
        if CLIENTS.contains(&client.trim_end_matches("-f")) {
            return Ok(AddressWord::Dhcp { passed_over: rest.filter(|rest| !rest.is_empty()).map(str::to_owned) });
        }
        let (address, gateway) = match text.split_once('@') {
            Some((address, gateway)) => (address, Some(gateway)),
            None => (text, None),
        };
        let wrong = |why: &str| Invalid::new("address", text, why).try_instead("write ADDRESS/LENGTH[@GATEWAY]");
        if !address.contains('/') {
            return Err(wrong("has no prefix length"));
        }
        let address: IpNet = address.parse().map_err(|_| wrong("is not an address with a prefix length"))?;
        let gateway: Option<IpAddr> =
            gateway.map(str::parse).transpose().map_err(|_| wrong("has a gateway that is not an address"))?;
        if gateway.is_some_and(|gateway| gateway.is_ipv4() != address.addr().is_ipv4()) {
            return Err(wrong("has a gateway of the other family"));
        }
        Ok(AddressWord::Given { address, gateway })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_address_is_read() {
        let read = |text: &str| text.parse::<AddressWord>();
        assert_eq!(read("0/0"), Ok(AddressWord::None));
        let given = |address: &str, gateway: Option<&str>| AddressWord::Given {
            address: address.parse().unwrap(),
            gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        };
        assert_eq!(read("10.1.0.5/24"), Ok(given("10.1.0.5/24", None)));
        assert_eq!(read("10.1.0.5/24@10.1.0.1"), Ok(given("10.1.0.5/24", Some("10.1.0.1"))));
        assert_eq!(read("fd00::5/64@fe80::1"), Ok(given("fd00::5/64", Some("fe80::1"))));
        for client in ["dhcp", "udhcpc", "udhcpc-f", "dhclient", "dhclient-f", "dhcpcd"] {
            assert_eq!(read(client), Ok(AddressWord::Dhcp { passed_over: None }), "{client}");
        }
        assert_eq!(read("dhcp:-f"), Ok(AddressWord::Dhcp { passed_over: Some("-f".into()) }));
        for bad in ["10.1.0.5", "10.1.0.5/33", "10.1.0.5/24@x", "10.1.0.5/24@fd00::1", "", "dhcpx"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
