//! Netlink messages to and from bytes, printed in the words of `ip`, `bridge`, `nft` and `conntrack`.
//!
//! A *representation* (`Link`, `Address`, `nft::Rule`) holds valid values and names. Device numbers and descriptors,
//! which only the running system knows, are arguments of `encode`. A type ending in `Seen` (`LinkSeen`, `AddressSeen`)
//! is what the kernel reported. No input makes this crate panic: bytes that do not parse are skipped or give `None`.

pub mod conntrack;
#[cfg(all(test, target_endian = "little"))]
mod golden;
pub mod message;
pub mod nft;
pub mod route;
mod shell;

pub use message::{Attributes, Batch, Body, KernelError, Message, Messages, flag};
pub use shell::shell_word;
