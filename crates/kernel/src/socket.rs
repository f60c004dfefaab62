//! Blocking netlink sockets.
//!
//! # How it works
//! The kernel handles a request while it is being sent, so every answer is in the queue when the send returns: reading
//! never waits. Sequence numbers tell which request an answer belongs to. All reading uses one buffer of constant size,
//! because the kernel sizes dump messages by the largest buffer it has seen on a socket.
//!
//! # Bounds
//! The kernel queues all answers of a send before the first can be read, and drops those that find no room in the
//! socket's buffer (ENOBUFS): an acknowledgement takes up to a kilobyte of the 208 that a socket has. So a batch is
//! sent in parts whose answers fit. A transaction cannot be parted: the socket's buffers grow for it, and
//! [`Netlink::room`] says how large it may be. An answer that is lost all the same leaves its message without an
//! outcome, and the caller reads the object back.

use crate::disturbance::{Answers, Protocol, disturbed};
use crate::error::Error;
use crate::sys;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use zubi_model::NetnsCookie;
use zubi_wire::{Batch, KernelError, Message, Messages, flag, message::kind};

const BUFFER: usize = 32 * 1024;
const DUMP_TRIES: u32 = 20;
/// The largest part of a batch: an answer with a link in it takes some 2.5 kilobytes of the receive buffer.
const PART_MESSAGES: usize = 64;
const PART_BYTES: usize = 64 * 1024;
/// The buffer size to ask for when a transaction is larger than usual; the kernel doubles it. It takes memory only
/// while a message waits.
const BUFFERS: libc::c_int = 8 * 1024 * 1024;
/// The part of the send buffer that the kernel keeps for itself (`netlink_sendmsg`), rounded up.
const SEND_OVERHEAD: usize = 1024;
/// The most that an acknowledgement or an error with words takes of the receive buffer (`truesize` of its skb).
const ANSWER: usize = 1024;
/// `NFNL_MSG_BATCH_BEGIN` (linux/netfilter/nfnetlink.h).
const BATCH_BEGIN: u16 = 16;

/// A netlink socket. It belongs to the network namespace that it was opened in, wherever the thread is that uses it.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    /// Whether it carries transactions.
    transactions: bool,
    room: Room,
    counters: Counters,
    buffer: Vec<u8>,
    /// Whether a test loses the answers that are waiting.
    waiting: Answers,
    condition: Condition,
    deletes: Deletes,
}

/// Whether another session can use the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Sound,
    /// A system call failed, or an answer did not come.
    MetError,
}

/// Whether anything was deleted through an nftables socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deletes {
    Nothing,
    Something,
}

/// How large a transaction can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// The length of all its messages.
    pub(crate) bytes: usize,
    /// The number of its messages, each with an answer.
    pub(crate) messages: usize,
}

impl Room {
    /// Of a socket as it was opened (`net.core.wmem_default`, `rmem_default`: 212992).
    pub(crate) const UNASKED: Room = Room { bytes: 160 * 1024, messages: 200 };
}

enum Received {
    Bytes(usize),
    Nothing,
    /// The kernel dropped answers for want of room.
    Overrun,
}

/// How often a socket was used; tests compare it with a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// System calls that sent.
    pub sends: u32,
    /// Messages in these sends.
    pub messages: u32,
    /// Dumps among these messages.
    pub dumps: u32,
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.sends += other.sends;
        self.messages += other.messages;
        self.dumps += other.dumps;
    }
}

/// The answer to one message of a batch.
#[derive(Debug, Default)]
pub struct Answer {
    /// The messages that came before the acknowledgement: an object, or an echo.
    pub objects: Vec<Kept>,
    /// The acknowledgement or the error; absent when the kernel gave none, or when it was lost.
    pub outcome: Option<Result<(), KernelError>>,
}

/// A message copied out of the receive buffer.
#[derive(Debug, Clone)]
pub struct Kept {
    kind: u16,
    flags: u16,
    payload: Vec<u8>,
}

impl Kept {
    /// As it was received.
    pub fn message(&self) -> Message<'_> {
        Message { kind: self.kind, flags: self.flags, sequence: 0, payload: &self.payload }
    }
}

impl Netlink {
    /// Links, addresses, routes.
    pub fn route() -> Result<Self, Error> {
        Self::open(libc::NETLINK_ROUTE)
    }

    /// nftables.
    pub fn netfilter() -> Result<Self, Error> {
        Self::open(libc::NETLINK_NETFILTER)
    }

