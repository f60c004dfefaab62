//! One HTTP request over a unix socket (RFC 9112), bounded in time and size.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The timeout from the connection to the last byte.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(2);
/// How often a caller that waits is called.
const WAKE: Duration = Duration::from_millis(100);
/// The largest answer. Docker's description of a container has some 10 kB.
const MOST_BYTES: usize = 16 << 20;

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Why there is no usable answer.
#[derive(Debug)]
pub(crate) enum HttpError {
    /// There is no socket, or no process listens on it.
    Absent,
    /// The answer took longer than [`TIMEOUT`].
    Slow,
    /// A system call failed.
    Io { op: &'static str, source: io::Error },
    /// The answer is not HTTP.
    Garbled(String),
}

/// Requests `path`, which must be valid in a request line. Calls `waiting` again and again until the answer is there.
pub(crate) fn get(socket: &Path, path: &str, waiting: &dyn Fn()) -> Result<Response, HttpError> {
    let until = Instant::now() + TIMEOUT;
    let address = SocketAddr::from_pathname(socket).map_err(|e| failed("connect to", e))?;
    let mut stream = connect(address, until, waiting)?;
    stream.set_write_timeout(Some(TIMEOUT)).map_err(|source| HttpError::Io { op: "set up", source })?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|e| failed("write to", e))?;
    read_response(&mut BufReader::new(Bounded { stream, until, left: MOST_BYTES, waiting }))
}

/// Connects on a thread of its own, which may outlive the call: connect(2) on a unix socket has no timeout and blocks
/// while the listener's backlog is full.
pub(crate) fn connect(address: SocketAddr, until: Instant, waiting: &dyn Fn()) -> Result<UnixStream, HttpError> {
    let (sender, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("connect".into())
        .spawn(move || {
            // Fails when the receiver has given up.
            drop(sender.send(UnixStream::connect_addr(&address)));
        })
        .map_err(|source| HttpError::Io { op: "start a thread for", source })?;
    let connected = loop {
        waiting();
        let remaining = until.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(remaining.min(WAKE)) {
            Err(mpsc::RecvTimeoutError::Timeout) if !remaining.is_zero() => {}
            other => break other,
        }
    };
    match connected {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Err(HttpError::Absent)
        }
        Ok(Err(e)) => Err(failed("connect to", e)),
        Err(_) => Err(HttpError::Slow),
    }
}

fn failed(op: &'static str, e: io::Error) -> HttpError {
    match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => HttpError::Slow,
        io::ErrorKind::InvalidData => HttpError::Garbled(e.to_string()),
        io::ErrorKind::UnexpectedEof => HttpError::Garbled("it ends in the middle".into()),
        _ => HttpError::Io { op, source: e },
    }
}

/// A stream with one deadline: with a timeout per read, a daemon could send single bytes forever.
struct Bounded<'w> {
    stream: UnixStream,
    until: Instant,
    left: usize,
    waiting: &'w dyn Fn(),
}

impl Read for Bounded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 16 MiB"));
        }
        let room = buf.len().min(self.left);
        loop {
            (self.waiting)();
            let remaining = self.until.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(remaining.min(WAKE)))?;
            match self.stream.read(&mut buf[..room]) {
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(e) => return Err(e),
                Ok(got) => {
                    self.left -= got;
                    return Ok(got);
                }
            }
        }
    }
}

/// How a response states the length of its body (RFC 9112 section 6.3).
enum Length {
    Chunked,
    Bytes(u64),
    UntilClose,
}

fn read_response(from: &mut impl BufRead) -> Result<Response, HttpError> {
    let status = status(&line(from)?)?;
    let mut length = Length::UntilClose;
    loop {
        let header = line(from)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or_else(|| HttpError::Garbled("a header has no colon".into()))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(HttpError::Garbled("its transfer encoding is unknown".into()));
            }
            length = Length::Chunked;
        } else if name.eq_ignore_ascii_case("content-length") && !matches!(length, Length::Chunked) {
            let bytes = value.parse().map_err(|_| HttpError::Garbled("its length is not a number".into()))?;
            length = Length::Bytes(bytes);
        }
    }
    let mut body = Vec::new();
    match length {
        Length::Bytes(bytes) => exactly(from, bytes, &mut body)?,
        Length::UntilClose => {
            from.read_to_end(&mut body).map_err(|e| failed("read from", e))?;
        }
        Length::Chunked => loop {
            let size = line(from)?;
            let digits = size.split(';').next().unwrap_or_default().trim();
            let bytes = u64::from_str_radix(digits, 16)
                .map_err(|_| HttpError::Garbled("the size of a chunk is not a number".into()))?;
            // Skip the trailer: the connection closes here.
            if bytes == 0 {
                break;
            }
            exactly(from, bytes, &mut body)?;
            if !line(from)?.is_empty() {
                return Err(HttpError::Garbled("a chunk is longer than its size".into()));
            }
        },
    }
    Ok(Response { status, body })
}

/// Reads `HTTP/1.1 200 OK`.
fn status(line: &str) -> Result<u16, HttpError> {
    let mut words = line.split(' ');
    match (words.next(), words.next().map(str::parse)) {
        (Some("HTTP/1.1" | "HTTP/1.0"), Some(Ok(status))) => Ok(status),
        _ => Err(HttpError::Garbled("it does not begin like HTTP".into())),
    }
}

/// Reads a line, without its end.
fn line(from: &mut impl BufRead) -> Result<String, HttpError> {
    const MOST: u64 = 64 << 10;
    let mut bytes = Vec::new();
    from.by_ref().take(MOST).read_until(b'\n', &mut bytes).map_err(|e| failed("read from", e))?;
    if bytes.pop() != Some(b'\n') {
        return Err(HttpError::Garbled("it ends in the middle of its head".into()));
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| HttpError::Garbled("its head is not text".into()))
}

/// Allocates as data arrives: the daemon states the size, and it may lie.
fn exactly(from: &mut impl BufRead, bytes: u64, body: &mut Vec<u8>) -> Result<(), HttpError> {
    let got = from.by_ref().take(bytes).read_to_end(body).map_err(|e| failed("read from", e))?;
    if got as u64 == bytes { Ok(()) } else { Err(HttpError::Garbled("it ends in the middle".into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Response, HttpError> {
        read_response(&mut BufReader::new(text.as_bytes()))
    }

    #[test]
    fn each_way_to_state_the_length_gives_the_same_body() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello and more",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nhello",
        ] {
            let response = read(text).unwrap();
            assert_eq!((response.status, response.body.as_slice()), (200, b"hello".as_slice()), "{text:?}");
        }
    }

    #[test]
    fn what_is_cut_short_or_is_not_http_is_garbled() {
        for text in [
            "",
            "hello",
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhe",
        ] {
            assert!(matches!(read(text), Err(HttpError::Garbled(_))), "{text:?}");
        }
    }
}
