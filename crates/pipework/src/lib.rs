//! The command line of pipework, a shell script of 2014 that plugs a running container into a network of the host.
//!
//! ```text
//! pipework [--direct-phys] HOSTIF [-i CONTIF] [-l LOCALIF] [-a FAMILY] GUEST ADDRESS [MAC][@VLAN]
//! pipework route|rule|tc GUEST WORDS...
//! pipework --wait [-i CONTIF]
//! ```
//!
//! Pure: words to a [`Request`], no effects. What the script accepts is accepted; where it fails silently, or asks for a
//! program that zubi does not need, the documentation of the field says so.

mod address;
mod error;
mod mac;
mod request;

pub use address::AddressWord;
pub use error::{Error, SYNTAX};
pub use mac::mac_of_text;
pub use request::{Attach, HostInterface, Request, Tool, parse};
