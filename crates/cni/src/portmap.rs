//! `portmap`: published ports.

use crate::error::CniError;
use crate::fields::Fields;
use crate::intent::Publish;
use crate::runtime::Runtime;
use std::collections::BTreeSet;
use zubi_model::{HostAddress, HostPorts, PortNumber, PortSource, PortWish, Protocol};

/// Reads the plug-in's share.
pub(crate) fn read(config: &Fields<'_>, runtime: &Runtime<'_>) -> Result<Publish, CniError> {
    if let Some(backend) = config.text("backend")?.filter(|b| !["", "iptables", "nftables"].contains(b)) {
        return Err(CniError::config("backend", backend, "is neither iptables nor nftables"));
    }
    refuse_conditions(config)?;
    let source = match (config.choice("snat")?, config.flag("masqAll")?) {
        (Some(false), _) => PortSource::Untouched,
        (_, true) => PortSource::Masqueraded,
        (_, false) => PortSource::Preserved,
    };
    Ok(Publish { ports: ports(runtime)?, source })
}

/// Refuses keys that only iptables rules could serve.
fn refuse_conditions(config: &Fields<'_>) -> Result<(), CniError> {
    let bit = config.number("markMasqBit")?;
    if let Some(bit) = bit.filter(|bit| *bit > 31) {
        return Err(CniError::config("markMasqBit", bit, "is not a bit from 0 to 31"));
    }
    if let Some(chain) = config.text("externalSetMarkChain")?.filter(|c| !c.is_empty()) {
        let why = "nothing is marked, so no chain of others is needed: leave it out";
        return Err(CniError::unsupported("externalSetMarkChain", chain, why));
    }
    for key in ["conditionsV4", "conditionsV6"] {
        let conditions = config.texts(key)?;
        if !conditions.is_empty() {
            return Err(CniError::unsupported(key, conditions.join(" "), "ports are published without conditions"));
        }
    }
    Ok(())
}

fn ports(runtime: &Runtime<'_>) -> Result<Vec<PortWish>, CniError> {
    let Some(config) = runtime.config() else { return Ok(Vec::new()) };
    let mut wishes = Vec::new();
    let mut seen = BTreeSet::new();
    for mapping in config.objects("portMappings")? {
        // Kubernetes lists every port of a container; host port 0 marks one that is not published.
        let Some(host) = port(&mapping, "hostPort")? else { continue };
        let missing = || CniError::config(mapping.name("containerPort"), 0, "is not a port from 1 to 65535");
        let target = port(&mapping, "containerPort")?.ok_or_else(missing)?;
        let address = mapping.parsed("hostIP")?.unwrap_or(HostAddress::Every);
        let protocol = mapping.parsed("protocol")?.unwrap_or(Protocol::Tcp);
        if seen.insert((address, host, target, protocol)) {
            let host_ports = HostPorts::Each(host.into());
            wishes.push(PortWish { host: address, host_ports, target: target.into(), protocol });
        }
    }
    Ok(wishes)
}

/// Reads a port; 0 counts as absent.
fn port(mapping: &Fields<'_>, key: &str) -> Result<Option<PortNumber>, CniError> {
    let Some(value) = mapping.get(key) else { return Ok(None) };
    let number = value.as_u64().and_then(|n| u16::try_from(n).ok());
    let number = number.ok_or_else(|| mapping.wrong(key, value, "is not a port from 1 to 65535"))?;
    Ok((number > 0).then_some(PortNumber(number)))
}
