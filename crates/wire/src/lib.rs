//! Netlink messages to and from bytes, printed in the words of `ip`, `bridge`, `nft` and `conntrack`.
//!
//! A *representation* (`Link`, `Address`, `nft::Rule`) holds sensible values and names; what only the running
//! system knows, device numbers and descriptors, is passed to `encode`. A *sight* (`LinkSeen`, `AddressSeen`) is
//! what the kernel reported. Nothing here panics on any bytes: what does not parse is skipped or `None`.

pub mod conntrack;
#[cfg(all(test, target_endian = "little"))]
mod golden;
pub mod message;
pub mod nft;
pub mod route;
mod shell;

pub use message::{Attributes, Batch, Body, KernelError, Message, Messages, flag};
pub use shell::shell_word;
