//! Finds the answer to a question. All sockets share it.

use super::elsewhere::{self, Servers};
use super::following::{Following, Networks};
use super::host_files::HostFiles;
use super::random::Random;
use crate::context::Context;
use crate::counts::{Answered, Counts};
use crate::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, Semaphore, oneshot};
use zubi_kernel::Batch;
use zubi_model::Moment;
use zubi_names::{
    Asked, Boarding, Cache, Flights, Forward, Key, Outcome, PORT, Prepared, Response, Return, Transport, Upstream, Zone,
};

/// No question in a datagram is longer than this.
pub(crate) const LONGEST: usize = 4096;
/// The most bytes of answers of others that are kept.
const CACHE: usize = 2 << 20;
/// The most bytes of answers of ours that are kept.
const PREPARED: usize = 1 << 20;
/// So many askers wait for answers of others at a time.
const WAITING: usize = 1024;
/// So many of them may be one address.
const WAITING_OF_ONE: usize = 128;
/// So many questions are on their way to others at a time; further ones wait.
const ON_THE_WAY: usize = 128;
/// How old what is known of the host's files may be.
const FILES: Duration = Duration::from_secs(1);

/// The name server without its sockets. Its clones are one.
#[derive(Clone)]
pub(crate) struct Resolver(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    batch: Mutex<Batch>,
    random: Random,
    places: Semaphore,
    networks_changed: Notify,
    started: Instant,
    counts: Arc<Counts>,
}

struct State {
    following: Following,
    prepared: Prepared,
    cache: Cache,
    flights: Flights<Waiter>,
    files: HostFiles,
    files_read: Option<Instant>,
}

/// One who waits for the answer of another server.
struct Waiter {
    back: Return,
    to: ReplyTo,
}

/// Where an answer goes.
pub(crate) enum ReplyTo {
    /// Back in a datagram.
    Datagram(Arc<UdpSocket>, SocketAddr),
    /// To the task of the connection.
    Connection(oneshot::Sender<Vec<u8>>),
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handled {
    /// The answer was appended.
    Now,
    /// The answer goes back by itself, or there is none.
    Done,
}

impl Resolver {
    pub(crate) fn new(context: &Context) -> Result<Self, Error> {
        let state = State {
            following: Following::new(context.engine())?,
            prepared: Prepared::new(PREPARED),
            cache: Cache::new(CACHE),
            flights: Flights::new(WAITING, WAITING_OF_ONE),
            files: HostFiles::default(),
            files_read: None,
        };
        Ok(Resolver(Arc::new(Inner {
            state: Mutex::new(state),
            batch: Mutex::new(Batch::new(LONGEST)),
            random: Random::default(),
            places: Semaphore::new(ON_THE_WAY),
            networks_changed: Notify::new(),
            started: Instant::now(),
            counts: Arc::clone(&context.counts),
        })))
    }

    /// Learns what the records say by now.
    pub(crate) fn catch_up(&self) {
        self.0.catch_up(&mut self.state());
    }

    /// Returns when networks are others.
    pub(crate) async fn networks_changed(&self) {
        self.0.networks_changed.notified().await;
    }

    /// The networks that have names.
    pub(crate) fn zones(&self) -> Vec<Zone> {
        self.state().following.directory.zones().cloned().collect()
    }

    /// Whether one who sends from an address to one of ours gets answers at all.
    pub(crate) fn serves(&self, from: IpAddr, at: IpAddr) -> bool {
        let mut state = self.state();
        self.0.catch_up(&mut state);
        state.following.directory.serves(from, at)
    }

