//! Datagrams of a server, as many in one call as there are.

use crate::sys::{self, AT_ONCE, Peer};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsFd;

/// Room for datagrams that came together, and for what is answered.
pub struct Batch {
    buffer: Box<[u8]>,
    peers: Box<[Peer; AT_ONCE]>,
    lengths: [usize; AT_ONCE],
    count: usize,
    /// The answers, one behind the other.
    written: Vec<u8>,
    answers: Vec<(usize, Range<usize>)>,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("count", &self.count).field("answers", &self.answers).finish_non_exhaustive()
    }
}

impl Batch {
    /// How many it takes.
    pub const SIZE: usize = AT_ONCE;

    /// For datagrams of at most so many bytes.
    pub fn new(longest: usize) -> Self {
        Batch {
            buffer: vec![0; longest * AT_ONCE].into(),
            peers: Box::new([Peer::none(); AT_ONCE]),
            lengths: [0; AT_ONCE],
            count: 0,
            written: Vec::new(),
            answers: Vec::with_capacity(AT_ONCE),
        }
    }

    /// Receives what has come by now, in the place of what was here; returns how many.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.count = 0;
        self.written.clear();
        self.answers.clear();
        self.count = sys::receive_many(socket.as_fd(), &mut self.buffer, &mut self.peers, &mut self.lengths)?;
        Ok(self.count)
    }

    /// One of those that came: where it came from, its bytes, and the room for its answer. What is appended there and
    /// kept by [`Batch::answered`] is the answer.
    pub fn take(&mut self, at: usize) -> Option<(SocketAddr, &[u8], &mut Vec<u8>)> {
        if at >= self.count {
            return None;
        }
        let start = at * (self.buffer.len() / AT_ONCE);
        let packet = self.buffer.get(start..start + self.lengths[at])?;
        Some((self.peers[at].address()?, packet, &mut self.written))
    }

    /// What was appended since the last answer is the answer to this one.
    pub fn answered(&mut self, at: usize) {
        let start = self.answers.last().map_or(0, |(_, bytes)| bytes.end);
        self.answers.push((at, start..self.written.len()));
    }

    /// Sends the answers. One that cannot be sent is lost, as any datagram can be.
    pub fn send(&mut self, socket: &impl AsFd) {
        let mut rest = self.answers.as_slice();
        while !rest.is_empty() {
            let all = rest.iter().map(|(at, bytes)| (&self.peers[*at], &self.written[bytes.clone()]));
            // An error is about the first one.
            let sent = sys::send_many(socket.as_fd(), all).unwrap_or(1).max(1);
            rest = rest.get(sent..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn datagrams_that_came_together_are_answered_each_to_its_sender() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(server) = UdpSocket::bind(address) else { continue };
            let clients: Vec<UdpSocket> = (0..40).map(|_| UdpSocket::bind(address).unwrap()).collect();
            for (number, client) in clients.iter().enumerate() {
                client.send_to(format!("{number}").as_bytes(), server.local_addr().unwrap()).unwrap();
            }
            let mut batch = Batch::new(64);
            let mut all = 0;
            while let Ok(count) = batch.receive(&server) {
                for at in 0..count {
                    let (from, packet, to) = batch.take(at).unwrap();
                    assert!(clients.iter().any(|client| client.local_addr().unwrap() == from));
                    to.extend_from_slice(packet);
                    to.push(b'!');
                    // Every other one.
                    if String::from_utf8_lossy(packet).parse::<usize>().unwrap() % 2 == 0 {
                        batch.answered(at);
                    } else {
                        to.truncate(to.len() - packet.len() - 1);
                    }
                }
                batch.send(&server);
                all += count;
            }
            assert_eq!(all, 40);
            for (number, client) in clients.iter().enumerate().filter(|(number, _)| number % 2 == 0) {
                let mut heard = [0; 64];
                let length = client.recv(&mut heard).unwrap();
                assert_eq!(heard[..length], *format!("{number}!").as_bytes());
            }
        }
    }

    #[test]
    fn nothing_that_has_come_is_no_batch() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut batch = Batch::new(64);
        assert_eq!(batch.receive(&server).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(batch.take(0).is_none());
    }
}
