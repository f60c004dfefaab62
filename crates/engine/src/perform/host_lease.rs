//! The host's own lease on an uplink network, when zubi has it in the place of the host's DHCP client.
//!
//! # How it works
//! A DHCP client that runs hears nothing more once its card is a port: its packet socket is on the card, and frames end
//! in the bridge. So zubi asks for the same address on the bridge, with the same MAC and client id, and ends the other
//! client when the network is kept. From then on `zubi lease renew --all` renews it with the leases of endpoints.
//!
//! The client id is part of the network, so that after a reboot the host gets its address again without any other client.
//!
//! # Limits
//! Only the address and the routes follow the lease. What else its server says (DNS servers, MTU) stays as the other client
//! left it.

use crate::decide::host_lease::{HOST, address_by_dhcp, remember, start_for_host};
use crate::error::Error;
use crate::look::clock::now;
use crate::look::dhcp_client::{ResidentClient, resident_client};
use crate::perform::renewal::{Effort, Renewal, Renewed};
use crate::session::Session;
use crate::steps::apply::apply;
use crate::steps::ask_dhcp::{Outcome, Question, ask};
use ipnet::IpNet;
use std::fs;
use std::net::IpAddr;
use std::time::Duration;
use zubi_dhcp::{Client, HostName, Identity, Start};
use zubi_kernel::inside;
use zubi_model::{ByDhcp, DhcpLease, Holdings, HostClient, Network, Tenure};
use zubi_plan::driver::UPLINK_SETTINGS;
use zubi_plan::{HostAddress, Place};
use zubi_store::{ExclusiveHost, TakeOverRecord};

/// How long a machine that has an offered address is given to say so (RFC 5227).
const PROBE: Duration = Duration::from_millis(300);

/// Who the host is to DHCP servers, by the client that keeps the address of the network's card. Refuses a host that has
/// no address by DHCP.
pub(crate) fn host_client(session: &mut Session, network: &Network, held: &Holdings) -> Result<HostClient, Error> {
    let (Some(card), Some(part)) = (network.parent(), network.bridge()) else { return Ok(HostClient::default()) };
    match resident(session, network)? {
        Some(client) => Ok(HostClient { id: client.id(card, part.mac)? }),
        None if address_by_dhcp(held, None).is_some() => Ok(HostClient::default()),
        None => {
            let why = "has no address by DHCP (no client runs on it, and its addresses last); leave --take-lease out";
            Err(Error::Card { card: card.clone(), why: why.to_owned() })
        }
    }
}

/// Gets the host's lease for zubi, on the bridge that has just taken over the card.
pub(crate) fn take_host_lease(
    session: &mut Session,
    host: &ExclusiveHost,
    network: &Network,
    record: &mut TakeOverRecord,
) -> Result<(), Error> {
    let held = holdings(session, network)?;
    let has = match resident(session, network)? {
        // udhcpc's addresses last for ever.
        Some(_) => address_by_dhcp(&held, None)
            .or_else(|| held.addresses.iter().map(|held| held.address).find(|address| address.addr().is_ipv4())),
        None => address_by_dhcp(&held, None),
    };
    let start = start_for_host(None, has, false, now()?).unwrap_or(Start::Discover);
    let doing = session.begin();
    doing.step(|| format!("asking for the host's lease on network {}", network.name));
    let lease = bound(network, converse(session, network, &held, start, Client::PATIENCE)?)?;
    drop(doing);
    settle(session, host, network, record, has, &held_now(network, lease))
}

/// Renews the host's lease on a network, if it is due or forced.
pub(crate) fn renew_host_lease(
    session: &mut Session,
    network: &Network,
    force: bool,
    effort: Effort,
) -> Result<Renewed, Error> {
    let nothing =
        || TakeOverRecord { network: network.name.clone(), before: Holdings::default(), until: None, lease: None };
    let mut record = session.store().takeover(&network.name)?.unwrap_or_else(nothing);
    let answer = |dhcp, renewal| Renewed::new(HOST.to_owned(), network.name.clone(), dhcp, renewal);
    if session.kernel.link(&Place::Host, network.device().as_str()).map_err(Error::kernel("bridge"))?.is_none() {
        return answer(record.lease, Renewal::Gone);
    }
    let held = holdings(session, network)?;
    let has = address_by_dhcp(&held, record.lease.as_ref());
    let Some(mut start) = start_for_host(record.lease.as_ref(), has, force, now()?) else {
        end_other_client(session, network)?;
        return answer(record.lease, Renewal::NotDue);
    };
    // The locks are for the effects: a server may take seconds.
    let mut had = has;
    let mut lease = None;
    if matches!(start, Start::Resume(_)) {
        let ask = |wait| converse(session, network, &held, start.clone(), wait);
        match effort.repeat(ask)? {
            Outcome::Bound(more) => lease = Some(more),
            Outcome::Unanswered | Outcome::Failed(_) => return answer(record.lease, Renewal::Unanswered),
            Outcome::Lost(loss) => {
                session.note(format!("the host on network {}: {loss}", network.name));
                start = Start::Discover;
                let host = &session.store().lock_host_exclusive()?;
                record = session.store().takeover(&network.name)?.unwrap_or(record);
                if let Some(dhcp) = record.lease.clone() {
                    settle(session, host, network, &mut record, had, &ByDhcp { tenure: Tenure::Lost, ..dhcp })?;
                }
                had = None;
            }
        }
    }
    let lease = match lease {
        Some(lease) => lease,
        None => bound(network, converse(session, network, &held, start, effort.patience)?)?,
    };
    let host = &session.store().lock_host_exclusive()?;
    if session.store().network(&network.name)?.as_ref() != Some(network) {
        return answer(None, Renewal::Gone);
    }
    record = session.store().takeover(&network.name)?.unwrap_or(record);
    settle(session, host, network, &mut record, had, &held_now(network, lease))?;
    end_other_client(session, network)?;
    let now_has = record.lease.as_ref().map(|dhcp| IpNet::V4(dhcp.lease.address));
    let renewal = if now_has == has { Renewal::Renewed } else { Renewal::Anew(has) };
    if let (Some(is), Some(was), Renewal::Anew(_)) = (now_has, has, &renewal) {
        let words = format!("the host on network {}: the address was {was} and is {is} now", network.name);
        zubi_kernel::log(&words);
        session.note(words);
    }
    answer(record.lease, renewal)
}

