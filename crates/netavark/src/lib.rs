//! netavark's protocol: Podman's requests as values, and the answers it expects.
//!
//! # How it works
//!
//! [`parse_arguments`] reads the command line, [`parse_request`] the JSON on stdin. A [`Request`] has the right shape,
//! no more: its addresses and names are still text. [`setup`] turns it into [`Attachment`]s and returns an [`Error`]
//! before anything changes. [`teardown`] reads only names, so that a container can leave its networks whatever else the
//! request says. [`reply`] and [`error_reply`] make the text for stdout.
//!
//! A Podman network is a described network (`podman:NAME`), unless it has the option or the label `zubi.network`: then
//! its containers join the zubi network of that name.
//!
//! # Limits
//!
//! The drivers are bridge, macvlan and ipvlan. A request has at most [`LARGEST_REQUEST`] bytes, an answer
//! [`LARGEST_ANSWER`].

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
