//! Each plug-in's share of the work, read from its configuration.

use crate::context::Context;
use crate::dns::Dns;
use crate::error::CniError;
use crate::fields::Fields;
use crate::intent::{Fixed, IngressPolicy, Publish, Reserve, Share, Tune};
use crate::plugin::Plugin;
use crate::{bridge, firewall, host_device, host_local, ipvlan, macvlan, portmap, static_ipam, tuning, vlan, zubi};
use zubi_model::{GatewayAt, Ingress, PortSource};

/// Reads what a plug-in has to do.
pub(crate) fn share(plugin: Plugin, config: &Fields<'_>, context: &Context<'_>) -> Result<Share, CniError> {
    let ipam = || config.object("ipam")?.ok_or_else(|| CniError::missing("ipam", "this plug-in gives addresses"));
    Ok(match plugin {
        Plugin::Zubi => Share::Wire(Box::new(zubi::read(config, context)?)),
        Plugin::Bridge => Share::Wire(Box::new(bridge::read(config, context)?)),
        Plugin::Macvlan => Share::Wire(Box::new(macvlan::read(config, context)?)),
        Plugin::Ipvlan => Share::Wire(Box::new(ipvlan::read(config, context)?)),
        Plugin::Vlan => Share::Wire(Box::new(vlan::read(config, context)?)),
        Plugin::HostDevice => Share::Wire(Box::new(host_device::read(config, context)?)),
        Plugin::Loopback => Share::Loopback,
        Plugin::HostLocal => Share::Reserve(host_local::read(&ipam()?, context, GatewayAt::Elsewhere)?),
        Plugin::Static => Share::Fixed(static_ipam::read(&ipam()?, context.runtime, context.version)?),
        Plugin::Portmap => Share::Publish(portmap::read(config, context.runtime)?),
        Plugin::Firewall => Share::IngressPolicy(firewall::read(config)?),
        Plugin::Tuning => Share::Tune(tuning::read(config, context)?),
    })
}

/// The share of a configuration that is invalid: just what DEL and GC need to find what was made.
pub(crate) fn bare_share(plugin: Plugin, config: &Fields<'_>, context: &Context<'_>) -> Result<Share, CniError> {
    let data_dir = |section: Option<Fields<'_>>| section.and_then(|s| s.path("dataDir").ok().flatten());
    Ok(match plugin {
        Plugin::Zubi => Share::Wire(Box::new(zubi::bare(config, context)?)),
        Plugin::Bridge => Share::Wire(Box::new(bridge::bare(config, context)?)),
        Plugin::Macvlan => Share::Wire(Box::new(macvlan::bare(config, context)?)),
        Plugin::Ipvlan => Share::Wire(Box::new(ipvlan::bare(config, context)?)),
        Plugin::Vlan => Share::Wire(Box::new(vlan::bare(config, context)?)),
        Plugin::HostDevice => Share::Wire(Box::new(host_device::bare(config, context)?)),
        Plugin::Loopback => Share::Loopback,
        Plugin::HostLocal => Share::Reserve(Reserve {
            sets: Vec::new(),
            wanted: Vec::new(),
            routes: Vec::new(),
            resolv_conf: None,
            data_dir: data_dir(config.object("ipam").ok().flatten()),
        }),
        Plugin::Static => Share::Fixed(Fixed { addresses: Vec::new(), routes: Vec::new(), dns: Dns::default() }),
        Plugin::Portmap => Share::Publish(Publish { ports: Vec::new(), source: PortSource::Preserved }),
        Plugin::Firewall => Share::IngressPolicy(IngressPolicy { ingress: Ingress::Open, icc: None }),
        Plugin::Tuning => Share::Tune(Tune { data_dir: data_dir(Some(config.clone())), ..Tune::default() }),
    })
}
