//! Networks on the LAN: a bridge takes over a network card of the host, and nobody is locked out.
//!
//! # How it works
//! The *guardian* is a process that is started before the first effect, as for `run`. It reads from a pipe whose other
//! end only the command has. If the pipe closes without data, the command was killed in the middle, and the guardian
//! undoes its work. Otherwise it gets the end of the time to confirm, waits for it, and gives the card everything back
//! unless the network was confirmed.
//!
//! The network stays in `making/` until it is confirmed, and a record in `takeovers/` says until when that may be. So
//! when the guardian is killed too, the next command of any kind finds the record and does the guardian's work. Both are
//! in `run`: after a reboot there is nothing to undo.
//!
//! # Limits
//! If command and guardian are killed in the middle and no command follows, the host may be cut off until it is
//! restarted.

use crate::engine::{Engine, LostRecords};
use crate::error::Error;
use crate::fault::Fault;
use crate::firewall::foreign::{look_at_foreign, note_legacy, note_refused};
use crate::firewall::seen::firewall_is_in_order;
use crate::firewall::table::lost_firewall;
use crate::guardian::{self, Watch};
use crate::heal::leftovers::recover_first;
use crate::heal::unfinished_networks::recover_networks;
use crate::look::card::{Managed, refuse_card, routers_of};
use crate::look::clock::nanoseconds;
use crate::look::groups::joined_groups;
use crate::look::unconfirmed::all_unconfirmed;
use crate::look::unrecorded::refuse_other_instance_now;
use crate::perform::create_network::{decide_network, network_birth, refuse_name};
use crate::perform::host_lease::{end_other_client, host_client, take_host_lease};
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::apply::apply;
use crate::undo::network::undo_network;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;
use zubi_kernel::process;
use zubi_model::{IfName, Invalid, Network, NetworkName, NetworkSpec};
use zubi_plan::{coexist, driver};
use zubi_store::{ExclusiveHost, TakeOverRecord};

/// How long a neighbour that answered before is given to answer again.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long neighbours are given to answer before the take-over. Those that do not answer are not expected to later.
const BEFORE: Duration = Duration::from_secs(1);
/// Tells the guardian, in place of a time, that there is nothing to guard.
const NOTHING: u64 = 0;
/// How often the guardian looks whether the network was confirmed.
const LOOKS: Duration = Duration::from_millis(200);

/// How a bridge takes over a card.
#[derive(Debug, Clone, Default)]
pub struct TakeOver {
    /// The card goes back after this time unless the network is confirmed. `None`: it needs no confirmation.
    pub confirm_within: Option<Duration>,
    /// Take over a card that another program manages.
    pub force: bool,
    /// Renew the host's own lease in the place of its DHCP client.
    pub take_lease: bool,
    /// The address from which the user is connected. It has to answer afterwards if it answered before.
    pub user: Option<IpAddr>,
}

/// Creates a network whose bridge takes over a card.
pub(crate) fn create_uplink(
    session: &mut Session,
    spec: NetworkSpec,
    wishes: &TakeOver,
    act: Act,
) -> Result<Report<Network>, Error> {
    let host = &session.store().lock_host_exclusive()?;
    recover_first(session, host, act)?;
    if act == Act::Apply {
        recover_networks(session, host).but(&spec.name)?;
    }
    refuse_name(session, &spec.name)?;
    refuse_other_instance_now(session)?;
    let mut network = decide_network(session, spec, &network_birth()?)?;
    let Some(card) = network.parent().cloned() else {
        return Err(Invalid::new("network", &network.name, "has no network card").into());
    };
    let managed = match (wishes.force, wishes.take_lease) {
        (true, _) => Managed::Ignored,
        (false, true) => Managed::Replaced,
        (false, false) => Managed::Refused,
    };
    let seen = refuse_card(session, &card, managed)?;
    if wishes.take_lease {
        let client = host_client(session, &network, &seen.held)?;
        network = network.with_host_client(client);
    }
    let mut plan = lost_firewall(session)?;
    let run = session.run_folder();
    plan.append_once(driver::take_over(&network, &seen.held, &run).unwrap_or_default());
    let (mut networks, _) = session.store().networks_lossy();
    networks.push(network.clone());
    let mut look = look_at_foreign(session, &networks)?;
    coexist::join_transaction(&mut plan, std::mem::take(&mut look.plan));
    note_refused(session, &look, std::slice::from_ref(&network));
    note_legacy(session, std::slice::from_ref(&network));
    if act == Act::Show {
        return Ok(Report { plan, value: network });
    }
    session.store().forget_went_back(&network.name)?;
    let groups = joined_groups(&card);
    let mut expected = seen.held.gateways();
    expected.extend(routers_of(&seen.held, wishes.user));
    let expected = answering(session, &card, &expected, BEFORE)?;
    let mut record = TakeOverRecord { network: network.name.clone(), before: seen.held, until: None, lease: None };
    let guardian = guardian::start(session, network.name.clone(), guard)?;
    let made = (|| {
        session.store().write_takeover(host, &record)?;
        session.store().begin_network(host, &network)?;
        apply(session, &format!("network {}", network.name), &plan)?;
        require_answers(session, &network, &card, &expected, patience(wishes))?;
        firewall_is_in_order(session, &look, &networks);
        if network.host_client().is_some() {
            take_host_lease(session, host, &network, &mut record)?;
        }
        match wishes.confirm_within {
            None => keep(session, host, &network, &mut record).map(|()| None),
            Some(within) => {
                let until = nanoseconds()?.saturating_add(u64::try_from(within.as_nanos()).unwrap_or(u64::MAX));
                record.until = Some(until);
                session.store().write_takeover(host, &record)?;
                Ok(Some(until))
            }
        }
    })();
    match made {
        Ok(until) => {
            guardian.tell(&until.unwrap_or(NOTHING).to_ne_bytes());
            note_groups(session, &network, &card, &groups);
            Ok(Report { plan, value: network })
        }
        Err(e) => {
            let undone = Fault::muted(|| undo_network(session, host, &network));
            guardian.tell(&NOTHING.to_ne_bytes());
            Err(Error::after_undo(e, undone))
        }
    }
}

