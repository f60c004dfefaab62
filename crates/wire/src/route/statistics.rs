//! What devices have counted (RTM_GETSTATS; `struct if_stats_msg` and `struct rtnl_link_stats64` in linux/if_link.h).

use super::AF_UNSPEC;
use crate::message::{Batch, Message, flag};
use zubi_model::IfIndex;

const RTM_NEWSTATS: u16 = 92;
const RTM_GETSTATS: u16 = 94;
/// `struct if_stats_msg`: family, three bytes of padding, index, mask.
const HEADER: usize = 12;
const IFLA_STATS_LINK_64: u16 = 1;
/// Asks for `IFLA_STATS_LINK_64` alone (`IFLA_STATS_FILTER_BIT`).
const ONLY_LINK_64: u32 = 1 << (IFLA_STATS_LINK_64 - 1);

/// Frames of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// How many.
    pub packets: u64,
    /// Their bytes, with Ethernet headers.
    pub bytes: u64,
    /// Further ones that were damaged.
    pub errors: u64,
    /// Further ones for which there was no room, or no taker.
    pub dropped: u64,
}

impl Counted {
    /// From the counters at these places of the structure.
    fn of(counters: &[u8], places: [usize; 4]) -> Option<Self> {
        let at = |place: usize| {
            let bytes = counters.get(place * 8..place * 8 + 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        let [packets, bytes, errors, dropped] = places;
        Some(Counted { packets: at(packets)?, bytes: at(bytes)?, errors: at(errors)?, dropped: at(dropped)? })
    }
}

/// What a device has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkStatistics {
    /// The device.
    pub index: IfIndex,
    /// What it took in.
    pub received: Counted,
    /// What it sent.
    pub sent: Counted,
}

impl LinkStatistics {
    /// Appends a query for the counters of all devices.
    pub fn dump(batch: &mut Batch) {
        batch.message(RTM_GETSTATS, flag::REQUEST | flag::DUMP, |b| {
            let mut header = [0; HEADER];
            header[0] = AF_UNSPEC;
            header[8..].copy_from_slice(&ONLY_LINK_64.to_ne_bytes());
            b.header(&header);
        });
    }

    /// Reads an `RTM_NEWSTATS`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        if message.kind != RTM_NEWSTATS {
            return None;
        }
        let index = message.payload.get(4..8)?;
        let attributes = message.attributes(HEADER);
        let counters = attributes.get(IFLA_STATS_LINK_64)?;
        Some(LinkStatistics {
            index: IfIndex(u32::from_ne_bytes(index.try_into().ok()?)),
            // rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped.
            received: Counted::of(counters, [0, 2, 4, 6])?,
            sent: Counted::of(counters, [1, 3, 5, 7])?,
        })
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, ours};
    use crate::message::Messages;

    #[test]
    fn asks_for_the_counters_of_all_devices() {
        let asked = ours(LinkStatistics::dump);
        assert_eq!(asked[..8], bytes("1c0000005e000103"));
        assert_eq!(asked[16..], bytes("000000000000000001000000"));
    }

    #[test]
    fn reads_both_directions() {
        let counters: Vec<u8> = (1..=25_u64).flat_map(u64::to_ne_bytes).collect();
        let attribute = [(counters.len() as u16 + 4).to_ne_bytes(), IFLA_STATS_LINK_64.to_ne_bytes()].concat();
        let mut whole = bytes("e80000005c000200000000000000000000000000070000000100000000000000");
        whole.truncate(28);
        whole.extend(attribute);
        whole.extend(counters);
        let length = whole.len() as u32;
        whole[..4].copy_from_slice(&length.to_ne_bytes());
        let seen = LinkStatistics::parse(&Messages::new(&whole).next().unwrap()).unwrap();
        assert_eq!(seen.index, IfIndex(7));
        assert_eq!(seen.received, Counted { packets: 1, bytes: 3, errors: 5, dropped: 7 });
        assert_eq!(seen.sent, Counted { packets: 2, bytes: 4, errors: 6, dropped: 8 });
    }

    #[test]
    fn a_message_that_is_cut_short_says_nothing() {
        let whole = bytes("180000005c0000000000000000000000000000000700000001");
        let parsed = Messages::new(&whole).next().and_then(|message| LinkStatistics::parse(&message));
        assert_eq!(parsed, None);
    }
}
