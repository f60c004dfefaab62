//! What follows `--dns` of a network.

use std::net::IpAddr;
use std::str::FromStr;
use zubi_model::{Invalid, Questions};

/// One value of `--dns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DnsWord {
    /// A server that is asked about names elsewhere.
    Server(IpAddr),
    /// Questions to other servers are answered too.
    Redirect,
}

impl FromStr for DnsWord {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "redirect" {
            return Ok(DnsWord::Redirect);
        }
        text.parse().map(DnsWord::Server).map_err(|_| Invalid::new("--dns", text, "is neither an address nor redirect"))
    }
}

/// What all values together say.
pub(crate) fn of_network(words: &[DnsWord]) -> (Vec<IpAddr>, Questions) {
    let server = |word: &DnsWord| if let DnsWord::Server(server) = word { Some(*server) } else { None };
    let questions = if words.contains(&DnsWord::Redirect) { Questions::Redirected } else { Questions::AsSent };
    (words.iter().filter_map(server).collect(), questions)
}
