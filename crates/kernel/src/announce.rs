//! Announcing a device to its neighbours, once frames reach them.

use crate::error::Error;
use crate::links::{only, refused};
use crate::session::Session;
use std::net::Ipv6Addr;
use std::time::Duration;
use zubi_model::Family;
use zubi_plan::{Announcement, Outcome, Place, Through};
use zubi_wire::Batch;
use zubi_wire::route::LinkRef;

/// How often and how long to wait.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);
/// linux/rtnetlink.h.
const RT_TABLE_LOCAL: u32 = 255;

impl Session {
    /// Waits until a device answers, and makes the kernel announce it where neighbours may be wrong. When an
    /// announcement is lost, neighbours learn by asking.
    pub(crate) fn announce(&mut self, place: &Place, announcement: &Announcement) -> Result<Outcome, Error> {
        self.wait_for_carrier(place, announcement)?;
        self.wait_for_own_routes(place, announcement.ipv6.clone())?;
        let Some(change) = announcement.change() else { return Ok(Outcome::Created) };
        let index = self.index(place, announcement.device.as_str())?;
        let mut batch = Batch::new();
        change.encode(&mut batch, LinkRef::Index(index), None);
        match only(self.socket(place)?.transact(batch)?).outcome {
            Some(Ok(())) => Ok(Outcome::Created),
            outcome => Err(refused(announcement.to_string(), outcome)),
        }
    }

    /// An IPv6 address answers when the kernel has made its local route. A work queue does that a moment after the
    /// address was added (addrconf_dad_begin in net/ipv6/addrconf.c), also without duplicate address detection.
    fn wait_for_own_routes(&mut self, place: &Place, mut waiting: Vec<Ipv6Addr>) -> Result<(), Error> {
        for _ in 0..TRIES {
            if waiting.is_empty() {
                return Ok(());
            }
            let routes = self.routes(place, Family::V6)?;
            waiting.retain(|a| !routes.iter().any(|r| r.table == RT_TABLE_LOCAL && r.to.addr() == *a));
            if !waiting.is_empty() {
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// Until the kernel has noticed that both ends are up, the inner end, the bridge port and the bridge silently drop
    /// what is sent through them. A question about a link makes the kernel look at that link (rtnl_getlink since Linux
    /// 6.9); on older ones it takes a moment. If a carrier never comes, only the announcement is lost.
    fn wait_for_carrier(&mut self, place: &Place, announcement: &Announcement) -> Result<(), Error> {
        let on_host = match &announcement.through {
            Through::Bridge { port, bridge } => vec![port.as_str(), bridge.as_str()],
            Through::Cable | Through::Card => Vec::new(),
        };
        for _ in 0..TRIES {
            let mut all = vec![self.link(place, announcement.device.as_str())?];
            if !on_host.is_empty() {
                all.extend(self.links_named(&Place::Host, &on_host)?);
            }
            if all.iter().flatten().all(|l| l.carrier) {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}
