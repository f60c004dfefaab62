//! Chooses subnets for networks and addresses for endpoints.
//!
//! Pure: callers bring what is taken, what is in the way and what is random, and get a choice or the reason
//! why there is none. The same question always has the same answer.

mod address;
mod pool;
mod span;
mod subnet;

pub use address::{Exhausted, check_fixed, next_address, next_of_pools};
pub use pool::{AddressPool, AddressPools};
pub use subnet::{NoPool, Occupied, choose_subnet};
