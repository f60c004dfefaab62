//! Docker's plug-in protocols: requests for a remote network driver and its address management as values, and the
//! answers that the engine expects.
//!
//! # How it works
//!
//! The engine sends `POST /INTERFACE.METHOD` with a JSON object. [`interpret`] turns path and body into an [`Intent`], in
//! which every value is valid, or a [`Refusal`]. The functions of [`reply`] make the text of an answer.
//!
//! A network of Docker's is either made for it, with the options that follow `-o`, or it is a zubi network that exists
//! and that it joins ([`Kind`]). Address management is a second interface, whose requests come before there is a network:
//! a [`PoolId`] says in words all that is known by then.
//!
//! # Limits
//!
//! Networks are of one host: what swarm asks for is refused. An engine does not tell a driver names, only numbers.

mod endpoint;
mod error;
mod fields;
mod intent;
mod ipam;
mod mac;
mod network;
mod options;
mod ports;
pub mod reply;
mod request;

pub use endpoint::{CreateEndpoint, EndpointRef, Join, Publish};
pub use error::{Error, Refusal};
pub use intent::{Intent, interpret};
pub use ipam::{AddressRequest, PoolId, PoolRequest, Purpose};
pub use network::{CreateNetwork, Kind, NetworkPool, name_of_made};
pub use request::{Interface, LARGEST_REQUEST};
