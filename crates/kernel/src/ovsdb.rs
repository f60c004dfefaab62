//! A connection to Open vSwitch's database: one request and its answer, bounded in time and size.
//!
//! # How it works
//! A connection serves one transaction: the server answers in a fraction of a millisecond, and one that is kept would
//! have to answer its questions in between. The socket is where Open vSwitch's own programs look for it.

use crate::error::Error;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zubi_ovsdb::{Answer, Decoder, Incoming, Refused, Request};

/// From the connection to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Between attempts to connect while the server's backlog is full.
const PAUSE: Duration = Duration::from_millis(5);
/// The largest answer. A thousand ports have some 500 kB.
const MOST_BYTES: usize = 64 << 20;
const FOLDER: &str = "/run/openvswitch";

/// `OVS_RUNDIR` names the folder, as for `ovs-vsctl`.
pub(crate) fn socket() -> PathBuf {
    let folder = std::env::var_os("OVS_RUNDIR").filter(|folder| !folder.is_empty());
    folder.map_or_else(|| PathBuf::from(FOLDER), PathBuf::from).join("db.sock")
}

/// Sends a request and reads its answer. `object`: what it is about.
pub(crate) fn ask(object: &str, request: &Request) -> Result<Result<Answer, Refused>, Error> {
    let path = socket();
    exchange(&path, request).map_err(|e| Error::Ovs { object: object.to_owned(), why: words(&path, &e) })
}

fn exchange(path: &Path, request: &Request) -> io::Result<Result<Answer, Refused>> {
    let until = Instant::now() + TIMEOUT;
    let mut stream = connect(path, until)?;
    write_all(&mut stream, &request.bytes(), until)?;
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match decoder.take().map_err(|garbled| io::Error::new(io::ErrorKind::InvalidData, garbled.0))? {
            Some(Incoming::Answer(answer)) => return Ok(answer),
            Some(Incoming::Echo(answer)) => write_all(&mut stream, &answer, until)?,
            Some(Incoming::Other) => {}
            None if decoder.waiting() > MOST_BYTES => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is longer than 64 MiB"));
            }
            None => {
                stream.set_read_timeout(Some(left(until)?))?;
                match stream.read(&mut buffer)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => decoder.push(&buffer[..read]),
                }
            }
        }
    }
}

/// connect(2) on a unix socket blocks while the listener's backlog is full, and says EAGAIN if it may not.
fn connect(path: &Path, until: Instant) -> io::Result<Socket> {
    let stream = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let address = SockAddr::unix(path)?;
    stream.set_nonblocking(true)?;
    loop {
        match stream.connect(&address) {
            Ok(()) => break,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(PAUSE.min(left(until)?)),
            Err(e) => return Err(e),
        }
    }
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn write_all(stream: &mut Socket, bytes: &[u8], until: Instant) -> io::Result<()> {
    stream.set_write_timeout(Some(left(until)?))?;
    stream.write_all(bytes)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn words(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
            "Open vSwitch does not run: nobody listens on {path}; start it (systemctl start openvswitch-switch), or \
             name its folder by OVS_RUNDIR"
        ),
        io::ErrorKind::PermissionDenied => format!("Open vSwitch: {path}: permission denied; run zubi as root"),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!("Open vSwitch: ovsdb-server gave no answer on {path} in {} s", TIMEOUT.as_secs())
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            format!("Open vSwitch: ovsdb-server closed the connection on {path}; try again")
        }
        _ => format!("Open vSwitch: {path}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Shutdown;
    use std::os::unix::net::UnixListener;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("zubi-ovsdb-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// What `exchange` says of a server that answers with these bytes and closes.
    fn said(name: &str, answer: &'static [u8]) -> io::Result<Result<Answer, Refused>> {
        let folder = folder(name);
        let path = folder.join("db.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let read = client.read(&mut buffer).unwrap();
            assert!(read > 0);
            client.write_all(answer).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            // Closed before the client has said all, the connection would be broken for it.
            client.read_to_end(&mut Vec::new()).unwrap();
        });
        let said = exchange(&path, &zubi_ovsdb::read(None));
        server.join().unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        said
    }

    #[test]
    fn an_answer_comes_behind_the_server_s_own_questions() {
        let answer = br#"{"id":"echo","method":"echo","params":[]}{"id":1,"result":[{"rows":[]}],"error":null}"#;
        assert!(said("echo", answer).unwrap().is_ok());
    }

    #[test]
    fn an_answer_that_ends_in_the_middle_or_is_none_is_an_error() {
        assert_eq!(said("half", br#"{"id":1,"resu"#).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(said("none", b"HTTP/1.1 400").unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_socket_without_a_listener_is_said_to_be_one() {
        let folder = folder("dead");
        let path = folder.join("db.sock");
        for leftover in [false, true] {
            if leftover {
                drop(UnixListener::bind(&path).unwrap());
            }
            let error = exchange(&path, &zubi_ovsdb::read(None)).unwrap_err();
            assert!(words(&path, &error).contains("does not run"), "{error}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
