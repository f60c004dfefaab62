//! What distinguishes this host from others, for DHCP servers.

use crate::error::Error;
use crate::random::random;
use crate::session::Session;
use zubi_dhcp::HostKey;

/// See machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";

/// The machine id, or bytes in the state folder where there is none.
pub(crate) fn host_key(session: &Session) -> Result<HostKey, Error> {
    let id = std::fs::read_to_string(MACHINE_ID).ok().and_then(|text| u128::from_str_radix(text.trim(), 16).ok());
    match id {
        Some(id) if id != 0 => Ok(HostKey(id.to_be_bytes())),
        _ => Ok(HostKey(session.store().host_key(random()?)?)),
    }
}
