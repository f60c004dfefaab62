//! The begin and end of a transaction: the kernel applies all messages in between, or none.

use super::{Generation, NFPROTO_UNSPEC, SUBSYSTEM, generic};
use crate::message::{Batch, flag};

const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
/// `NFNL_BATCH_GENID` (Linux 4.11).
const BATCH_GENERATION: u16 = 1;

/// Begins a transaction.
pub fn begin(batch: &mut Batch) {
    begin_at(batch, None);
}

/// Begins a transaction. It fails with ERESTART if the ruleset has another generation than the expected one.
pub fn begin_at(batch: &mut Batch, expected: Option<Generation>) {
    batch.message(BATCH_BEGIN, flag::REQUEST, |b| {
        b.header(&generic(NFPROTO_UNSPEC, SUBSYSTEM >> 8));
        if let Some(Generation(number)) = expected {
            b.be32(BATCH_GENERATION, number);
        }
    });
}

/// Ends a transaction: the kernel now applies all of it or nothing.
pub fn end(batch: &mut Batch) {
    batch.message(BATCH_END, flag::REQUEST, |b| b.header(&generic(NFPROTO_UNSPEC, SUBSYSTEM >> 8)));
}
