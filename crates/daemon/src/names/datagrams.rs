//! Questions in datagrams.

use super::part::PART;
use super::resolver::Resolver;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// So many batches are answered before another socket has its turn.
const TURN: usize = 4;

/// Answers what comes in by a socket.
pub(crate) async fn serve(socket: Arc<UdpSocket>, at: IpAddr, resolver: Resolver) {
    loop {
        if let Err(e) = socket.readable().await {
            tracing::warn!(part = PART, "wait for datagrams at {at}: {e}");
            return;
        }
        for _ in 0..TURN {
            // What comes while a batch is answered wakes the socket again.
            match socket.try_io(Interest::READABLE, || resolver.answer_datagrams(&socket, at)) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                // Some asker's host said that an answer did not arrive.
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
        tokio::task::yield_now().await;
    }
}
