//! Renewals of leases: how to go about them, and what became of them.

use crate::error::Error;
use crate::look::clock::now;
use crate::steps::ask_dhcp::Outcome;
use ipnet::IpNet;
use std::time::Duration;
use zubi_dhcp::Client;
use zubi_model::{ByDhcp, DhcpLease, Moment, NetworkName};

/// How often a server is asked to renew a lease, and how long it is given each time.
const TRIES: u32 = 3;
pub(crate) const WAIT: Duration = Duration::from_secs(1);

/// How to renew leases.
#[derive(Debug, Clone, Copy, Default)]
pub struct RenewWishes {
    /// Also those that are not due yet.
    pub force: bool,
    /// How long to wait for a server where a lease is lost; the usual time when absent.
    pub patience: Option<Duration>,
}

impl RenewWishes {
    pub(crate) fn effort(self) -> Effort {
        Effort { tries: TRIES, patience: self.patience.unwrap_or(Client::PATIENCE) }
    }
}

/// How long to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How often to ask for more time.
    pub(crate) tries: u32,
    /// How long to look for a server where a lease is lost.
    pub(crate) patience: Duration,
}

impl Effort {
    /// Asks for more time, for a second each time. A lease that is held goes on while nobody answers, so the client itself
    /// asks again only after a minute; a person does not wait that long.
    pub(crate) fn repeat(self, mut ask: impl FnMut(Duration) -> Result<Outcome, Error>) -> Result<Outcome, Error> {
        for _ in 1..self.tries {
            match ask(WAIT)? {
                Outcome::Unanswered => {}
                outcome => return Ok(outcome),
            }
        }
        ask(WAIT)
    }
}

/// What became of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// It need not be renewed yet.
    NotDue,
    /// It lasts longer now.
    Renewed,
    /// It was lost, and there is another one. The address that the endpoint had before, if it had any.
    Anew(Option<IpNet>),
    /// Nobody answered. The lease goes on until it ends.
    Unanswered,
    /// The sandbox or its device is gone.
    Gone,
}

/// A lease, and what became of it.
#[derive(Debug, Clone)]
pub struct Renewed {
    /// The sandbox, as its endpoint calls it; `host` for the host itself.
    pub holder: String,
    /// The network.
    pub network: NetworkName,
    /// The lease as it is now.
    pub dhcp: Option<ByDhcp>,
    /// What became of it.
    pub renewal: Renewal,
    /// What is left of its time; absent when it lasts for ever, or when there is none.
    pub left: Option<Duration>,
}

impl Renewed {
    pub(crate) fn new(
        holder: String,
        network: NetworkName,
        dhcp: Option<ByDhcp>,
        renewal: Renewal,
    ) -> Result<Self, Error> {
        let at = now()?;
        let dhcp = dhcp.filter(|dhcp| dhcp.holds_at(at));
        let left = dhcp.as_ref().and_then(|dhcp| dhcp.lease.expires_at()).map(|end: Moment| end.since(at));
        Ok(Renewed { holder, network, dhcp, renewal, left })
    }

    /// The lease that there is.
    pub fn lease(&self) -> Option<&DhcpLease> {
        Some(&self.dhcp.as_ref()?.lease)
    }
}
