//! Numbers of namespaces: `ip netns list-id` (RTM_GETNSID; linux/net_namespace.h).

use crate::message::{Batch, Message, flag};
use serde::{Deserialize, Serialize};

const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
/// `struct rtgenmsg`, padded.
const HEADER: usize = 4;

/// The number by which one network namespace refers to another. It means nothing in a third one. A link whose other
/// namespace has no number reports a negative one (`NETNSA_NSID_NOT_ASSIGNED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetnsId(pub i32);

impl NetnsId {
    /// Appends a query for the number of an open namespace.
    pub fn get(batch: &mut Batch, netns_fd: u32) {
        // The answer is the acknowledgement.
        batch.message(RTM_GETNSID, flag::REQUEST, |b| {
            b.header(&[0; HEADER]);
            b.u32(NETNSA_FD, netns_fd);
        });
    }

    /// Appends a query whether the namespace with this number exists: ENOENT from the moment on that nobody is in it,
    /// while the kernel still takes its devices down (`get_net_ns_by_id` in net/core/net_namespace.c).
    pub fn find(self, batch: &mut Batch) {
        batch.message(RTM_GETNSID, flag::REQUEST, |b| {
            b.header(&[0; HEADER]);
            b.u32(NETNSA_NSID, self.0.cast_unsigned());
        });
    }

    /// Reads an `RTM_NEWNSID`; `None` for a namespace without a number.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        if message.kind != RTM_NEWNSID {
            return None;
        }
        let number = message.attributes(HEADER).u32(NETNSA_NSID)?.cast_signed();
        (number >= 0).then_some(NetnsId(number))
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, ours};
    use crate::message::Messages;

    #[test]
    fn asks_for_the_number_of_a_namespace_file() {
        let asked = ours(|b| NetnsId::get(b, 5));
        // struct nlmsghdr without its sequence number, then struct rtgenmsg and NETNSA_FD.
        assert_eq!(asked[..8], bytes("1c0000005a000100"));
        assert_eq!(asked[16..], bytes("000000000800030005000000"));
    }

    #[test]
    fn asks_for_a_namespace_by_its_number() {
        let asked = ours(|b| NetnsId(7).find(b));
        assert_eq!(asked[..8], bytes("1c0000005a000100"));
        assert_eq!(asked[16..], bytes("000000000800010007000000"));
    }

    #[test]
    fn a_namespace_without_a_number_has_none() {
        let answer = |id: &str| {
            let whole = bytes(&format!("1c0000005800000000000000000000000000000008000100{id}"));
            NetnsId::parse(&Messages::new(&whole).next().unwrap())
        };
        assert_eq!(answer("07000000"), Some(NetnsId(7)));
        assert_eq!(answer("ffffffff"), None);
    }
}
