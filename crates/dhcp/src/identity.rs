//! What a client says of itself.

use std::fmt;
use zubi_model::{Alias, ClientId, DhcpOption, Mac};

/// What a client says of itself in every message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Of the device that the lease is for; answers carry it back.
    pub mac: Mac,
    /// By what the server recognises it; by the MAC when absent.
    pub id: Option<ClientId>,
    /// For the server's DNS.
    pub host_name: Option<HostName>,
    /// Further options for servers. One of them may replace the host name or the vendor class.
    pub told: Vec<DhcpOption>,
}

/// A host name of one label (RFC 1123, 2.1): letters, digits and inner hyphens, at most 63.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl HostName {
    /// The host name that resembles the name of a sandbox: `_` and `.` become hyphens. `None` when nothing is left.
    pub fn from_name(name: &Alias) -> Option<Self> {
        name.as_label().map(HostName)
    }

    /// The first label of a host's own name.
    pub fn of_host(name: &str) -> Option<Self> {
        HostName::from_name(&name.split('.').next()?.parse().ok()?)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_one_label_of_letters_digits_and_hyphens() {
        let host_name = |name: &str| HostName::from_name(&name.parse().unwrap()).map(|name| name.to_string());
        assert_eq!(host_name("web").as_deref(), Some("web"));
        assert_eq!(host_name("app_web.1-").as_deref(), Some("app-web-1"));
        assert_eq!(HostName::of_host("nas.home.arpa").map(|name| name.to_string()).as_deref(), Some("nas"));
        assert_eq!(HostName::of_host(""), None);
    }
}