    fn open(protocol: libc::c_int) -> Result<Self, Error> {
        let failed = |e| Error::system("open", "netlink socket", e);
        let fd = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol).map_err(failed)?;
        let on = |option| sys::set_option(fd.as_fd(), libc::SOL_NETLINK, option, 1).map_err(failed);
        on(libc::NETLINK_EXT_ACK)?;
        on(libc::NETLINK_CAP_ACK)?;
        // Dumps are filtered by what the request's header names; wrong headers are errors instead of ignored.
        on(libc::NETLINK_GET_STRICT_CHK)?;
        let transactions = protocol == libc::NETLINK_NETFILTER;
        Ok(Netlink {
            fd,
            sequence: 1,
            transactions,
            room: Room::UNASKED,
            counters: Counters::default(),
            buffer: vec![0; BUFFER],
            waiting: Answers::Arrive,
            condition: Condition::Sound,
            deletes: Deletes::Nothing,
        })
    }

    /// The number of the namespace that it belongs to.
    pub fn cookie(&self) -> Result<NetnsCookie, Error> {
        sys::netns_cookie(self.fd.as_fd()).map(NetnsCookie).map_err(|e| Error::system("identify", "namespace", e))
    }

    /// How often it was used.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub(crate) fn reset_counters(&mut self) {
        self.counters = Counters::default();
    }

    /// Whether another session can use it: it has met no error, and no answer waits to be read.
    pub(crate) fn is_clean(&mut self) -> bool {
        self.condition == Condition::Sound && matches!(self.receive(), Ok(Received::Nothing))
    }

    /// Notes that something is deleted through this nftables socket.
    pub(crate) fn note_deletion(&mut self) {
        self.deletes = Deletes::Something;
    }

    /// Whether closing it is slow (some 13 ms): something was deleted through it.
    pub(crate) fn closes_slowly(&self) -> bool {
        self.deletes == Deletes::Something
    }

    /// The descriptor, for a child process that keeps it open.
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn send(&mut self, bytes: &[u8], messages: u32) -> Result<(), Error> {
        self.counters.sends += 1;
        self.counters.messages += messages;
        let protocol = if self.transactions { Protocol::Netfilter } else { Protocol::Route };
        let (bytes, answers) = disturbed(bytes, protocol);
        self.waiting = answers;
        sys::send_to_kernel(self.fd.as_fd(), &bytes).map_err(|e| {
            self.condition = Condition::MetError;
            Error::system("send to", "netlink socket", e)
        })
    }

    fn number(&mut self, batch: &mut Batch) -> u32 {
        let first = self.sequence;
        batch.number_from(first);
        self.sequence = self.sequence.wrapping_add(batch.count());
        first
    }

    /// How large a transaction can be: the kernel says how far this process may enlarge the socket's buffers.
    pub(crate) fn room(&mut self) -> Room {
        if self.room == Room::UNASKED {
            let ask = |limited, forced| {
                let set = |option| sys::set_option(self.fd.as_fd(), libc::SOL_SOCKET, option, BUFFERS);
                // Only root of the machine may exceed the limits `net.core.wmem_max` and `rmem_max`.
                set(forced).or_else(|_| set(limited)).unwrap_or_default();
            };
            ask(libc::SO_SNDBUF, libc::SO_SNDBUFFORCE);
            ask(libc::SO_RCVBUF, libc::SO_RCVBUFFORCE);
            self.room = Room {
                bytes: self.buffer_size(libc::SO_SNDBUF).saturating_sub(SEND_OVERHEAD).max(Room::UNASKED.bytes),
                messages: (self.buffer_size(libc::SO_RCVBUF) / ANSWER).max(Room::UNASKED.messages),
            };
        }
        self.room
    }

    fn buffer_size(&self, option: libc::c_int) -> usize {
        let mut size = [0; 4];
        match sys::get_option(self.fd.as_fd(), libc::SOL_SOCKET, option, &mut size) {
            Ok(()) => usize::try_from(i32::from_ne_bytes(size)).unwrap_or_default(),
            Err(_) => 0,
        }
    }

    /// Sends a batch and returns the answer to each of its messages. A transaction is sent whole; any other batch in
    /// parts whose answers the socket has room for.
    ///
    /// An answer without an outcome was lost, or the kernel gave none: what became of its message is unknown.
    pub fn transact(&mut self, mut batch: Batch) -> Result<Vec<Answer>, Error> {
        let first = self.number(&mut batch);
        let mut answers: Vec<Answer> = (0..batch.count()).map(|_| Answer::default()).collect();
        let is_transaction =
            Messages::new(batch.bytes()).next().is_some_and(|m| self.transactions && m.kind == BATCH_BEGIN);
        if is_transaction {
            if batch.bytes().len() > self.room.bytes || answers.len() > self.room.messages {
                self.room();
            }
            self.send(batch.bytes(), batch.count())?;
            self.collect(first, &mut answers, |_| false)?;
            return Ok(answers);
        }
        let mut at = 0;
        for part in batch.parts(PART_MESSAGES, PART_BYTES) {
            // Where a message asks for no acknowledgement, the object is the answer.
            let acknowledged: Vec<bool> = Messages::new(part).map(|message| message.flags & flag::ACK != 0).collect();
            self.send(part, acknowledged.len() as u32)?;
            let of_part = at..at + acknowledged.len();
            at = of_part.end;
            let is_answered = |(answer, acknowledged): (&Answer, &bool)| {
                answer.outcome.is_some() || (!acknowledged && !answer.objects.is_empty())
            };
            self.collect(first, &mut answers, |answers| {
                answers.get(of_part.clone()).is_some_and(|part| part.iter().zip(&acknowledged).all(is_answered))
            })?;
        }
        Ok(answers)
    }

    /// Sends questions, and sends them again when an answer was lost: a question changes nothing.
    pub fn ask(&mut self, object: &'static str, questions: &Batch) -> Result<Vec<Answer>, Error> {
        for _ in 0..DUMP_TRIES {
            let answers = self.transact(questions.clone())?;
            if answers.iter().all(|answer| answer.outcome.is_some() || !answer.objects.is_empty()) {
                return Ok(answers);
            }
        }
        Err(Error::NoAnswer { object: format!("read {object}") })
    }

    /// Assigns what is in the queue to the messages it answers, until the queue is empty or the answers are `complete`.
    fn collect(
        &mut self,
        first: u32,
        answers: &mut [Answer],
        complete: impl Fn(&[Answer]) -> bool,
    ) -> Result<(), Error> {
        while !complete(answers) {
            let n = match self.receive()? {
                Received::Bytes(n) => n,
                Received::Overrun => continue,
                Received::Nothing => break,
            };
            for message in Messages::new(&self.buffer[..n]) {
                let Some(answer) = answers.get_mut(message.sequence.wrapping_sub(first) as usize) else { continue };
                match message.outcome() {
                    // The kernel may answer an aborted transaction more than once: the first error counts.
                    Some(outcome) if !matches!(answer.outcome, Some(Err(_))) => answer.outcome = Some(outcome),
                    Some(_) => {}
                    None => answer.objects.push(Kept {
                        kind: message.kind,
                        flags: message.flags,
                        payload: message.payload.to_vec(),
                    }),
                }
            }
        }
        Ok(())
    }

    /// Reads all objects of a kind, again while the kernel's tables change during the reading.
    pub fn dump<T>(
        &mut self,
        object: &'static str,
        request: &dyn Fn(&mut Batch),
        parse: impl FnMut(&Message<'_>) -> Vec<T>,
    ) -> Result<Vec<T>, Error> {
        let all = self.dump_steadily(object, request, parse);
        // A dump that was not read to its end blocks the next one.
        if matches!(all, Err(Error::System { .. } | Error::NoAnswer { .. } | Error::Unsteady { .. })) {
            self.condition = Condition::MetError;
        }
        all
    }

    fn dump_steadily<T>(
        &mut self,
        object: &'static str,
        request: &dyn Fn(&mut Batch),
        mut parse: impl FnMut(&Message<'_>) -> Vec<T>,
    ) -> Result<Vec<T>, Error> {
        self.counters.dumps += 1;
        for _ in 0..DUMP_TRIES {
            let mut batch = Batch::new();
            request(&mut batch);
            let first = self.number(&mut batch);
            self.send(batch.bytes(), batch.count())?;
            let mut all = Vec::new();
            let mut interrupted = false;
            let mut done = false;
            while !done {
                let n = match self.receive()? {
                    Received::Bytes(n) => n,
                    // A part of the dump is lost.
                    Received::Overrun => {
                        interrupted = true;
                        continue;
                    }
                    Received::Nothing if interrupted => break,
                    Received::Nothing => return Err(Error::NoAnswer { object: object.into() }),
                };
                for message in Messages::new(&self.buffer[..n]).filter(|m| m.sequence == first) {
                    interrupted |= message.flags & flag::DUMP_INTR != 0;
                    if message.kind == kind::DONE {
                        done = true;
                        // The last message carries the error of a dump that failed half-way.
                        let code = message.payload.first_chunk::<4>().map_or(0, |c| i32::from_ne_bytes(*c));
                        if code < 0 {
                            let source = KernelError::from_errno(-code);
                            return Err(Error::Netlink { object: format!("read {object}"), source, hint: None });
                        }
                    } else if let Some(Err(source)) = message.outcome() {
                        return Err(Error::Netlink { object: format!("read {object}"), source, hint: None });
                    } else {
                        all.extend(parse(&message));
                    }
                }
            }
            if !interrupted {
                return Ok(all);
            }
        }
        Err(Error::Unsteady { object, tries: DUMP_TRIES })
    }

    fn receive(&mut self) -> Result<Received, Error> {
        let received = self.receive_or_lose();
        if matches!(received, Err(_) | Ok(Received::Overrun)) {
            self.condition = Condition::MetError;
        }
        received
    }

    fn receive_or_lose(&mut self) -> Result<Received, Error> {
        let mut next = || match sys::receive(self.fd.as_fd(), &mut self.buffer) {
            Ok(Some(n)) => Ok(Received::Bytes(n)),
            Ok(None) => Ok(Received::Nothing),
            // Reported once; the answers that had room are behind it (netlink_overrun in net/netlink/af_netlink.c).
            Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => Ok(Received::Overrun),
            Err(e) => Err(Error::system("receive from", "netlink socket", e)),
        };
        if std::mem::replace(&mut self.waiting, Answers::Arrive) == Answers::AreLost {
            while !matches!(next()?, Received::Nothing) {}
            return Ok(Received::Overrun);
        }
        next()
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
