//! What `check` finds, and how things are called in its reports.

use std::net::IpAddr;
use zubi_model::{DirectLink, Endpoint};

/// What kind of difference it is; the words are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A command was killed half-way.
    Interrupted,
    /// A file that cannot be read.
    Unreadable,
    /// The sandbox is no more.
    SandboxGone,
    /// The name now leads to another namespace: the container was started again.
    SandboxRestarted,
    /// Something that should be there is not.
    Missing,
    /// Something is not as it should be.
    Differs,
    /// The firewall table is gone or has lost rules.
    Firewall,
    /// Another program's firewall drops what a network sends.
    ForeignFirewall,
    /// Something carries our mark and belongs to nobody.
    Stray,
    /// A process has bound a published port: it gets nothing of what is sent there.
    PortShadowed,
}

impl ProblemKind {
    /// Its word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            ProblemKind::Interrupted => "interrupted",
            ProblemKind::Unreadable => "unreadable",
            ProblemKind::SandboxGone => "sandbox-gone",
            ProblemKind::SandboxRestarted => "sandbox-restarted",
            ProblemKind::Missing => "missing",
            ProblemKind::Differs => "differs",
            ProblemKind::Firewall => "firewall",
            ProblemKind::ForeignFirewall => "foreign-firewall",
            ProblemKind::Stray => "stray",
            ProblemKind::PortShadowed => "port-shadowed",
        }
    }
}

/// One difference between records and kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// Of what: "network blue", "endpoint of c1 on network blue".
    pub object: String,
    /// The difference in words.
    pub what: String,
    /// What puts it right.
    pub fix: String,
}

impl Problem {
    pub(crate) fn new(
        kind: ProblemKind,
        object: impl Into<String>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Problem { kind, object: object.into(), what: what.into(), fix: fix.into() }
    }

    pub(crate) fn unleased(endpoint: &Endpoint, address: IpAddr) -> Self {
        Problem::new(ProblemKind::Missing, describe(endpoint), format!("missing: its lease of {address}"), REPAIR)
    }
}

/// The next steps.
pub(crate) const REPAIR: &str = "zubi repair";
pub(crate) const GC: &str = "zubi gc";
pub(crate) const RESTORE: &str = "restore or remove the file";

/// How an endpoint is called in reports.
pub(crate) fn describe(endpoint: &Endpoint) -> String {
    format!("endpoint of {} on network {}", endpoint.sandbox.spelled, endpoint.network)
}

/// How a link is called in reports.
pub(crate) fn describe_link(link: &DirectLink) -> String {
    format!("link {link}")
}
