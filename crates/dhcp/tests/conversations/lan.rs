//! A client, servers and the time between them. What happens becomes lines of text.

use crate::server::Server;
use std::time::Duration;
use zubi_dhcp::message::{Answer, Kind};
use zubi_dhcp::options::code;
use zubi_dhcp::{
    Action, Client, ClientId, Destination, Event, HostKey, HostName, Identity, Message, Moment, Start, State,
};

/// Each way takes so long.
const ON_THE_WAY: Duration = Duration::from_millis(5);
const BEGINNING: Moment = Moment(1_000_000);

pub struct Lan {
    pub client: Client,
    pub servers: Vec<Server>,
    /// Of the datagrams to come, those that get lost: `true`.
    pub losses: Vec<bool>,
    pub now: Moment,
    /// Everything that the client sent.
    pub sent: Vec<Message>,
    lines: Vec<(Moment, String)>,
    to_client: Vec<(Moment, Message)>,
}

pub fn id_of(name: &str) -> ClientId {
    HostKey([7; 16]).client_id(&"lan".parse().unwrap(), name).unwrap()
}

pub fn identity(name: &str) -> Identity {
    Identity {
        mac: "02:42:0a:00:00:02".parse().unwrap(),
        id: Some(id_of(name)),
        host_name: HostName::from_name(&name.parse().unwrap()),
        told: Vec::new(),
    }
}

impl Lan {
    pub fn new(servers: impl IntoIterator<Item = Server>) -> Self {
        Lan {
            client: Client::new(identity("web"), Some(Client::PATIENCE), 42),
            servers: servers.into_iter().collect(),
            losses: Vec::new(),
            now: BEGINNING,
            sent: Vec::new(),
            lines: Vec::new(),
            to_client: Vec::new(),
        }
    }

    /// With a client that has a lease of the servers.
    pub fn with_lease(servers: impl IntoIterator<Item = Server>) -> Self {
        let mut lan = Lan::new(servers);
        lan.start(Start::Discover);
        lan.pass(Duration::from_millis(100));
        assert_eq!(lan.client.state(), State::Bound);
        lan.take_lines();
        lan
    }

    pub fn start(&mut self, start: Start) {
        self.tell(Event::Started(start));
    }

    pub fn tell(&mut self, event: Event<'_>) {
        let actions = self.client.handle(self.now, event);
        self.perform(actions);
    }

    /// Lets time pass; the client is woken when it wants to be.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.to_client.sort_by_key(|(at, _)| *at);
            let arrival = self.to_client.first().map(|(at, _)| *at);
            let wake = self.client.wake_at();
            let Some(next) = arrival.into_iter().chain(wake).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                let (_, message) = self.to_client.remove(0);
                self.tell(Event::Received(&message.encode()));
            } else {
                self.tell(Event::Woken);
            }
        }
        self.now = end;
    }

    pub fn pass_seconds(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Lets time pass without a word to the client, as when the machine sleeps.
    pub fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// What happened since the last time, without the times.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.drain(..).map(|(_, line)| line).collect()
    }

    /// The moments of the lines that begin so, in milliseconds since the lan began.
    pub fn moments(&self, beginning: &str) -> Vec<u64> {
        let lines = self.lines.iter().filter(|(_, line)| line.starts_with(beginning));
        lines.map(|(at, _)| at.since(BEGINNING).as_millis() as u64).collect()
    }

    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            let line = match action {
                Action::Send { to, bytes } => {
                    let message = Message::decode(&bytes).unwrap();
                    let line = describe(&message, to);
                    self.carry(&message, to);
                    self.sent.push(message);
                    line
                }
                Action::Bound(lease) => format!("bound {} of {}", lease.address, lease.server),
                Action::Lost(loss) => format!("lost: {loss}"),
                Action::Failed(failure) => format!("failed: {failure}"),
            };
            self.lines.push((self.now, line));
        }
    }

    /// To the servers, and their answers back.
    fn carry(&mut self, message: &Message, to: Destination) {
        if self.is_lost() {
            return;
        }
        for number in 0..self.servers.len() {
            let server = &mut self.servers[number];
            if to != Destination::Broadcast && to != Destination::Server(server.id) {
                continue;
            }
            let Some(answer) = server.answer(message) else { continue };
            if !self.is_lost() {
                // The first server is the fastest.
                let later = Duration::from_millis(number as u64);
                self.to_client.push((self.now + ON_THE_WAY + ON_THE_WAY + later, answer));
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        if self.losses.is_empty() { false } else { self.losses.remove(0) }
    }
}

/// A message as a line. What is the same in all messages of its kind is checked here.
fn describe(message: &Message, to: Destination) -> String {
    let kind = message.kind().unwrap();
    let wanted = message.options.address(code::REQUESTED_ADDRESS);
    let uses = message.client;
    assert_eq!(message.options.get(code::CLIENT_ID), Some(id_of("web").bytes()), "{message:?}");
    let needs_broadcast = matches!(kind, Kind::Discover | Kind::Request) && uses.is_unspecified();
    assert_eq!(message.answer == Answer::Broadcast, needs_broadcast, "{message:?}");
    match (kind, wanted, message.server(), to) {
        (Kind::Discover, None, None, Destination::Broadcast) => "discover".into(),
        (Kind::Discover, Some(wanted), None, Destination::Broadcast) => format!("discover, best {wanted}"),
        (Kind::Request, Some(wanted), Some(server), Destination::Broadcast) => format!("take {wanted} of {server}"),
        (Kind::Request, Some(wanted), None, Destination::Broadcast) => format!("again {wanted}"),
        (Kind::Request, None, None, Destination::Server(server)) => format!("renew {uses} at {server}"),
        (Kind::Request, None, None, Destination::Broadcast) => format!("rebind {uses}"),
        (Kind::Decline, Some(wanted), Some(server), Destination::Broadcast) => format!("decline {wanted} of {server}"),
        (Kind::Release, None, Some(server), to) if to == Destination::Server(server) => {
            format!("release {uses} of {server}")
        }
        _ => panic!("no message of RFC 2131, table 5: {message:?} to {to:?}"),
    }
}