    /// Answers what has come to a socket by now. `WouldBlock`: that was all.
    pub(crate) fn answer_datagrams(&self, socket: &Arc<UdpSocket>, at: IpAddr) -> io::Result<()> {
        let mut batch = self.0.batch.lock().unwrap_or_else(PoisonError::into_inner);
        let count = batch.receive(socket)?;
        // Behind the questions: whatever was done before one was sent is known then.
        let mut state = self.state();
        self.0.catch_up(&mut state);
        for number in 0..count {
            let Some((from, packet, to)) = batch.take(number) else { continue };
            let asked = Asked { from: from.ip().to_canonical(), at, over: Transport::Udp };
            let back = || ReplyTo::Datagram(Arc::clone(socket), from);
            if self.handle_in(&mut state, asked, packet, back, to) == Handled::Now {
                batch.answered(number);
            }
        }
        drop(state);
        batch.send(socket);
        if count < Batch::SIZE { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }

    /// Appends the answer to a packet, or sees to it that it is answered.
    pub(crate) fn handle(&self, asked: Asked, packet: &[u8], back: ReplyTo, to: &mut Vec<u8>) -> Handled {
        let mut state = self.state();
        self.0.catch_up(&mut state);
        self.handle_in(&mut state, asked, packet, || back, to)
    }

    fn handle_in(
        &self,
        state: &mut State,
        asked: Asked,
        packet: &[u8],
        back_to: impl FnOnce() -> ReplyTo,
        to: &mut Vec<u8>,
    ) -> Handled {
        let State { following, prepared, .. } = state;
        let directory = &following.directory;
        if let Some(verdict) = prepared.recall(directory.version(), asked, packet, to) {
            self.0.counts.answered(Answered::Here(verdict));
            return Handled::Now;
        }
        let Forward { key, back } = match directory.answer(asked, packet) {
            Outcome::Answer(answer) => {
                prepared.keep(&answer);
                self.0.counts.answered(Answered::Here(answer.verdict));
                to.extend_from_slice(&answer.bytes);
                return Handled::Now;
            }
            Outcome::Silence => return Handled::Done,
            Outcome::Forward(forward) => *forward,
        };
        state.look_at_files();
        let now = self.0.now();
        if let Some((response, age)) = state.cache.get(&key, now) {
            self.0.counts.answered(Answered::Cached);
            to.extend(back.fill(&response, age));
            return Handled::Now;
        }
        match state.flights.board(&key, asked.from, Waiter { back, to: back_to() }) {
            Ok(Boarding::Joined) => {}
            Ok(Boarding::First) => {
                let servers = state.servers(&key.upstream);
                tokio::spawn(self.clone().ask(key, servers));
            }
            Err(Waiter { back, .. }) => {
                self.0.counts.answered(Answered::Overload);
                to.extend(back.refusal());
                return Handled::Now;
            }
        }
        Handled::Done
    }

    /// Asks others, and gives the answer to all who wait for it.
    async fn ask(self, key: Key, servers: Servers) {
        let random = || self.0.random.next();
        let began = Instant::now();
        let response = elsewhere::ask(&key, servers, &self.0.places, &random).await.map(Arc::new);
        self.0.counts.asked_elsewhere(began.elapsed());
        let how = if response.is_some() { Answered::Elsewhere } else { Answered::Failed };
        let waiters = {
            let mut state = self.state();
            if let Some(response) = &response {
                state.cache.put(key.clone(), Arc::clone(response), self.0.now());
            }
            state.flights.land(&key)
        };
        for Waiter { back, to } in waiters {
            self.0.counts.answered(how);
            to.send(&bytes(&back, response.as_deref()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(back: &Return, response: Option<&Response>) -> Vec<u8> {
    response.map_or_else(|| back.failure(), |response| back.fill(response, Duration::ZERO))
}

impl ReplyTo {
    /// Sends an answer. One that cannot be delivered is lost, as any datagram can be.
    pub(crate) fn send(self, bytes: &[u8]) {
        match self {
            ReplyTo::Datagram(socket, to) => drop(socket.try_send_to(bytes, to)),
            ReplyTo::Connection(waits) => drop(waits.send(bytes.to_vec())),
        }
    }
}

impl Inner {
    fn now(&self) -> Moment {
        Moment(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn catch_up(&self, state: &mut State) {
        if state.following.catch_up() == Networks::Changed {
            self.networks_changed.notify_one();
        }
    }
}

impl State {
    /// Reads the host's files again, if they may be others by now.
    fn look_at_files(&mut self) {
        if self.files_read.is_some_and(|read| read.elapsed() < FILES) {
            return;
        }
        self.files_read = Some(Instant::now());
        if self.files.reread_servers() {
            self.cache.clear();
        }
        if let Some(names) = self.files.reread_names() {
            self.following.directory.set_host(names);
        }
    }

    /// The servers to ask. We are none of them: the question would never end.
    fn servers(&self, upstream: &Upstream) -> Servers {
        let all = match upstream {
            Upstream::Host => self.files.servers().to_vec(),
            Upstream::These(servers) => servers.iter().map(|server| SocketAddr::new(*server, PORT)).collect(),
        };
        let is_us = |address: &IpAddr| self.following.directory.zones().any(|zone| zone.host.contains(address));
        Servers(all.into_iter().filter(|server| !is_us(&server.ip())).collect())
    }
}
