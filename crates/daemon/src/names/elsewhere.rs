//! Questions to servers elsewhere.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use zubi_names::{Inquiry, Judgement, Key, Response};

/// How long the client waits: resolvers in sandboxes ask again after 5 s (resolv.conf(5), timeout).
const ALL: Duration = Duration::from_millis(4500);
/// How long the first server has before the next is asked as well.
const HEAD_START: Duration = Duration::from_millis(300);
/// How long a datagram may take before it is sent again.
const LOST: Duration = Duration::from_millis(1500);

/// Whom to ask, in this order.
#[derive(Debug)]
pub(crate) struct Servers(pub(crate) Vec<SocketAddr>);

/// Asks the servers, each a moment after the one before, and takes the first answer. A failure that a server tells
/// counts when no other has an answer.
pub(crate) async fn ask(
    key: &Key,
    Servers(servers): Servers,
    places: &Semaphore,
    random: &(dyn Fn() -> u64 + Sync),
) -> Option<Response> {
    let asking = async {
        let _place = places.acquire().await.ok()?;
        let mut attempts = JoinSet::new();
        for (index, server) in servers.into_iter().enumerate() {
            let inquiry = Arc::new(key.ask(random() as u16, random()));
            let wait = HEAD_START * u32::try_from(index).unwrap_or(u32::MAX);
            attempts.spawn(async move {
                sleep(wait).await;
                attempt(&inquiry, server).await
            });
        }
        let mut failure = None;
        while let Some(ended) = attempts.join_next().await {
            match ended {
                Ok(Ok(Judgement::Answer(response))) => return Some(response),
                Ok(Ok(Judgement::Failed(response))) => failure = Some(response),
                _ => {}
            }
        }
        failure
    };
    timeout(ALL, asking).await.ok().flatten()
}

/// Asks one server: by datagrams, and by a connection where they do not do.
async fn attempt(inquiry: &Inquiry, server: SocketAddr) -> io::Result<Judgement> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // The kernel chooses a port at random, and takes answers of this server alone.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    let mut buffer = vec![0; 4096];
    loop {
        socket.send(inquiry.bytes()).await?;
        let heard = timeout(LOST, async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                match inquiry.judge(&buffer[..length]) {
                    Judgement::Other => {}
                    judgement => return io::Result::Ok(judgement),
                }
            }
        });
        match heard.await {
            Ok(Ok(Judgement::AskByTcp)) => return by_connection(inquiry, server).await,
            Ok(judgement) => return judgement,
            Err(_) => {}
        }
    }
}

async fn by_connection(inquiry: &Inquiry, server: SocketAddr) -> io::Result<Judgement> {
    let mut connection = TcpStream::connect(server).await?;
    let mut packet = u16::try_from(inquiry.bytes().len()).map_err(io::Error::other)?.to_be_bytes().to_vec();
    packet.extend_from_slice(inquiry.bytes());
    connection.write_all(&packet).await?;
    let length = connection.read_u16().await?;
    let mut answer = vec![0; length.into()];
    connection.read_exact(&mut answer).await?;
    Ok(inquiry.judge_by_tcp(&answer))
}
