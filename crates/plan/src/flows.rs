//! Tracked connections that have to be deleted: what the kernel has translated once it translates the same way until
//! the connection ends, whatever the rules say by then.

use std::fmt;
use std::net::IpAddr;
use zubi_model::{PortRange, Protocol};

/// Which connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flows {
    /// Connections to these ports of the host. For the unspecified address: at every address the host has.
    To {
        /// The host's address.
        listen: IpAddr,
        /// Its ports.
        ports: PortRange,
        /// The protocol.
        protocol: Protocol,
    },
    /// Connections to these ports that are led to this address.
    Through {
        /// The host's address.
        listen: IpAddr,
        /// Its ports.
        ports: PortRange,
        /// The protocol.
        protocol: Protocol,
        /// Where they are led.
        target: IpAddr,
    },
    /// Connections from this address, or led to it.
    Of(IpAddr),
}

impl Flows {
    /// An address of their family.
    pub fn address(&self) -> IpAddr {
        match self {
            Flows::To { listen, .. } | Flows::Through { listen, .. } => *listen,
            Flows::Of(address) => *address,
        }
    }
}

/// The `conntrack` commands that delete them, each of which fails when there is none. For all addresses of the host
/// these commands also delete connections that are only routed to the same ports elsewhere; zubi does not.
impl fmt::Display for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (listen, ports, protocol, target) = match self {
            Flows::Of(address) => return write!(f, "conntrack -D -s {address} || :; conntrack -D -r {address} || :"),
            Flows::To { listen, ports, protocol } => (listen, ports, protocol, None),
            Flows::Through { listen, ports, protocol, target } => (listen, ports, protocol, Some(target)),
        };
        let many = ports.count() > 1;
        if many {
            write!(f, "for port in $(seq {} {}); do ", ports.first(), ports.last())?;
        }
        let family = if listen.is_ipv4() { "ipv4" } else { "ipv6" };
        write!(f, "conntrack -D -f {family} -p {protocol}")?;
        if !listen.is_unspecified() {
            write!(f, " -d {listen}")?;
        }
        if many {
            f.write_str(" --dport $port")?;
        } else {
            write!(f, " --dport {}", ports.first())?;
        }
        if let Some(target) = target {
            write!(f, " -r {target}")?;
        }
        f.write_str(if many { " || :; done" } else { " || :" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_print_as_the_commands_to_type() {
        let to = |listen: &str, ports: &str| Flows::To {
            listen: listen.parse().unwrap(),
            ports: ports.parse().unwrap(),
            protocol: Protocol::Udp,
        };
        assert_eq!(to("0.0.0.0", "53").to_string(), "conntrack -D -f ipv4 -p udp --dport 53 || :");
        assert_eq!(
            to("2001:db8::1", "53-54").to_string(),
            "for port in $(seq 53 54); do conntrack -D -f ipv6 -p udp -d 2001:db8::1 --dport $port || :; done"
        );
        assert_eq!(
            Flows::Of("10.55.66.2".parse().unwrap()).to_string(),
            "conntrack -D -s 10.55.66.2 || :; conntrack -D -r 10.55.66.2 || :"
        );
    }
}
