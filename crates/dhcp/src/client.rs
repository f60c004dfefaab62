//! The state machine (RFC 2131, 4.4).
//!
//! # How it works
//!
//! Every event first has its own effect; then the client catches up with the time: it sends again, goes on to the next
//! state, gives up. [`Client::wake_at`] names the next time at which there is something to do. A caller that is late
//! loses nothing but time: a lease that expired meanwhile is lost, one past T2 is rebound.
//!
//! A client that never had a lease gives up after its patience. One that lost its lease does not: it looks for a server
//! until it is told to stop, since the server may come back.
//!
//! # Where it departs from RFC 2131
//!
//! - It begins at once, not after up to 10 s (4.4.1): a container waits for it. Retransmissions differ by chance.
//! - After a refusal or a conflict it begins again at once, the next time after 0.5, 1, 2 s and so on, not after 10 s
//!   (3.1): doubling keeps a loop from flooding the network as well.
//! - T1 and T2 have no random part (4.4.5): one program renews all leases of a host, one after the other.
//! - A former address that nobody confirms is not used for the rest of its lease (3.2): another host may have it.

use crate::action::{Action, Destination, Event, Start, State};
use crate::failure::{Failure, Loss, Obstacle, Refusal};
use crate::identity::Identity;
use crate::lease::from_reply;
use crate::message::{Kind, Message, Speaker, Xid};
use crate::options::code;
use crate::outgoing::Outgoing;
use crate::schedule;
use std::net::Ipv4Addr;
use std::time::Duration;
use zubi_model::{ClientId, DhcpLease as Lease, Moment};

/// How often an offer is taken, for 0.5, 1, 2 and 4 s, before the client looks for another server. A dnsmasq that probes
/// addresses answers nobody for 3 s each.
const TRIES_TO_TAKE: u32 = 4;
/// How often the client asks for its former address, for 0.5 and 1 s. A server that does not know it keeps silent.
const TRIES_AGAIN: u32 = 2;
/// A conflict is one of the first use of the address in this time, and counts for the client's patience.
const PROBING: Duration = Duration::from_secs(10);

/// A client for one device.
#[derive(Debug, Clone)]
pub struct Client {
    identity: Identity,
    patience: Option<Duration>,
    random: Random,
    phase: Phase,
    /// What is being asked, and how often it was.
    exchange: Exchange,
    /// When the client began to look for, or to renew, the lease.
    begun: Moment,
    /// The client gives up then, if it has no lease.
    deadline: Option<Moment>,
    /// The address that it asks servers for.
    wanted: Option<Ipv4Addr>,
    /// Refusals and conflicts in a row.
    setbacks: u32,
    obstacle: Obstacle,
}

#[derive(Debug, Clone)]
enum Phase {
    Stopped,
    Pausing { until: Moment },
    Selecting,
    Requesting { address: Ipv4Addr, server: Ipv4Addr },
    Rebooting { address: Ipv4Addr },
    Leased { lease: Lease, stage: Stage },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Bound,
    Renewing,
    Rebinding,
}

#[derive(Debug, Clone, Copy)]
struct Exchange {
    xid: Xid,
    /// A lease's time begins with the first of the messages that the answer may be for.
    first_sent: Moment,
    /// Of the last message that looked for a server; the one that takes the offer repeats it (RFC 2131, 4.4.1).
    secs: u16,
    tries: u32,
    again_at: Moment,
}

impl Client {
    /// The time that users wait for a first lease when they do not say another.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// A client that has not begun. It gives up when it has no lease after its `patience`, or never. `seed` is random: it
    /// tells exchanges apart, and spreads the messages of clients that begin together.
    pub fn new(identity: Identity, patience: Option<Duration>, seed: u64) -> Self {
        let never = Moment(0);
        Client {
            identity,
            patience,
            random: Random(seed),
            phase: Phase::Stopped,
            exchange: Exchange { xid: Xid(0), first_sent: never, secs: 0, tries: 0, again_at: never },
            begun: never,
            deadline: None,
            wanted: None,
            setbacks: 0,
            obstacle: Obstacle::Silence,
        }
    }

