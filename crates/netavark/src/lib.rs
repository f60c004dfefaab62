//! netavark's protocol: what Podman asks of its network program, as values, and what it is answered.
//!
//! # How it works
//!
//! [`parse_arguments`] reads the words behind the program's name, [`parse_request`] the JSON that comes on stdin. A
//! [`Request`] has the right shape, no more: its addresses and names are still text. [`setup`] makes [`Attachment`]s of
//! it, and whatever cannot be is an [`Error`] before anything is done. [`teardown`] looks at nothing but names, so that
//! what was made can be taken away whatever else the request says. [`reply`] and [`error_reply`] are what goes to
//! stdout.
//!
//! A Podman network is one that is described with every call (`podman:NAME`), unless it has the option or the label
//! `zubi.network`: then its containers join the zubi network of that name.
//!
//! # Limits
//!
//! The bridge is the only driver. Names are not served, so no answer names a gateway as a server for them. What a
//! request may hold is bounded: [`LARGEST_REQUEST`] bytes, and an answer of [`LARGEST_ANSWER`].

mod addresses;
mod arguments;
mod by_name;
mod error;
mod intent;
mod network;
mod options;
mod ports;
mod reply;
mod request;
mod routes;

pub use arguments::{Command, Globals, Program, UsageError, parse_arguments};
pub use error::{Error, LARGEST_ANSWER, error_reply, joined};
pub use intent::{
    Attachment, Departure, Leaving, Publishing, Target, firewall_driver, setup, teardown, unsupported, update,
};
pub use reply::{Attached, Build, reply, version, version_line};
pub use request::{LARGEST_REQUEST, Request, parse_request};