/// Memberships of multicast groups do not move.
fn note_groups(session: &mut Session, network: &Network, card: &IfName, groups: &[IpAddr]) {
    if groups.is_empty() {
        return;
    }
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    session.note(format!(
        "programs of this host have joined {} on {card}, and hear nothing there any more: restart those that do not \
         notice {} themselves",
        groups.join(", "),
        network.device()
    ));
}

/// Confirms a network: its card stays a port, also after a reboot.
pub(crate) fn confirm(session: &mut Session, name: &NetworkName) -> Result<Network, Error> {
    let host = &session.store().lock_host_exclusive()?;
    let (network, mut record) = unconfirmed(session, name)?;
    keep(session, host, &network, &mut record)?;
    Ok(network)
}

/// Gives the card of an unconfirmed network everything back.
pub(crate) fn roll_back(session: &mut Session, name: &NetworkName) -> Result<Network, Error> {
    let host = &session.store().lock_host_exclusive()?;
    let (network, _) = unconfirmed(session, name)?;
    undo_network(session, host, &network)?;
    Ok(network)
}

fn unconfirmed(session: &mut Session, name: &NetworkName) -> Result<(Network, TakeOverRecord), Error> {
    let waiting = all_unconfirmed(session)?.into_iter().find(|one| one.network.name == *name);
    if let (Some(one), Some(record)) = (waiting, session.store().takeover(name)?) {
        return Ok((one.network, record));
    }
    let why = match session.store().network(name)? {
        Some(network) if network.parent().is_some() => {
            format!("is confirmed already; zubi network rm {name} gives its card everything back")
        }
        Some(_) => "has taken over no network card, so there is nothing to confirm".to_owned(),
        None => match session.store().went_back_lossy().into_iter().find(|back| back.network == *name) {
            Some(back) => format!("does not exist any more: {}", back.why),
            None => return Err(Error::NoNetwork { name: name.clone(), known: session.known_networks() }),
        },
    };
    Err(Error::NothingToConfirm { name: name.clone(), why })
}

/// Records the network for good.
fn keep(
    session: &mut Session,
    host: &ExclusiveHost,
    network: &Network,
    record: &mut TakeOverRecord,
) -> Result<(), Error> {
    session.store().write_network(host, network)?;
    session.store().end_network(host, &network.name)?;
    record.until = None;
    session.store().write_takeover(host, record)?;
    // From here on zubi renews the lease, so a client that cannot be ended is no reason to give the card back.
    if network.host_client().is_some()
        && let Err(e) = end_other_client(session, network)
    {
        session.note(e.to_string());
    }
    Ok(())
}

fn answering(session: &mut Session, device: &IfName, who: &[IpAddr], patience: Duration) -> Result<Vec<IpAddr>, Error> {
    let answers = session.kernel.answers(device, who, patience).map_err(Error::kernel(format!("device {device}")))?;
    Ok(answers.into_iter().map(|(address, _)| address).collect())
}

/// A switch with spanning tree may be deaf for half a minute when it sees a bridge. A user who gives time has it.
fn patience(wishes: &TakeOver) -> Duration {
    wishes.confirm_within.map_or(PATIENCE, |within| PATIENCE.max(within / 2))
}

/// Fails unless those who answered on the card answer on the bridge.
fn require_answers(
    session: &mut Session,
    network: &Network,
    card: &IfName,
    expected: &[IpAddr],
    patience: Duration,
) -> Result<(), Error> {
    let answered = answering(session, network.device(), expected, patience)?;
    let silent: Vec<String> = expected.iter().filter(|who| !answered.contains(who)).map(ToString::to_string).collect();
    if silent.is_empty() {
        return Ok(());
    }
    Err(Error::Silent { name: network.name.clone(), card: card.clone(), who: silent.join(", ") })
}

/// In the guardian.
fn guard(watch: Watch<NetworkName>) -> Result<(), Error> {
    process::leave_login();
    let (word, name, config) = watch.word()?;
    let until = match <[u8; 8]>::try_from(word) {
        Ok(bytes) => u64::from_ne_bytes(bytes),
        // The command was killed. A session undoes its work.
        Err(_) => return Engine::open(config, LostRecords::Ignore)?.session().map(drop),
    };
    if until == NOTHING {
        return Ok(());
    }
    let engine = Engine::open(config, LostRecords::Ignore)?;
    while nanoseconds()? < until {
        let is_waiting = engine.waits_for_confirmation(&name)?;
        if !is_waiting {
            return Ok(());
        }
        sleep(LOOKS);
    }
    engine.session().map(drop)
}
