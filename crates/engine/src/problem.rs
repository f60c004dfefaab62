//! The problems that `check` finds, and how its report names objects.

use std::net::IpAddr;
use zubi_model::{DirectLink, Endpoint};

/// The kind of a difference. Its words in JSON are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A command was killed before it finished.
    Interrupted,
    /// A file that cannot be read.
    Unreadable,
    /// The sandbox is gone.
    SandboxGone,
    /// The name now leads to another namespace: the container was started again.
    SandboxRestarted,
    /// An object is missing.
    Missing,
    /// An object differs from its record.
    Differs,
    /// The firewall table is gone or has lost rules.
    Firewall,
    /// Another program's firewall drops what a network sends.
    ForeignFirewall,
    /// An object has our mark but no record.
    Stray,
    /// Nobody has renewed a lease in time, or it is lost.
    Lease,
    /// A process has bound a published port; no packets to that port reach it.
    PortShadowed,
}

impl ProblemKind {
    /// The word for it in JSON.
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
            ProblemKind::Lease => "lease",
            ProblemKind::PortShadowed => "port-shadowed",
        }
    }
}

/// One difference between records and kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The kind.
    pub kind: ProblemKind,
    /// The object: "network blue", "endpoint of c1 on network blue".
    pub object: String,
    /// The difference in words.
    pub what: String,
    /// The command that repairs it.
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

/// How reports name an endpoint.
pub(crate) fn describe(endpoint: &Endpoint) -> String {
    format!("endpoint of {} on network {}", endpoint.sandbox.spelled, endpoint.network)
}

/// How reports name a link.
pub(crate) fn describe_link(link: &DirectLink) -> String {
    format!("link {link}")
}
