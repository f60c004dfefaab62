//! Blocking netlink sockets.
//!
//! # How it works
//! The kernel handles a request while it is being sent, so every answer is in the queue when the send returns: reading
//! never waits. Answers are told apart by sequence numbers. One buffer of constant size is used for everything,
//! because the kernel sizes dump messages by the largest buffer it has seen on a socket.

use crate::disturbance::{Answers, Protocol, disturbed};
use crate::error::Error;
use crate::sys;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use zubi_model::NetnsCookie;
use zubi_wire::{Batch, KernelError, Message, Messages, flag, message::kind};

const BUFFER: usize = 32 * 1024;
const DUMP_TRIES: u32 = 20;

/// A netlink socket. It belongs to the network namespace it was opened in, whoever uses it.
#[derive(Debug)]
pub struct Netlink {
    fd: OwnedFd,
    sequence: u32,
    /// Whether it is asked for transactions.
    transactions: bool,
    counters: Counters,
    buffer: Vec<u8>,
    /// What a test makes of those that are waiting.
    waiting: Answers,
}

/// What a socket was used for; tests hold these to account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// System calls that sent.
    pub sends: u32,
    /// Messages in them.
    pub messages: u32,
    /// Dumps among them.
    pub dumps: u32,
}

/// The answer to one message of a batch.
#[derive(Debug, Default)]
pub struct Answer {
    /// Kept messages (kind and payload) that came before the acknowledgement: an object, or an echo.
    pub objects: Vec<Kept>,
    /// The acknowledgement; absent when the kernel gave none.
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
        let (counters, buffer, waiting) = (Counters::default(), vec![0; BUFFER], Answers::Arrive);
        Ok(Netlink { fd, sequence: 1, transactions, counters, buffer, waiting })
    }

    /// The number of the namespace it belongs to.
    pub fn cookie(&self) -> Result<NetnsCookie, Error> {
        sys::netns_cookie(self.fd.as_fd()).map(NetnsCookie).map_err(|e| Error::system("identify", "namespace", e))
    }

    /// What it was used for.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// For a child process that is to hold it open.
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn send(&mut self, batch: &mut Batch) -> Result<u32, Error> {
        let first = self.sequence;
        batch.number_from(first);
        self.sequence = self.sequence.wrapping_add(batch.count());
        self.counters.sends += 1;
        self.counters.messages += batch.count();
        let protocol = if self.transactions { Protocol::Netfilter } else { Protocol::Route };
        let (bytes, answers) = disturbed(batch.bytes(), protocol);
        self.waiting = answers;
        sys::send_to_kernel(self.fd.as_fd(), &bytes).map_err(|e| Error::system("send to", "netlink socket", e))?;
        Ok(first)
    }

    /// Sends a batch and gives the answer to each of its messages.
    pub fn transact(&mut self, mut batch: Batch) -> Result<Vec<Answer>, Error> {
        let first = self.send(&mut batch)?;
        let mut answers: Vec<Answer> = (0..batch.count()).map(|_| Answer::default()).collect();
        // Of a transaction not all messages are answered, and some twice. What asks for no acknowledgement is answered by
        // what it asks for.
        let acknowledged: Vec<bool> =
            Messages::new(batch.bytes()).map(|message| message.flags & flag::ACK != 0).collect();
        let transactions = self.transactions;
        let answered = |(answer, acknowledged): (&Answer, &bool)| {
            answer.outcome.is_some() || (!acknowledged && !answer.objects.is_empty())
        };
        let complete = |answers: &[Answer]| !transactions && answers.iter().zip(&acknowledged).all(answered);
        while !complete(&answers)
            && let Some(n) = self.receive()?
        {
            for message in Messages::new(&self.buffer[..n]) {
                let Some(answer) = answers.get_mut(message.sequence.wrapping_sub(first) as usize) else { continue };
                match message.outcome() {
                    // A batch that was aborted may be answered more than once: the first error counts.
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
        Ok(answers)
    }

    /// Asks for all objects of a kind, again while the kernel's tables change under the reading.
    pub fn dump<T>(
        &mut self,
        object: &'static str,
        request: &dyn Fn(&mut Batch),
        mut parse: impl FnMut(&Message<'_>) -> Vec<T>,
    ) -> Result<Vec<T>, Error> {
        self.counters.dumps += 1;
        for _ in 0..DUMP_TRIES {
            let mut batch = Batch::new();
            request(&mut batch);
            let first = self.send(&mut batch)?;
            let mut all = Vec::new();
            let mut interrupted = false;
            let mut done = false;
            while !done {
                let Some(n) = self.receive()? else { return Err(Error::NoAnswer { object: object.into() }) };
                for message in Messages::new(&self.buffer[..n]).filter(|m| m.sequence == first) {
                    interrupted |= message.flags & flag::DUMP_INTR != 0;
                    if message.kind == kind::DONE {
                        done = true;
                        // What a dump failed with half-way stands in its last message.
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

    fn receive(&mut self) -> Result<Option<usize>, Error> {
        let failed = |e| Error::system("receive from", "netlink socket", e);
        let lost = std::mem::replace(&mut self.waiting, Answers::Arrive) == Answers::AreLost;
        if lost {
            while sys::receive(self.fd.as_fd(), &mut self.buffer).map_err(failed)?.is_some() {}
            return Err(failed(std::io::Error::from_raw_os_error(libc::ENOBUFS)));
        }
        sys::receive(self.fd.as_fd(), &mut self.buffer).map_err(failed)
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
