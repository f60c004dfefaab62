//! Errors of the kernel edge.

use std::io;
use zubi_wire::KernelError;

/// An error of the kernel edge: object, operation, the kernel's own words.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{operation} {object}: {}", words(source))]
    System {
        /// "open", "mount", ...
        operation: &'static str,
        /// The object of the operation.
        object: String,
        /// The system's words.
        source: io::Error,
    },
    /// The kernel refused a netlink request.
    #[error("{object}: {source}{}", hint.map(|h| format!("; {h}")).unwrap_or_default())]
    Netlink {
        /// The request in words.
        object: String,
        /// The kernel's words.
        source: KernelError,
        /// The likely cause or the next step.
        hint: Option<&'static str>,
    },
    /// Changes interrupted every attempt of a dump.
    #[error("reading {object}: the kernel's tables changed during each of {tries} attempts")]
    Unsteady {
        /// The list that was read.
        object: &'static str,
        /// How often it was read.
        tries: u32,
    },
    /// The file is no network namespace, or not the wanted one.
    #[error("sandbox {path}: {why}")]
    NotASandbox {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another object has the name.
    #[error("{object}: something else is there already: {found}")]
    Conflict {
        /// The object that was to be made.
        object: String,
        /// The object that has the name.
        found: String,
    },
    /// Our nftables table, or a set of it, is missing: another program flushed it.
    #[error("{object}: the firewall table inet zubi is not there or not whole; zubi repair puts it back")]
    LayoutMissing {
        /// The element that was to be added.
        object: String,
    },
    /// Another program changed the ruleset since the place of a guest rule was read.
    #[error("{object}: another program changed the firewall rules meanwhile; try again")]
    ForeignRulesChanged {
        /// The operation.
        object: String,
    },
    /// Open vSwitch does not answer, or refuses.
    #[error("{object}: {why}")]
    Ovs {
        /// What was asked of it.
        object: String,
        /// Its words, with the next step.
        why: String,
    },
    /// A device that an operation needs is missing.
    #[error("device {name} is not there")]
    NoDevice {
        /// Its name.
        name: String,
    },
    /// The program's file gives its callers rights that they do not have.
    #[error(
        "the program has a setuid or setgid bit or file capabilities; with them its caller could write anywhere as root: \
         remove them (chmod u-s,g-s; setcap -r), and run it as root or, for trying, in `zubi lab`"
    )]
    BorrowedRights,
    /// The kernel did not answer a request.
    #[error("{object}: the kernel gave no answer")]
    NoAnswer {
        /// The request in words.
        object: String,
    },
    /// A snapshot lacks a part that a comparison needs.
    #[error(transparent)]
    NotRead(#[from] zubi_snapshot::NotRead),
    /// A test asked for this failure.
    #[error("{0}: failure asked for by a test")]
    Injected(String),
}

fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

impl Error {
    /// A failed system call.
    pub fn system(operation: &'static str, object: impl std::fmt::Display, source: io::Error) -> Self {
        Error::System { operation, object: object.to_string(), source }
    }

    /// The kernel's error number, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::System { source, .. } => source.raw_os_error(),
            Error::Netlink { source, .. } => Some(source.errno),
            _ => None,
        }
    }

    /// Whether it says that the object is missing.
    pub fn is_missing(&self) -> bool {
        matches!(self, Error::NoDevice { .. })
            || matches!(self.errno(), Some(libc::ENODEV | libc::ENOENT | libc::ESRCH))
    }
}
