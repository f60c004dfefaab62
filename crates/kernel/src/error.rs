//! What goes wrong at the kernel edge.

use std::io;
use zubi_wire::KernelError;

/// An error of the kernel edge. Names the object and the operation, and carries the kernel's own words.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{operation} {object}: {}", words(source))]
    System {
        /// "open", "mount", ...
        operation: &'static str,
        /// On what.
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
    /// A dump was interrupted by changes again and again.
    #[error("reading {object}: the kernel's tables changed during each of {tries} attempts")]
    Unsteady {
        /// What was read.
        object: &'static str,
        /// How often.
        tries: u32,
    },
    /// The namespace file is none, or the wrong one.
    #[error("sandbox {path}: {why}")]
    NotASandbox {
        /// As given.
        path: String,
        /// Why.
        why: String,
    },
    /// Something else of that name is there.
    #[error("{object}: something else is there already: {found}")]
    Conflict {
        /// What was to be made.
        object: String,
        /// What was found.
        found: String,
    },
    /// Our nftables table, or a set of it, is not there: somebody flushed it.
    #[error("{object}: the firewall table inet zubi is not there or not whole; zubi repair puts it back")]
    LayoutMissing {
        /// What was to be added.
        object: String,
    },
    /// Another program changed its firewall while we were about to add to it or take from it.
    #[error("{object}: another program changed the firewall rules meanwhile; try again")]
    StrangersChanged {
        /// What was to be done.
        object: String,
    },
    /// A device that has to be there is not.
    #[error("device {name} is not there")]
    NoDevice {
        /// Its name.
        name: String,
    },
    /// The program's file gives rights to its callers.
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

    /// The kernel's number of it, where there is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::System { source, .. } => source.raw_os_error(),
            Error::Netlink { source, .. } => Some(source.errno),
            _ => None,
        }
    }

    /// Whether it says that something is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Error::NoDevice { .. })
            || matches!(self.errno(), Some(libc::ENODEV | libc::ENOENT | libc::ESRCH))
    }
}
