//! The numbers of networks.

use crate::hex::hex_id;

hex_id!(
    /// The number of a network for programs: 64 hex digits, as Docker has them.
    NetworkId, "network id", 32
);
