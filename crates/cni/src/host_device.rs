//! `host-device`: a device of the host that goes into the container as a whole.

use crate::context::Context;
use crate::error::CniError;
use crate::fields::Fields;
use crate::intent::{DeviceWish, Wire, WireNetwork};
use crate::ipam::with_ipam;
use crate::macvlan::{bare_as, described};
use zubi_model::{DriverDescription, HostDeviceDescription, IfName, MacWish, WayOut};

/// Reads the plug-in's share.
pub(crate) fn read(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    let chosen = chosen_by_runtime(context)?;
    let named = if chosen.is_none() { config.parsed("device")? } else { None };
    let device = match (&named, chosen) {
        (_, Some(address)) => Some(DeviceWish::Pci(address)),
        (Some(_), None) => None,
        (None, None) => {
            Some(wish(config)?.ok_or_else(|| CniError::missing("device", "or hwaddr, kernelpath or pciBusID"))?)
        }
    };
    let wire = describe(config, context, named.unwrap_or_else(IfName::loopback))?;
    let mut wire = with_ipam(Wire { device, ..wire }, config, context)?;
    // Its own.
    wire.wishes.mac = MacWish::FromAddress;
    Ok(wire)
}

/// The share of a configuration that is invalid: just the names in it.
pub(crate) fn bare(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    bare_as(|config, context| describe(config, context, IfName::loopback()), config, context)
}

/// The PCI address that a device plug-in of the runtime has chosen (capability `deviceID`).
fn chosen_by_runtime(context: &Context<'_>) -> Result<Option<String>, CniError> {
    let Some(config) = context.runtime.config() else { return Ok(None) };
    let Some(address) = config.text("deviceID")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    pci_address(config, "deviceID", address).map(Some)
}

/// The first of the other keys that is given, in the order of the reference.
fn wish(config: &Fields<'_>) -> Result<Option<DeviceWish>, CniError> {
    if let Some(mac) = config.parsed("hwaddr")? {
        return Ok(Some(DeviceWish::WithMac(mac)));
    }
    if let Some(path) = config.path("kernelpath")? {
        let is_plain = path.starts_with("/sys/devices/") && !path.components().any(|part| part.as_os_str() == "..");
        if !is_plain {
            let why = "is not an absolute path that begins with /sys/devices/";
            return Err(CniError::config("kernelpath", path.display(), why));
        }
        return Ok(Some(DeviceWish::Kernel(path)));
    }
    let address = config.text("pciBusID")?.filter(|text| !text.is_empty());
    address.map(|address| pci_address(config, "pciBusID", address).map(DeviceWish::Pci)).transpose()
}

/// `0000:00:19.0`: part of a path below /sys/bus/pci/devices.
fn pci_address(config: &Fields<'_>, key: &str, text: &str) -> Result<String, CniError> {
    let is_address = text.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | '.')) && !text.starts_with('.');
    if is_address {
        return Ok(text.to_owned());
    }
    Err(CniError::config(config.name(key), text, "is not the address of a PCI device, as 0000:00:19.0"))
}

fn describe(config: &Fields<'_>, context: &Context<'_>, device: IfName) -> Result<Wire, CniError> {
    // As with the reference, who writes the configuration answers for the host's way out.
    let driver = HostDeviceDescription { device, way_out: WayOut::MayGo };
    let mut wire = described(config, context, DriverDescription::HostDevice(driver))?;
    if let WireNetwork::Described(description) = &mut wire.network {
        // The reference has no such key.
        description.mtu = None;
    }
    Ok(wire)
}
