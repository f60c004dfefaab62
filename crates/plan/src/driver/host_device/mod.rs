//! The host-device driver: the endpoint is a device of the host that goes into the sandbox as a whole, and comes back as
//! it was.
//!
//! # How it works
//! The record of the endpoint has what the device was on the host ([`MovedDevice`](zubi_model::MovedDevice)), so the way
//! back needs no sandbox: hardware whose sandbox ends falls into the first namespace of the machine by itself, under the
//! name that it had inside, down and bare. Bringing it home compares what it is now with what it was, wherever it is, so
//! one plan serves a disconnect, a roll-back and what a killed command left.
//!
//! # Limits
//! Queueing disciplines, filters and XDP programs that the host had on the device do not come back.

mod endpoint;
mod home;
mod recognise;

pub use home::{MovedNow, bring_home, name_of_another, settings};
pub use recognise::is_moved;

pub(super) use endpoint::{attach, change_mac, detach, wanted};
pub(super) use recognise::recognise_inner_end;

use crate::driver::found::{Last, Leaving};
use crate::{Plan, driver::ovs};

/// The layout of the firewall is there while a network is.
pub(super) fn up() -> Plan {
    ovs::up()
}

pub(super) fn down(last: Last) -> Plan {
    ovs::down(last)
}

pub(super) fn down_from(found: &Leaving<'_>) -> Plan {
    ovs::down_from(found)
}
