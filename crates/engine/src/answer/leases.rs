//! Lists leases of DHCP.

use crate::decide::lease::LeaseState;
use crate::error::Error;
use crate::look::clock::now;
use crate::session::Session;
use std::time::Duration;
use zubi_model::{ByDhcp, Endpoint};

/// One line of `zubi lease ls`.
#[derive(Debug, Clone)]
pub struct LeaseView {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its lease.
    pub dhcp: ByDhcp,
    /// Where it stands.
    pub state: LeaseState,
    /// What is left of its time; absent when it lasts for ever.
    pub left: Option<Duration>,
    /// The time until T1; nothing when it is over.
    pub due_in: Option<Duration>,
}

/// All leases, by sandbox and age.
pub(crate) fn leases(session: &Session) -> Result<Vec<LeaseView>, Error> {
    let now = now()?;
    let mut views = Vec::new();
    for endpoint in session.store().all_endpoints_lossy().0 {
        let Some(dhcp) = endpoint.dhcp.clone() else { continue };
        let state = LeaseState::at(&dhcp, now);
        let left = dhcp.lease.expires_at().map(|end| end.since(now));
        let due_in = dhcp.lease.renew_at().map(|t1| t1.since(now));
        views.push(LeaseView { endpoint, dhcp, state, left, due_in });
    }
    views.sort_by(|a, b| {
        (&a.endpoint.sandbox.spelled, a.endpoint.attached_at)
            .cmp(&(&b.endpoint.sandbox.spelled, b.endpoint.attached_at))
    });
    Ok(views)
}
