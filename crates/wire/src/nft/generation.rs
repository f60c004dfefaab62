//! The generation of the ruleset (`NFTA_GEN_*`): a number that changes with every transaction of any program.

use super::{HEADER, NFPROTO_UNSPEC, SUBSYSTEM, message};
use crate::message::{Batch, Message, flag};
use serde::{Deserialize, Serialize};

const NEWGEN: u16 = 15;
const GETGEN: u16 = 16;
const ID: u16 = 1;

/// The generation of the ruleset of a namespace. It is never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation(pub u32);

impl Generation {
    /// Reads an `NFT_MSG_NEWGEN`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        if message.kind != SUBSYSTEM | NEWGEN {
            return None;
        }
        message.attributes(HEADER).be32(ID).map(Generation)
    }

    /// Appends a query for it.
    pub fn encode_get(batch: &mut Batch) {
        message(batch, NFPROTO_UNSPEC, GETGEN, flag::REQUEST | flag::ACK, |_| ());
    }

    /// The generation after the next transaction.
    #[must_use]
    pub fn next(self) -> Self {
        // nf_tables_commit in net/netfilter/nf_tables_api.c skips zero too.
        Generation(self.0.wrapping_add(1).max(1))
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, message, ours};

    const GET: &str = "14000000100a0100000000000000000000000000";
    const ANSWER: &str = "\
        2c0000000f0a00000000000000000000000000020800010000000002080002000000727e080003006e667400";

    #[test]
    fn asks_as_nft_does_and_reads_the_answer() {
        assert_eq!(lines(&ours(Generation::encode_get), HEADER, &[]), lines(&bytes(GET), HEADER, &[]));
        assert_eq!(Generation::parse(&message(&bytes(ANSWER))), Some(Generation(2)));
    }

    #[test]
    fn zero_is_left_out() {
        assert_eq!(Generation(u32::MAX).next(), Generation(1));
        assert_eq!(Generation(7).next(), Generation(8));
    }
}