    /// Where the client stands.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Stopped | Phase::Pausing { .. } => State::Init,
            Phase::Selecting => State::Selecting,
            Phase::Requesting { .. } => State::Requesting,
            Phase::Rebooting { .. } => State::Rebooting,
            Phase::Leased { stage: Stage::Bound, .. } => State::Bound,
            Phase::Leased { stage: Stage::Renewing, .. } => State::Renewing,
            Phase::Leased { stage: Stage::Rebinding, .. } => State::Rebinding,
        }
    }

    /// The lease that it has.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.phase {
            Phase::Leased { lease, .. } => Some(lease),
            _ => None,
        }
    }

    /// When the client wants to be told of [`Event::Woken`]; `None`: only if something else happens.
    pub fn wake_at(&self) -> Option<Moment> {
        let again_at = Some(self.exchange.again_at);
        let (next, end) = match &self.phase {
            Phase::Stopped => (None, None),
            Phase::Pausing { until } => (Some(*until), self.deadline),
            Phase::Selecting | Phase::Requesting { .. } | Phase::Rebooting { .. } => (again_at, self.deadline),
            Phase::Leased { lease, stage: Stage::Bound } => (lease.renew_at(), None),
            Phase::Leased { lease, stage: Stage::Renewing } => (again_at, lease.rebind_at()),
            Phase::Leased { lease, stage: Stage::Rebinding } => (again_at, lease.expires_at()),
        };
        next.into_iter().chain(end).min()
    }

    /// What to do when this has happened, at this time.
    pub fn handle(&mut self, now: Moment, event: Event<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Started(start) => self.start(now, start, &mut actions),
            Event::Received(bytes) => self.receive(now, bytes, &mut actions),
            Event::Woken => {}
            Event::ConflictFound => self.decline(now, &mut actions),
            Event::Release => self.release(now, &mut actions),
        }
        self.catch_up(now, &mut actions);
        actions
    }

    fn start(&mut self, now: Moment, start: Start, actions: &mut Vec<Action>) {
        self.begun = now;
        self.setbacks = 0;
        self.obstacle = Obstacle::Silence;
        self.deadline = self.patience.map(|patience| now + patience);
        match start {
            Start::Discover => self.discover(now, actions),
            Start::Again(address) => {
                self.wanted = Some(address);
                self.phase = Phase::Rebooting { address };
                self.begin_exchange(now);
                self.ask(now, actions);
            }
            Start::Resume(lease) => self.have(lease),
        }
    }

    fn receive(&mut self, now: Moment, bytes: &[u8], actions: &mut Vec<Action>) {
        let Some(message) = Message::decode(bytes).filter(|message| self.is_for_us(message)) else { return };
        let server = message.server();
        let (is_asked, had_lease) = match &self.phase {
            Phase::Selecting => {
                if message.kind() == Some(Kind::Offer) {
                    self.take(now, &message, actions);
                }
                return;
            }
            Phase::Requesting { server: asked, .. } => (server == Some(*asked), false),
            Phase::Rebooting { .. } => (true, false),
            Phase::Leased { lease, stage: Stage::Renewing } => (server == Some(lease.server), true),
            Phase::Leased { stage: Stage::Rebinding, .. } => (true, true),
            Phase::Leased { stage: Stage::Bound, .. } | Phase::Stopped | Phase::Pausing { .. } => return,
        };
        match message.kind() {
            Some(Kind::Ack) if is_asked => match from_reply(&message, self.exchange.first_sent) {
                Ok(lease) => {
                    self.have(lease.clone());
                    actions.push(Action::Bound(lease));
                }
                Err(why) => self.obstacle = Obstacle::Unusable(why),
            },
            Some(Kind::Nak) if is_asked => {
                let text = message.options.get(code::TEXT).map(|text| String::from_utf8_lossy(text).into_owned());
                let refusal = Refusal { server, text };
                self.wanted = None;
                if had_lease {
                    self.begun = now;
                    actions.push(Action::Lost(Loss::Refused(refusal)));
                } else if matches!(self.phase, Phase::Requesting { .. }) {
                    // To refuse an address from another network is what a server should do.
                    self.obstacle = Obstacle::Refusal(refusal);
                }
                self.pause(now);
            }
            _ => {}
        }
    }

    /// Whether a message is an answer to this client's last question. Servers that follow RFC 6842 repeat the client id,
    /// which tells clients with one MAC apart.
    fn is_for_us(&self, message: &Message) -> bool {
        message.speaker == Speaker::Server
            && message.xid == self.exchange.xid
            && message.mac == self.identity.mac
            && self.is_our_id(message.options.get(code::CLIENT_ID))
    }

    fn is_our_id(&self, id: Option<&[u8]>) -> bool {
        let own = self.identity.id.as_ref().map(ClientId::bytes);
        id.is_none_or(|id| own.is_none_or(|own| own == id))
    }

    /// Takes an offer, unless it gives no lease.
    fn take(&mut self, now: Moment, offer: &Message, actions: &mut Vec<Action>) {
        match from_reply(offer, now) {
            Ok(lease) => {
                self.phase = Phase::Requesting { address: lease.address.addr(), server: lease.server };
                // The number stays: the server knows the exchange by it.
                (self.exchange.first_sent, self.exchange.tries) = (now, 0);
                self.ask(now, actions);
            }
            Err(why) => self.obstacle = Obstacle::Unusable(why),
        }
    }

    fn have(&mut self, lease: Lease) {
        self.wanted = Some(lease.address.addr());
        self.phase = Phase::Leased { lease, stage: Stage::Bound };
    }

    /// Tells the server that the address is of no use, and asks for another.
    fn decline(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let Some(lease) = self.lease() else { return };
        let (address, server, obtained_at) = (lease.address.addr(), lease.server, lease.obtained_at);
        if now.since(obtained_at) > PROBING {
            self.deadline = None;
            self.begun = now;
        }
        let message = self.farewell(now).decline(address, server);
        actions.push(Action::Send { to: Destination::Broadcast, bytes: message.encode() });
        actions.push(Action::Lost(Loss::Conflict));
        self.obstacle = Obstacle::Conflict(address);
        self.wanted = None;
        self.pause(now);
    }

    fn release(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if let Some(lease) = self.lease() {
            let (address, server) = (lease.address.addr(), lease.server);
            let message = self.farewell(now).release(address, server);
            actions.push(Action::Send { to: Destination::Server(server), bytes: message.encode() });
        }
        self.phase = Phase::Stopped;
    }

    /// Waits before the client looks for a server again, longer with every setback.
    fn pause(&mut self, now: Moment) {
        let wait = match self.setbacks.checked_sub(1) {
            None => Duration::ZERO,
            Some(earlier) => schedule::without_lease(earlier, self.random.next()),
        };
        self.setbacks = self.setbacks.saturating_add(1);
        self.phase = Phase::Pausing { until: now + wait };
    }

    /// Does what is due.
    fn catch_up(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let tries = self.exchange.tries;
        match self.phase {
            Phase::Stopped => {}
            Phase::Leased { .. } => self.catch_up_with_lease(now, actions),
            _ if self.deadline.is_some_and(|deadline| now >= deadline) => self.fail(now, actions),
            Phase::Pausing { until } if now >= until => self.discover(now, actions),
            Phase::Pausing { .. } => {}
            _ if now < self.exchange.again_at => {}
            Phase::Requesting { address, server } if tries >= TRIES_TO_TAKE => {
                self.obstacle = Obstacle::Unconfirmed { server, address };
                self.discover(now, actions);
            }
            Phase::Rebooting { .. } if tries >= TRIES_AGAIN => self.discover(now, actions),
            Phase::Selecting | Phase::Requesting { .. } | Phase::Rebooting { .. } => self.ask(now, actions),
        }
    }

    fn catch_up_with_lease(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let Phase::Leased { lease, stage } = &mut self.phase else { return };
        let reached = |moment: Option<Moment>| moment.is_some_and(|moment| now >= moment);
        if reached(lease.expires_at()) {
            (self.deadline, self.begun, self.setbacks) = (None, now, 0);
            self.obstacle = Obstacle::Silence;
            actions.push(Action::Lost(Loss::Expired));
            return self.discover(now, actions);
        }
        let due = match (reached(lease.renew_at()), reached(lease.rebind_at())) {
            (_, true) => Stage::Rebinding,
            (true, false) => Stage::Renewing,
            (false, false) => return,
        };
        if *stage == due && now < self.exchange.again_at {
            return;
        }
        if *stage == Stage::Bound {
            (self.deadline, self.begun, self.setbacks) = (None, now, 0);
        }
        *stage = due;
        self.ask_to_renew(now, actions);
    }

    fn fail(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let obstacle = match self.phase {
            Phase::Requesting { address, server } => Obstacle::Unconfirmed { server, address },
            _ => self.obstacle.clone(),
        };
        self.phase = Phase::Stopped;
        actions.push(Action::Failed(Failure { after: now.since(self.begun), obstacle }));
    }

    fn discover(&mut self, now: Moment, actions: &mut Vec<Action>) {
        self.phase = Phase::Selecting;
        self.begin_exchange(now);
        self.ask(now, actions);
    }

    fn begin_exchange(&mut self, now: Moment) {
        (self.exchange.xid, self.exchange.first_sent, self.exchange.tries) = (Xid(self.random.next()), now, 0);
    }

    /// Asks for a lease, or asks the same once more.
    fn ask(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if !matches!(self.phase, Phase::Requesting { .. }) {
            self.exchange.secs = self.seconds_since_begun(now);
        }
        let outgoing = Outgoing { identity: &self.identity, xid: self.exchange.xid, secs: self.exchange.secs };
        let message = match self.phase {
            Phase::Requesting { address, server } => outgoing.take(address, server),
            Phase::Rebooting { address } => outgoing.again(address),
            _ => outgoing.discover(self.wanted),
        };
        actions.push(Action::Send { to: Destination::Broadcast, bytes: message.encode() });
        self.exchange.again_at = now + schedule::without_lease(self.exchange.tries, self.random.next());
        self.exchange.tries = self.exchange.tries.saturating_add(1);
    }

    /// Asks for more time. Each try is an exchange of its own, since the new time begins with the try that is answered.
    fn ask_to_renew(&mut self, now: Moment, actions: &mut Vec<Action>) {
        self.begin_exchange(now);
        let secs = self.seconds_since_begun(now);
        let Phase::Leased { lease, stage } = &self.phase else { return };
        let (to, next) = match stage {
            Stage::Bound | Stage::Renewing => (Destination::Server(lease.server), lease.rebind_at()),
            Stage::Rebinding => (Destination::Broadcast, lease.expires_at()),
        };
        let left = next.map_or(Duration::MAX, |next| next.since(now));
        self.exchange.again_at = now + schedule::with_lease(left, lease.lifetime().unwrap_or(Duration::MAX));
        let outgoing = Outgoing { identity: &self.identity, xid: self.exchange.xid, secs };
        actions.push(Action::Send { to, bytes: outgoing.renew(lease.address.addr()).encode() });
    }

    /// The sender of a message that has no answer.
    fn farewell(&mut self, now: Moment) -> Outgoing<'_> {
        self.begin_exchange(now);
        Outgoing { identity: &self.identity, xid: self.exchange.xid, secs: 0 }
    }

    fn seconds_since_begun(&self, now: Moment) -> u16 {
        u16::try_from(now.since(self.begun).as_secs()).unwrap_or(u16::MAX)
    }
}

/// Numbers that look random, from a seed (Steele, Lea, Flood: SplitMix).
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 32) as u32 ^ mixed as u32 >> 31
    }
}