/// Ends the DHCP client that has the card of a network: zubi has its lease.
pub(crate) fn end_other_client(session: &mut Session, network: &Network) -> Result<(), Error> {
    let Some(client) = resident(session, network)?.filter(ResidentClient::can_be_replaced) else { return Ok(()) };
    let (name, pid) = (&client.name, client.pid);
    // SIGTERM would make it release the lease, or take the address away.
    inside::end_process_if(pid, &|| client.is_there()).map_err(Error::kernel(format!("process {pid}")))?;
    session.note(format!(
        "{name} (pid {pid}) has ended: the lease on {} is zubi's from now on; zubi lease renew --all renews it",
        network.device()
    ));
    Ok(())
}

fn resident(session: &mut Session, network: &Network) -> Result<Option<ResidentClient>, Error> {
    let Some(card) = network.parent() else { return Ok(None) };
    let seen =
        session.kernel.link(&Place::Host, card.as_str()).map_err(Error::kernel(format!("network card {card}")))?;
    Ok(seen.and_then(|seen| resident_client(seen.index, card)))
}

fn holdings(session: &mut Session, network: &Network) -> Result<Holdings, Error> {
    let failed = Error::kernel(format!("network {}", network.name));
    Ok(session.kernel.holdings(network.device(), UPLINK_SETTINGS).map_err(failed)?.held)
}

fn converse(
    session: &mut Session,
    network: &Network,
    held: &Holdings,
    start: Start,
    patience: Duration,
) -> Result<Outcome, Error> {
    let Some(part) = network.bridge() else { return Ok(Outcome::Unanswered) };
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let identity = Identity {
        mac: part.mac,
        id: network.host_client().and_then(|client| client.id.clone()),
        host_name: HostName::of_host(name.trim()),
        told: Vec::new(),
    };
    let object = format!("network {}: lease of the host", network.name);
    let wait = if matches!(start, Start::Resume(_)) { patience } else { patience * 2 };
    let place = &Place::Host;
    let question = Question { object: &object, place, device: network.device(), identity, start, patience, wait };
    ask(session, question, &mut |session, lease| {
        let address = IpAddr::V4(lease.address.addr());
        if held.addresses.iter().any(|held| held.address.addr() == address) {
            return Ok(true);
        }
        let others = session.kernel.answers(network.device(), &[address], PROBE).map_err(Error::kernel(&object))?;
        Ok(others.is_empty())
    })
}

fn bound(network: &Network, outcome: Outcome) -> Result<DhcpLease, Error> {
    let why = match outcome {
        Outcome::Bound(lease) => return Ok(lease),
        Outcome::Failed(failure) => failure.to_string(),
        Outcome::Lost(loss) => loss.to_string(),
        Outcome::Unanswered => "no DHCP server answered".to_owned(),
    };
    let (network, device) = (network.name.clone(), network.device().clone());
    Err(Error::NoLease { network, sandbox: HOST.to_owned(), device, why })
}

fn held_now(network: &Network, lease: DhcpLease) -> ByDhcp {
    ByDhcp {
        client: network.host_client().and_then(|client| client.id.clone()),
        told: Vec::new(),
        lease,
        tenure: Tenure::Held,
    }
}

/// Records a lease, and gives the host its address or takes it away.
fn settle(
    session: &mut Session,
    host: &ExclusiveHost,
    network: &Network,
    record: &mut TakeOverRecord,
    had: Option<IpNet>,
    dhcp: &ByDhcp,
) -> Result<(), Error> {
    let at = now()?;
    let held = holdings(session, network)?;
    let before = record.lease.take();
    remember(record, had, dhcp.clone(), at);
    session.store().write_takeover(host, record)?;
    let of = HostAddress { device: network.device(), held: &held, had, lease: before.as_ref().map(|dhcp| &dhcp.lease) };
    let plan = if dhcp.holds_at(at) { of.take(&dhcp.lease, dhcp.lease.left_at(at)) } else { of.lose() };
    if plan.is_empty() {
        Ok(())
    } else {
        apply(session, &format!("network {}: lease of the host", network.name), &plan)
    }
}
