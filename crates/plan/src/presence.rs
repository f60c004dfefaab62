//! Whether a device of a plan exists.

use zubi_wire::route::LinkSeen;

/// What has the name of a device of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The device that zubi made.
    Ours,
    /// Another device with the same name.
    Foreign,
    /// No device.
    Gone,
    /// The device was not looked up, or the look-up failed. It may exist.
    Unknown,
}

impl Presence {
    /// Judges the device that the kernel has under the name.
    pub(crate) fn of(seen: Option<&LinkSeen>, is_ours: impl FnOnce(&LinkSeen) -> bool) -> Self {
        match seen {
            None => Presence::Gone,
            Some(seen) if is_ours(seen) => Presence::Ours,
            Some(_) => Presence::Foreign,
        }
    }

    /// Whether the device exists and zubi made it.
    pub fn is_ours(self) -> bool {
        self == Presence::Ours
    }
}
