//! Questions by connections.

use super::part::PART;
use super::resolver::{Handled, ReplyTo, Resolver};
use crate::descriptors;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zubi_names::{Asked, Transport};

/// So many of them may be of one address, so that one that opens them without end leaves room for others.
const MOST_OF_ONE: usize = 16;
/// How long a connection may be idle (RFC 7766, 6.2.3: a few seconds).
const IDLE: Duration = Duration::from_secs(5);
/// How long a question may take once it has begun, and an answer until it is taken.
const SLOWEST: Duration = Duration::from_secs(2);
/// How long nobody is let in when no descriptors are left.
const PAUSE: Duration = Duration::from_millis(100);

/// Who has connections, over all sockets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A connection's place, until it is dropped.
#[derive(Debug)]
struct Place {
    of: Places,
    address: IpAddr,
}

impl Places {
    fn take(&self, address: IpAddr) -> Option<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (open, own) = (all.values().sum::<usize>(), all.get(&address).copied().unwrap_or(0));
        if open >= descriptors::places() || own >= MOST_OF_ONE {
            return None;
        }
        all.insert(address, own + 1);
        Some(Place { of: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.of.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(all.remove(&self.address)),
        }
    }
}

/// Answers what comes in by connections to a socket. They end when this does.
pub(crate) async fn serve(listener: TcpListener, at: IpAddr, resolver: Resolver, places: Places) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((connection, from)) => {
                let from = from.ip().to_canonical();
                // The closed connection tells an asker that there is no place.
                let Some(place) = places.take(from).filter(|_| resolver.serves(from, at)) else { continue };
                let asked = Asked { from, at, over: Transport::Tcp };
                let resolver = resolver.clone();
                connections.spawn(async move {
                    let _place = place;
                    // A client that has gone, or takes too long, needs no answer.
                    answer(connection, asked, &resolver).await.ok();
                });
            }
            Err(e) => {
                tracing::debug!(part = PART, "accept a connection at {at}: {e}");
                tokio::time::sleep(PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Answers one question after the other.
async fn answer(mut connection: TcpStream, asked: Asked, resolver: &Resolver) -> io::Result<()> {
    loop {
        let length = timeout(IDLE, connection.read_u16()).await??;
        let mut packet = vec![0; length.into()];
        timeout(SLOWEST, connection.read_exact(&mut packet)).await??;
        let (to, waits) = oneshot::channel();
        let mut bytes = Vec::new();
        if resolver.handle(asked, &packet, ReplyTo::Connection(to), &mut bytes) == Handled::Done {
            // Without an answer the sender is dropped, and the connection ends.
            bytes = waits.await.map_err(io::Error::other)?;
        }
        let mut answer = u16::try_from(bytes.len()).map_err(io::Error::other)?.to_be_bytes().to_vec();
        answer.extend(bytes);
        timeout(SLOWEST, connection.write_all(&answer)).await??;
    }
}
