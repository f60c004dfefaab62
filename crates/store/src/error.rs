//! What can go wrong with files.

use crate::Holder;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zubi_model::{EndpointKey, NetworkName};

/// Why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{doing} {}: {source}{}", path.display(), next_step(source))]
    Io {
        /// The operation: "write", "lock".
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's own words.
        source: io::Error,
    },
    /// A file is there but does not say what it should.
    #[error("{}: {why}; nothing was changed; {next}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        next: String,
    },
    /// Somebody else could change what is recorded.
    #[error(
        "{}: {why}, and so could change what zubi does; nothing was changed; {next}, or choose other folders with \
         --run-dir and --state-dir",
        path.display()
    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Who can change it.
        why: String,
        /// What to do.
        next: String,
    },
    /// A lock that did not come free.
    #[error("lock {}: {}", path.display(), held(*waited, holders))]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
        /// Who has it, as far as the kernel tells.
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
        /// The newest that can be read.
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
        /// Cookie of the namespace it belongs to.
        theirs: u64,
        /// Cookie of the namespace we are in.
        ours: u64,
    },
    /// The endpoint is being attached or detached, or was when its process died.
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
    /// The record that should be moved on is gone.
    #[error("endpoint {key}: has no record {}; another process removed it", path.display())]
    NoRecord {
        /// The endpoint.
        key: EndpointKey,
        /// Where it should be.
        path: PathBuf,
    },
    /// A link of that number is being made or unmade.
    #[error("link {}: is being made or unmade; run zubi gc", path.display())]
    LinkThere {
        /// Its record.
        path: PathBuf,
    },
    /// The record of a link that should be moved on is gone.
    #[error("link {}: is not there; another process removed it", path.display())]
    NoLink {
        /// Where it should be.
        path: PathBuf,
    },
    /// A network cannot be forgotten while endpoints own addresses or MACs on it.
    #[error(
        "network {network}: {count} addresses or MACs on it are still owned, the first by endpoint {owner}; \
         nothing was changed; detach the endpoints or run zubi gc"
    )]
    StillOwned {
        /// The network.
        network: NetworkName,
        /// How many.
        count: usize,
        /// One of the owners.
        owner: EndpointKey,
    },
}

impl StoreError {
    /// A file that is there but does not say what it should, where nothing but another file helps.
    pub(crate) fn unreadable(path: &Path, why: &str) -> Self {
        let next = "restore the file or move it away".into();
        StoreError::Unreadable { path: path.to_owned(), why: why.to_owned(), next }
    }

    /// The same error, with a further thing to do about a file that cannot be read.
    pub(crate) fn and_next(mut self, further: &str) -> Self {
        if let StoreError::Unreadable { next, .. } = &mut self {
            *next = format!("{next}; {further}");
        }
        self
    }
}

/// Who has a lock, and what to do about that.
fn held(waited: Duration, holders: &[Holder]) -> String {
    let waited = format!("waited {} s for it", waited.as_secs());
    if holders.is_empty() {
        return format!("{waited}, and /proc/locks does not say who has it; try again");
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

/// What to do about an error of the operating system, where we know.
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
