//! Chooses subnets for networks and addresses for endpoints.
//!
//! Pure: the caller supplies taken addresses, occupied prefixes and random bits, and gets a choice or the reason why
//! there is none. The same input always gives the same choice.

mod address;
mod pool;
mod span;
mod subnet;

pub use address::{Exhausted, check_fixed, next_of_pools};
pub use pool::{AddressPool, AddressPools};
pub use subnet::{Claim, NoPool, Occupied, choose_subnet};
