//! What a test does to the netlink messages of this process, in debug builds only.
//!
//! # How it works
//! The count of messages runs over all sockets, in the order of sending; the sends themselves stay as they are. A
//! message to refuse gets a kind that the kernel does not know, so the kernel itself refuses it, and goes on with the
//! messages behind it (route netlink) or aborts the transaction (nftables). Answers to lose are read and thrown away,
//! and the next reading fails as it does when answers do not fit into the socket's buffer.
//!
//! The begin and end messages of a transaction do not count: the kernel refuses neither by itself.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use zubi_wire::Messages;

/// What becomes of a message, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// The kernel refuses the message.
    Refuse(u32),
    /// The send that has the message is done, and its answers are lost.
    Lose(u32),
    /// Nothing: each message is named on standard error.
    Tell,
}

/// The protocol of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Route,
    Netfilter,
}

/// Whether the answers of a send arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    Arrive,
    AreLost,
}

/// `NFNL_MSG_BATCH_BEGIN` and `NFNL_MSG_BATCH_END` (linux/netfilter/nfnetlink.h).
const FRAME: [u16; 2] = [16, 17];
/// Above `RTM_MAX`, and above `NFT_MSG_MAX` and `IPCTNL_MSG_MAX` where the upper byte is a subsystem.
const UNKNOWN: u16 = 0xff;
/// The place of the kind in a header (`struct nlmsghdr` in linux/netlink.h).
const KIND: std::ops::Range<usize> = 4..6;
/// `NLMSG_HDRLEN` and `NLMSG_ALIGNTO`.
const HEADER: usize = 16;
const ALIGN: usize = 4;

static DISTURBANCES: OnceLock<Vec<Disturbance>> = OnceLock::new();
static SEEN: AtomicU32 = AtomicU32::new(0);
static SENDS: AtomicU32 = AtomicU32::new(0);

/// Disturbs the messages of this process from now on. A second call has no effect.
pub fn disturb(disturbances: Vec<Disturbance>) {
    DISTURBANCES.get_or_init(|| disturbances);
}

/// The bytes to send instead of these, and what becomes of the answers.
pub(crate) fn disturbed(bytes: &[u8], protocol: Protocol) -> (Cow<'_, [u8]>, Answers) {
    let disturbances = if cfg!(debug_assertions) { DISTURBANCES.get() } else { None };
    let Some(disturbances) = disturbances else { return (Cow::Borrowed(bytes), Answers::Arrive) };
    let send = SENDS.fetch_add(1, Ordering::SeqCst) + 1;
    let mut changed = Cow::Borrowed(bytes);
    let mut answers = Answers::Arrive;
    let mut end = 0;
    for message in Messages::new(bytes) {
        let (start, kind) = (end, message.kind);
        end += HEADER + message.payload.len().next_multiple_of(ALIGN);
        if protocol == Protocol::Netfilter && FRAME.contains(&kind) {
            continue;
        }
        let n = SEEN.fetch_add(1, Ordering::SeqCst) + 1;
        for disturbance in disturbances {
            match disturbance {
                Disturbance::Refuse(nth) if *nth == n => {
                    let unknown = (kind & 0xff00) | UNKNOWN;
                    changed.to_mut()[start..][KIND].copy_from_slice(&unknown.to_ne_bytes());
                }
                Disturbance::Lose(nth) if *nth == n => answers = Answers::AreLost,
                Disturbance::Refuse(_) | Disturbance::Lose(_) => {}
                Disturbance::Tell => eprintln!("message {n}: kind {kind:#x}, send {send} of {protocol:?}"),
            }
        }
    }
    (changed, answers)
}
