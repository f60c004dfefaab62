//! The system's log.

use std::os::unix::net::UnixDatagram;

/// Where syslog(3) sends its messages.
const SOCKET: &str = "/dev/log";
/// `LOG_DAEMON | LOG_WARNING` (RFC 3164).
const PRIORITY: u8 = 3 << 3 | 4;

/// Writes one line into the system's log. Without a log the line is lost: whoever needs it has it from somewhere else too.
pub fn log(line: &str) {
    let message = format!("<{PRIORITY}>zubi[{}]: {line}", std::process::id());
    let _sent = UnixDatagram::unbound().and_then(|socket| socket.send_to(message.as_bytes(), SOCKET));
}
