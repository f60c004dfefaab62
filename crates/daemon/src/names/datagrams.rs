//! Questions in datagrams.

use super::part::PART;
use super::resolver::{Handled, ReplyTo, Resolver};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use zubi_names::{Asked, Transport};

/// No question is longer than this.
pub(crate) const LONGEST: usize = 4096;
/// So many are answered before another socket has its turn.
const TURN: usize = 64;

/// Answers what comes in by a socket.
pub(crate) async fn serve(socket: Arc<UdpSocket>, at: IpAddr, resolver: Resolver) {
    let mut buffer = vec![0; LONGEST];
    loop {
        if let Err(e) = socket.readable().await {
            tracing::warn!(part = PART, "wait for datagrams at {at}: {e}");
            return;
        }
        for _ in 0..TURN {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => {
                    let asked = Asked { from: from.ip().to_canonical(), at, over: Transport::Udp };
                    let to = ReplyTo::Datagram(Arc::clone(&socket), from);
                    if let Handled::Now(bytes, to) = resolver.handle(asked, &buffer[..length], to) {
                        to.send(&bytes);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // Some asker's host said that an answer did not arrive.
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        tokio::task::yield_now().await;
    }
}
