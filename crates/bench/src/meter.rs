//! Small TCP meters: both ends are threads of this process, pinned to one core, so that the rate reflects the whole CPU
//! cost of the path.

use crate::error::Error;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use zubi_kernel::Netns;

/// A quantity to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Meter {
    /// One byte each way, repeated: rounds per second.
    Requests,
    /// A connection, a byte each way, and a reset: connections per second.
    Connections,
    /// One-way throughput: Gbit per second.
    Stream,
}

/// The two ends.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    pub(crate) client: &'a Netns,
    pub(crate) server: &'a Netns,
    /// The port that the server listens on.
    pub(crate) listen: u16,
    /// The address that the client connects to.
    pub(crate) to: (Ipv4Addr, u16),
}

const CHUNK: usize = 128 * 1024;
const CONNECT: Duration = Duration::from_secs(2);
/// A server gives up after this silence.
const SILENCE: Duration = Duration::from_secs(5);
/// The byte that ends a server of connections.
const QUIT: u8 = b'q';

impl Meter {
    pub(crate) const TRAFFIC: [Meter; 3] = [Meter::Requests, Meter::Connections, Meter::Stream];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Meter::Requests => "requests/s",
            Meter::Connections => "connections/s",
            Meter::Stream => "Gbit/s",
        }
    }

    /// Measures for this long.
    pub(crate) fn measure(self, path: Path<'_>, lasts: Duration) -> Result<f64, Error> {
        let home = Netns::own()?;
        let any = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), path.listen);
        let listener = path.server.within(&home, || TcpListener::bind(any))?.map_err(Error::system("listen"))?;
        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                pin()?;
                self.serve(&listener)
            });
            let client = scope.spawn(|| {
                pin()?;
                path.client.enter()?;
                self.drive(SocketAddr::new(path.to.0.into(), path.to.1), lasts)
            });
            let dead = || Error::Worker("a meter panicked".into());
            let rate = client.join().map_err(|_| dead())?;
            if rate.is_err() {
                // When no connection passed, the server still waits for one.
                stop(path.server, &home, path.listen)?;
            }
            let done = server.join().map_err(|_| dead())?;
            let rate = rate?;
            done.map(|()| rate)
        })
    }

    fn serve(self, listener: &TcpListener) -> Result<(), Error> {
        let failed = |what: &str| Error::system(format!("serving: {what}"));
        let mut byte = [0];
        loop {
            let (mut stream, _) = listener.accept().map_err(failed("accept"))?;
            stream.set_read_timeout(Some(SILENCE)).map_err(failed("timeout"))?;
            stream.set_nodelay(true).map_err(failed("nodelay"))?;
            match self {
                Meter::Connections => {
                    if stream.read(&mut byte).map_err(failed("read"))? == 0 || byte == [QUIT] {
                        return Ok(());
                    }
                    stream.write_all(&byte).map_err(failed("write"))?;
                    // The other end may reset it.
                    drop(stream.read(&mut byte));
                }
                Meter::Requests => {
                    while stream.read(&mut byte).map_err(failed("read"))? == 1 {
                        stream.write_all(&byte).map_err(failed("write"))?;
                    }
                    return Ok(());
                }
                Meter::Stream => {
                    let mut chunk = vec![0; CHUNK];
                    while stream.read(&mut chunk).map_err(failed("read"))? > 0 {}
                    return Ok(());
                }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a second")]
    fn drive(self, to: SocketAddr, lasts: Duration) -> Result<f64, Error> {
        let failed = |what: &str| Error::system(format!("{what} {to}"));
        let connect = || {
            let stream = TcpStream::connect_timeout(&to, CONNECT).map_err(failed("connect to"))?;
            stream.set_read_timeout(Some(SILENCE)).map_err(failed("timeout to"))?;
            stream.set_nodelay(true).map_err(failed("nodelay to"))?;
            Ok::<_, Error>(stream)
        };
        let mut byte = [b'x'];
        let mut count = 0u64;
        match self {
            Meter::Connections => {
                let start = Instant::now();
                while start.elapsed() < lasts {
                    let mut stream = connect()?;
                    // Closing then sends a reset, so no port stays in TIME_WAIT.
                    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).map_err(failed("linger to"))?;
                    stream.write_all(b"x").map_err(failed("write to"))?;
                    stream.read_exact(&mut byte).map_err(failed("read from"))?;
                    count += 1;
                }
                let rate = count as f64 / start.elapsed().as_secs_f64();
                connect()?.write_all(&[QUIT]).map_err(failed("write to"))?;
                Ok(rate)
            }
            Meter::Requests => {
                let mut stream = connect()?;
                let start = Instant::now();
                while start.elapsed() < lasts {
                    stream.write_all(&byte).map_err(failed("write to"))?;
                    stream.read_exact(&mut byte).map_err(failed("read from"))?;
                    count += 1;
                }
                Ok(count as f64 / start.elapsed().as_secs_f64())
            }
            Meter::Stream => {
                let mut stream = connect()?;
                let chunk = vec![0; CHUNK];
                let start = Instant::now();
                while start.elapsed() < lasts {
                    stream.write_all(&chunk).map_err(failed("write to"))?;
                    count += 1;
                }
                Ok(count as f64 * CHUNK as f64 * 8.0 / 1e9 / start.elapsed().as_secs_f64())
            }
        }
    }
}

/// Pins the calling thread to the last core it may use: the first one serves most interrupts.
fn pin() -> Result<(), Error> {
    let this = Pid::from_raw(0);
    let failed = |e: nix::Error| Error::system("pin a thread")(e.into());
    let allowed = sched_getaffinity(this).map_err(failed)?;
    let last = (0..CpuSet::count()).rev().find(|core| allowed.is_set(*core) == Ok(true)).unwrap_or(0);
    let mut one = CpuSet::new();
    one.set(last).map_err(failed)?;
    sched_setaffinity(this, &one).map_err(failed)
}

/// Ends a server from inside its own namespace.
fn stop(server: &Netns, home: &Netns, port: u16) -> Result<(), Error> {
    let to = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let quit = || TcpStream::connect_timeout(&to, CONNECT).and_then(|mut stream| stream.write_all(&[QUIT]));
    server.within(home, quit)?.map_err(Error::system("stop a server"))
}

/// Whether a connection passes.
pub(crate) fn connects(path: Path<'_>) -> Result<bool, Error> {
    match Meter::Connections.measure(path, Duration::from_millis(1)) {
        Ok(_) => Ok(true),
        Err(Error::System { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}
