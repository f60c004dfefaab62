//! Settings of an existing device and of its network namespace.

use crate::{Sysctl, What};
use zubi_model::{IfName, Mac, Mtu};
use zubi_wire::route::{AdminState, LinkChange, LinkSeen, Switch};

/// Settings of a device. Absent ones stay unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceSettings {
    /// Its MAC.
    pub mac: Option<Mac>,
    /// Its MTU.
    pub mtu: Option<Mtu>,
    /// Whether it accepts frames for every MAC.
    pub promisc: Option<Switch>,
    /// Whether it accepts frames for every multicast address.
    pub allmulticast: Option<Switch>,
    /// The length of its transmit queue, in packets.
    pub tx_queue: Option<u32>,
    /// Settings below /proc/sys/net of the namespace: `ipv4/conf/eth0/arp_notify` and its value.
    pub sysctls: Vec<(String, String)>,
}

impl DeviceSettings {
    /// All settings of the device itself, as the kernel has them.
    pub fn seen(link: &LinkSeen) -> Self {
        DeviceSettings {
            mac: link.mac,
            mtu: Mtu::try_from(link.mtu).ok(),
            promisc: Some(link.promisc),
            allmulticast: Some(link.allmulticast),
            tx_queue: Some(link.tx_queue),
            sysctls: Vec::new(),
        }
    }

    /// The operations that apply the settings.
    pub fn operations(&self, device: &IfName) -> Vec<What> {
        let sysctl = |(key, value): &(String, String)| What::Set(Sysctl::new(format!("net/{key}"), value));
        let mut all: Vec<What> = self.sysctls.iter().map(sysctl).collect();
        let change = LinkChange {
            mac: self.mac,
            mtu: self.mtu,
            promisc: self.promisc,
            allmulticast: self.allmulticast,
            tx_queue: self.tx_queue,
            ..LinkChange::none(device.clone())
        };
        if change != LinkChange::none(device.clone()) {
            all.push(What::ChangeLink(change));
        }
        all
    }
}

/// Sets the loopback device of a namespace up.
pub fn raise_loopback() -> What {
    What::ChangeLink(LinkChange::state(IfName::loopback(), AdminState::Up))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_settings_need_no_operation() {
        assert!(DeviceSettings::default().operations(&"eth0".parse().unwrap()).is_empty());
    }

    #[test]
    fn settings_of_the_namespace_come_before_those_of_the_device() {
        let settings = DeviceSettings {
            mtu: Some(Mtu::STANDARD),
            promisc: Some(Switch::On),
            sysctls: vec![("ipv4/conf/eth0/arp_notify".into(), "1".into())],
            ..DeviceSettings::default()
        };
        let ops = settings.operations(&"eth0".parse().unwrap());
        let words: Vec<String> = ops.into_iter().map(|what| crate::Op::host(what, "").to_string()).collect();
        assert_eq!(words, ["sysctl -qw net.ipv4.conf.eth0.arp_notify=1", "ip link set eth0 mtu 1500 promisc on"]);
    }
}
