//! Lists leases of DHCP.

use crate::decide::host_lease::HOST;
use crate::decide::lease::LeaseState;
use crate::error::Error;
use crate::look::clock::now;
use crate::session::Session;
use std::time::Duration;
use zubi_model::{ByDhcp, Mac, Moment, Network, NetworkName};

/// One line of `zubi lease ls`.
#[derive(Debug, Clone)]
pub struct LeaseView {
    /// The sandbox, as its endpoint calls it; `host` for the host itself.
    pub holder: String,
    /// The network.
    pub network: NetworkName,
    /// Of the device that has the address.
    pub mac: Mac,
    /// The lease.
    pub dhcp: ByDhcp,
    /// Where it stands.
    pub state: LeaseState,
    /// What is left of its time; absent when it lasts for ever.
    pub left: Option<Duration>,
    /// The time until T1; nothing when it is over.
    pub due_in: Option<Duration>,
}

impl LeaseView {
    fn new(holder: String, network: NetworkName, mac: Mac, dhcp: ByDhcp, now: Moment) -> Self {
        let state = LeaseState::at(&dhcp, now);
        let left = dhcp.lease.expires_at().map(|end| end.since(now));
        let due_in = dhcp.lease.renew_at().map(|t1| t1.since(now));
        LeaseView { holder, network, mac, dhcp, state, left, due_in }
    }
}

/// All leases: the host's own, then by sandbox and age.
pub(crate) fn leases(session: &Session) -> Result<Vec<LeaseView>, Error> {
    let now = now()?;
    let mut views: Vec<LeaseView> = host_leases(session)
        .map(|(network, mac, dhcp)| LeaseView::new(HOST.to_owned(), network.name, mac, dhcp, now))
        .collect();
    let mut endpoints = session.store().all_endpoints_lossy().0;
    endpoints.sort_by(|a, b| (&a.sandbox.spelled, a.attached_at).cmp(&(&b.sandbox.spelled, b.attached_at)));
    for endpoint in endpoints {
        let Some(dhcp) = endpoint.dhcp.clone() else { continue };
        views.push(LeaseView::new(endpoint.sandbox.spelled, endpoint.network, endpoint.mac, dhcp, now));
    }
    Ok(views)
}

/// The host's own leases that zubi has.
pub(crate) fn host_leases(session: &Session) -> impl Iterator<Item = (Network, Mac, ByDhcp)> {
    let store = session.store();
    let networks = store.networks_lossy().0.into_iter().filter(|network| network.host_client().is_some());
    networks.filter_map(move |network| {
        let dhcp = store.takeover(&network.name).ok()??.lease?;
        let mac = network.bridge()?.mac;
        Some((network, mac, dhcp))
    })
}
