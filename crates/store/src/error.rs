//! Errors of the store.

use crate::Holder;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zubi_model::{EndpointKey, NetworkName};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{doing} {}: {source}{}", path.display(), next_step(source))]
    Io {
        /// The operation: "write", "lock".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// A file exists but its content is invalid.
    #[error("{}: {why}; nothing was changed; {next}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The next step.
        next: String,
    },
    /// Another user could change the records.
    #[error(
        "{}: {why}, and so could change what zubi does; nothing was changed; {next}, or choose other folders with \
         --run-dir and --state-dir",
        path.display()
    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// The reason.
        why: String,
        /// The next step.
        next: String,
    },
    /// A lock did not become free.
    #[error("lock {}: {}", path.display(), held(*waited, holders))]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// How long the process has waited.
        waited: Duration,
        /// The processes that hold it, if the kernel reports them.
        holders: Vec<Holder>,
    },
    /// A newer zubi wrote the file.
    #[error(
        "{}: has format version {found}, this zubi knows up to {known}; nothing was changed; use the newer zubi",
        path.display()
    )]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version that this program reads.
        known: u64,
    },
    /// The run folder describes another network namespace of this machine.
    #[error(
        "{}: belongs to another host namespace (its cookie is {theirs}, this one's is {ours}); \
         nothing was changed; use --run-dir to give this namespace a folder of its own",
        run.display()
    )]
    OtherHost {
        /// The run folder.
        run: PathBuf,
        /// Cookie of the namespace that it belongs to.
        theirs: u64,
        /// Cookie of our namespace.
        ours: u64,
    },
    /// The endpoint is being attached or detached, or the process that did so was killed.
    #[error("endpoint {key}: is being attached or detached ({}); wait for it or run zubi gc", path.display())]
    InProgress {
        /// The endpoint.
        key: EndpointKey,
        /// Its record.
        path: PathBuf,
    },
    /// The endpoint is attached already.
    #[error("endpoint {key}: is attached already ({})", path.display())]
    AlreadyAttached {
        /// The endpoint.
        key: EndpointKey,
        /// Its record.
        path: PathBuf,
    },
    /// The record of an endpoint is missing.
    #[error("endpoint {key}: has no record {}; another process removed it", path.display())]
    NoRecord {
        /// The endpoint.
        key: EndpointKey,
        /// The expected path.
        path: PathBuf,
    },
    /// A link of that id is being made or removed.
    #[error("link {}: is being made or unmade; run zubi gc", path.display())]
    LinkThere {
        /// Its record.
        path: PathBuf,
    },
    /// The record of a link is missing.
    #[error("link {}: is not there; another process removed it", path.display())]
    NoLink {
        /// The expected path.
        path: PathBuf,
    },
    /// The owner has a reservation on the network.
    #[error("network {network}: {owner} has a reservation already ({})", path.display())]
    AlreadyReserved {
        /// The network.
        network: NetworkName,
        /// The owner.
        owner: String,
        /// Its record.
        path: PathBuf,
    },
    /// A network cannot be forgotten: endpoints own addresses or MACs on it.
    #[error(
        "network {network}: {count} addresses or MACs on it are still owned, the first by endpoint {owner}; \
         nothing was changed; detach the endpoints or run zubi gc"
    )]
    StillOwned {
        /// The network.
        network: NetworkName,
        /// The number of addresses and MACs.
        count: usize,
        /// One of the owners.
        owner: EndpointKey,
    },
}

impl StoreError {
    /// An unreadable file that has to be restored or moved away.
    pub(crate) fn unreadable(path: &Path, why: &str) -> Self {
        let next = "restore the file or move it away".into();
        StoreError::Unreadable { path: path.to_owned(), why: why.to_owned(), next }
    }

    /// Adds another next step to the error.
    pub(crate) fn and_next(mut self, further: &str) -> Self {
        if let StoreError::Unreadable { next, .. } = &mut self {
            *next = format!("{next}; {further}");
        }
        self
    }
}

/// The holders of a lock, and the next step.
fn held(waited: Duration, holders: &[Holder]) -> String {
    let waited = format!("waited {} s for it", waited.as_secs());
    if holders.is_empty() {
        return format!("{waited}, and /proc/locks does not show its holder; try again");
    }
    let names: Vec<String> = holders.iter().map(ToString::to_string).collect();
    let stopped: Vec<String> = holders.iter().filter(|h| h.is_stopped()).map(|h| h.pid.to_string()).collect();
    let next = if stopped.is_empty() {
        "try again when it has ended".to_owned()
    } else {
        format!("kill -CONT {} lets it go on", stopped.join(" "))
    };
    format!("{waited}: {} has it; {next}", names.join(", "))
}

/// The next step for an error of the operating system, if there is one.
fn next_step(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            "; run as root, work inside `zubi lab`, or choose other folders with --run-dir and --state-dir"
        }
        ErrorKind::ReadOnlyFilesystem => "; choose other folders with --run-dir and --state-dir",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free space on that file system; nothing was changed",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(kind: ErrorKind) -> String {
        StoreError::Io { doing: "write", path: "/run/zubi/host.json".into(), source: kind.into() }.to_string()
    }

    #[test]
    fn errors_of_the_system_come_with_the_next_step() {
        assert_eq!(
            said(ErrorKind::PermissionDenied),
            "write /run/zubi/host.json: permission denied; run as root, work inside `zubi lab`, \
             or choose other folders with --run-dir and --state-dir"
        );
        assert!(said(ErrorKind::StorageFull).ends_with("; free space on that file system; nothing was changed"));
        assert!(said(ErrorKind::ReadOnlyFilesystem).contains("--state-dir"));
    }
}
