//! Questions and what is answered, seen from outside.

mod answers;
mod asking;
mod packets;
mod prepared;
mod servers;
