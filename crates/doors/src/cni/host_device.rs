//! `host-device`: the device that a configuration means without its name.

use super::attachment::cni_error;
use std::fs;
use std::path::{Path, PathBuf};
use zubi_cni::{CniError, Code, DeviceWish};
use zubi_engine::Session;
use zubi_model::IfName;

const PCI: &str = "/sys/bus/pci/devices";

/// The name of the device on the host.
pub(super) fn find(session: &mut Session, wish: &DeviceWish) -> Result<IfName, CniError> {
    let devices = session.host_devices().map_err(cni_error)?;
    let (what, found) = match wish {
        DeviceWish::WithMac(mac) => {
            let found = devices.iter().find(|device| device.mac == Some(*mac));
            (format!("hwaddr {mac}"), found.map(|device| device.name.clone()))
        }
        DeviceWish::Kernel(path) => (format!("kernelpath {}", path.display()), first_of(path)),
        DeviceWish::Pci(address) => (format!("PCI device {address}"), of_pci(&Path::new(PCI).join(address))),
    };
    let is_here = |name: &String| devices.iter().any(|device| device.name == *name);
    let found = found.filter(is_here).ok_or_else(|| {
        let why = "no network device of this host is that; a driver for user space, as DPDK's, takes it away";
        CniError::new(Code::Config, format!("invalid network config: {what}: {why}"))
    })?;
    found.parse().map_err(|e: zubi_model::Invalid| CniError::new(Code::Config, e.to_string()))
}

/// The network device of hardware. That of a virtio card is one folder deeper.
fn of_pci(folder: &Path) -> Option<String> {
    let below = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let virtio =
        below.filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"virtio")));
    std::iter::once(folder.to_owned()).chain(virtio).find_map(|folder: PathBuf| first_of(&folder))
}

fn first_of(folder: &Path) -> Option<String> {
    let mut names: Vec<String> = fs::read_dir(folder.join("net"))
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    names.into_iter().next()
}
