//! Whether a device that a plan is about is there.

use zubi_wire::route::LinkSeen;

/// What stands where a device of ours belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The device that zubi made.
    Ours,
    /// Another device, which has its name.
    Foreign,
    /// No device.
    Gone,
    /// Nobody looked, or looking failed. Unknown is not gone.
    Unknown,
}

impl Presence {
    /// Of what the kernel has under a device's name.
    pub(crate) fn of(seen: Option<&LinkSeen>, is_ours: impl FnOnce(&LinkSeen) -> bool) -> Self {
        match seen {
            None => Presence::Gone,
            Some(seen) if is_ours(seen) => Presence::Ours,
            Some(_) => Presence::Foreign,
        }
    }

    /// Whether the device is there and zubi's.
    pub fn is_ours(self) -> bool {
        self == Presence::Ours
    }
}
