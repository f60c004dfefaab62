//! Settings that change without a word of the kernel, and that somebody would miss before the next look at everything.
//!
//! # How it works
//! `RTM_NEWNETCONF` tells when `forwarding` changes, and tells nothing of `route_localnet` (`inet_netconf_fill_devconf`
//! in net/ipv4/devinet.c). So the files of the bridges with ports on 127.0.0.1 are read four times a second: one small
//! file each.

use crate::context::Context;
use std::fs;
use std::path::Path;
use std::time::Duration;
use zubi_kernel::monitor::Tiding;
use zubi_model::IfName;

/// The pause between two looks.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);

/// The settings to look at.
#[derive(Debug)]
pub(crate) struct SilentSettings {
    devices: Vec<IfName>,
    /// Whether the records have changed since the devices were read there.
    pub(crate) is_stale: bool,
}

impl SilentSettings {
    pub(crate) fn new() -> Self {
        SilentSettings { devices: Vec::new(), is_stale: true }
    }

    /// Whether there may be something to look at.
    pub(crate) fn matter(&self) -> bool {
        self.is_stale || !self.devices.is_empty()
    }

    /// The devices that have lost the setting. The kernel itself tells which devices are gone.
    pub(crate) async fn lost(&mut self, context: &Context) -> Vec<Tiding> {
        if self.is_stale
            && let Ok(devices) = context.call(|session| Ok(session.devices_with_loopback())).await
        {
            *self = SilentSettings { devices, is_stale: false };
        }
        let is_off = |device: &&IfName| {
            let file = Path::new("/proc/sys/net/ipv4/conf").join(device.as_str()).join("route_localnet");
            fs::read(file).is_ok_and(|value| value.trim_ascii() != b"1")
        };
        self.devices.iter().filter(is_off).map(|device| Tiding::Device(device.to_string())).collect()
    }
}
