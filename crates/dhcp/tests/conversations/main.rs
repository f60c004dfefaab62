//! A client and servers on a virtual clock.

mod first_lease;
mod keeping_a_lease;
mod lan;
mod server;
