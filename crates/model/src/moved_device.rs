//! A device of the host that is inside a sandbox: what it was on the host, so that it comes back as it was.

use crate::serial::is_default;
use crate::{Holdings, IfName, Mac, Moment, Mtu};
use serde::{Deserialize, Serialize};

/// A device of the host before it goes into a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedDevice {
    /// Its name on the host.
    pub name: IfName,
    /// Its kind, as the kernel names it. Hardware has none, and comes back by itself when its sandbox ends
    /// (`default_device_exit_net` of net/core/dev.c); devices of a kind end with the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_kind: Option<String>,
    /// Its MAC; some devices have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Its MTU; `None` where it is one that no new device could have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// Whether it was up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_up: bool,
    /// What the host had on it. It is gone as soon as the device moves.
    #[serde(default, skip_serializing_if = "is_default")]
    pub held: Holdings,
    /// When that was: the lifetimes of addresses have run since.
    pub seen_at: Moment,
}

impl MovedDevice {
    /// A device of which only the name is known.
    pub fn unseen(name: IfName) -> Self {
        MovedDevice {
            name,
            device_kind: None,
            mac: None,
            mtu: None,
            is_up: false,
            held: Holdings::default(),
            seen_at: Moment(0),
        }
    }

    /// Whether it is hardware.
    pub fn is_hardware(&self) -> bool {
        self.device_kind.is_none()
    }

    /// What the host has on it again at a time: without the addresses whose time is over, and the routes that programs
    /// made for them.
    pub fn held_at(&self, now: Moment) -> Holdings {
        let passed = u32::try_from(now.since(self.seen_at).as_secs()).unwrap_or(u32::MAX);
        let mut held = self.held.clone();
        held.addresses.retain(|held| held.options.lifetime.valid.is_none_or(|left| left > passed));
        for held in &mut held.addresses {
            let lifetime = &mut held.options.lifetime;
            lifetime.valid = lifetime.valid.map(|left| left - passed);
            lifetime.preferred = lifetime.preferred.map(|left| left.saturating_sub(passed));
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddressOptions, HeldAddress, Lifetime};

    #[test]
    fn addresses_come_back_with_the_time_that_is_left() {
        let lasting = |address: &str, valid| HeldAddress {
            address: address.parse().unwrap(),
            options: AddressOptions { lifetime: Lifetime { valid, preferred: valid }, ..AddressOptions::default() },
        };
        let mut moved = MovedDevice { seen_at: Moment(5_000), ..MovedDevice::unseen("eth1".parse().unwrap()) };
        moved.held.addresses =
            vec![lasting("10.0.0.1/24", None), lasting("10.0.0.2/24", Some(60)), lasting("10.0.0.3/24", Some(30))];
        let held = moved.held_at(Moment(35_000));
        assert_eq!(held.addresses, [lasting("10.0.0.1/24", None), lasting("10.0.0.2/24", Some(30))]);
        assert_eq!(moved.held_at(Moment(4_000)), moved.held);
    }
}
