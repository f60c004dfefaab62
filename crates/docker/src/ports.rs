//! `com.docker.network.portmap`: the ports of a container.

use crate::Error;
use crate::fields::Fields;
use zubi_model::{HostAddress, HostPorts, Invalid, PortNumber, PortRange, PortWish, Protocol};

const PORTS: &str = "com.docker.network.portmap";

/// The ports that a container publishes, each once.
pub(crate) fn read(options: &Fields<'_>) -> Result<Vec<PortWish>, Error> {
    let mut wishes: Vec<PortWish> = Vec::new();
    for binding in options.objects(PORTS)? {
        let wish = wish(&binding)?;
        if !wishes.contains(&wish) {
            wishes.push(wish);
        }
    }
    Ok(wishes)
}

fn wish(binding: &Fields<'_>) -> Result<PortWish, Error> {
    let number = binding.number("Proto")?;
    let protocol = u8::try_from(number).ok().and_then(Protocol::from_number);
    let protocol = protocol.ok_or_else(|| Invalid::new("protocol", number, "is none of tcp, udp and sctp"))?;
    let port = |name| -> Result<Option<PortNumber>, Error> {
        Ok(Some(binding.number(name)?).filter(|number| *number > 0).map(PortNumber))
    };
    let target = port("Port")?.ok_or_else(|| Error::Missing("the port inside".into()))?;
    let host_ports = match (port("HostPort")?, port("HostPortEnd")?) {
        (None, _) => HostPorts::Any,
        (Some(first), None) => HostPorts::Each(first.into()),
        (Some(first), Some(last)) if first == last => HostPorts::Each(first.into()),
        (Some(first), Some(last)) => {
            let backwards = || Invalid::new("ports", format!("{first}-{last}"), "runs backwards");
            HostPorts::OneOf(PortRange::new(first, last).ok_or_else(backwards)?)
        }
    };
    let host = binding.read::<HostAddress>("HostIP")?.unwrap_or(HostAddress::Every);
    Ok(PortWish { host, host_ports, target: target.into(), protocol })
}
