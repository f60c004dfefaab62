//! The class of an error: the exit code of the command line.

use crate::error::Error;

/// The kind of a failure. The numbers are stable: they are the command's exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// `check` found something.
    Problems = 1,
    /// The request is invalid.
    Usage = 2,
    /// An object that the request names does not exist.
    NotFound = 3,
    /// Another object or program is in the way.
    Conflict = 4,
    /// No address, subnet or bridge port is left.
    Exhausted = 5,
    /// A capability is missing.
    Privilege = 6,
    /// The kernel refused; everything was undone unless the error says otherwise.
    Kernel = 7,
    /// A record cannot be read or written.
    State = 8,
}

/// Exit codes of shells (POSIX, Shell Command Language, 2.8.2).
const NO_SUCH_PROGRAM: u8 = 127;
const NOT_TO_BE_RUN: u8 = 126;

impl Class {
    /// The class for an exit code.
    fn of_code(code: u8) -> Class {
        let all = [
            Class::Problems,
            Class::Usage,
            Class::NotFound,
            Class::Conflict,
            Class::Exhausted,
            Class::Privilege,
            Class::State,
        ];
        all.into_iter().find(|class| *class as u8 == code).unwrap_or(Class::Kernel)
    }

    /// The word for it in JSON errors.
    pub fn word(self) -> &'static str {
        match self {
            Class::Problems => "problems",
            Class::Usage => "usage",
            Class::NotFound => "not-found",
            Class::Conflict => "conflict",
            Class::Exhausted => "exhausted",
            Class::Privilege => "privilege",
            Class::Kernel => "kernel",
            Class::State => "state",
        }
    }
}

impl Error {
    /// The class of this error.
    pub fn class(&self) -> Class {
        use zubi_runtimes::RuntimeError;
        match self {
            Error::Invalid(_)
            | Error::Ambiguous { .. }
            | Error::OtherKind { .. }
            | Error::Config { .. }
            | Error::Runtime(RuntimeError::Name(_) | RuntimeError::Ambiguous { .. }) => Class::Usage,
            Error::NoReservation { .. }
            | Error::NoNetwork { .. }
            | Error::NoLink { .. }
            | Error::NoSandbox { .. }
            | Error::NoDevice { .. }
            | Error::NoProcess { .. }
            | Error::NotASandbox(_)
            | Error::NotPublished { .. }
            | Error::NotConnected { .. }
            | Error::NoFile { .. }
            | Error::Program { .. }
            | Error::Relayed { code: NO_SUCH_PROGRAM, .. }
            | Error::Runtime(_) => Class::NotFound,
            Error::NetworkExists { .. }
            | Error::NetworkInUse { .. }
            | Error::CarriesNetwork { .. }
            | Error::DefaultInUse { .. }
            | Error::ForeignAddress { .. }
            | Error::AddressWanted { .. }
            | Error::NoDhcp { .. }
            | Error::Fixed { .. }
            | Error::Described { .. }
            | Error::Reserved { .. }
            | Error::ReservationInUse { .. }
            | Error::HandedOver { .. }
            | Error::NoBridge { .. }
            | Error::NoOvsBridge { .. }
            | Error::OvsBridge { .. }
            | Error::Card { .. }
            | Error::BridgeOfHost { .. }
            | Error::NoCard { .. }
            | Error::DefaultRouteStays { .. }
            | Error::Unconfirmed { .. }
            | Error::NothingToConfirm { .. }
            | Error::ScopeInUse { .. }
            | Error::Overlap { .. }
            | Error::AddressTaken { .. }
            | Error::MacTaken { .. }
            | Error::PortTaken { .. }
            | Error::Broken { .. }
            | Error::DeviceTaken { .. }
            | Error::NotTaken { .. }
            | Error::Different { .. }
            | Error::EndTaken { .. }
            | Error::LinkAddressTaken { .. }
            | Error::LinkDiffers { .. }
            | Error::SandboxExists { .. }
            | Error::SandboxInUse { .. }
            | Error::NameMoved { .. }
            | Error::FileInTheWay { .. }
            | Error::ForeignTable { .. }
            | Error::OtherInstance { .. }
            | Error::Busy { .. }
            | Error::Store(zubi_store::StoreError::Locked { .. }) => Class::Conflict,
            Error::NoSubnet { .. } | Error::Exhausted { .. } | Error::BridgeFull { .. } | Error::NoLease { .. } => {
                Class::Exhausted
            }
            Error::Privilege { .. } => Class::Privilege,
            Error::Kernel { source, .. } => kernel_class(source),
            Error::Plan { failed, .. } => kernel_class(&failed.error),
            Error::Relayed { code, .. } => Class::of_code(*code),
            Error::Leftover { .. } | Error::Silent { .. } | Error::Daemon { .. } => Class::Kernel,
            Error::Store(_) | Error::RecordsLost { .. } | Error::Output { .. } => Class::State,
            Error::Undo { cause, .. } | Error::Advised { cause, .. } => cause.class(),
        }
    }

    /// The exit code: the class, except that a program that could not be run gives 127 or 126, as in a shell.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Program { source, .. } if source.kind() == std::io::ErrorKind::NotFound => NO_SUCH_PROGRAM,
            Error::Program { .. } => NOT_TO_BE_RUN,
            Error::Relayed { code, .. } => *code,
            Error::Undo { cause, .. } | Error::Advised { cause, .. } => cause.exit_code(),
            _ => self.class() as u8,
        }
    }
}

fn kernel_class(error: &zubi_kernel::Error) -> Class {
    match error {
        zubi_kernel::Error::NotASandbox { .. } => Class::NotFound,
        zubi_kernel::Error::Conflict { .. } | zubi_kernel::Error::Ovs { .. } => Class::Conflict,
        e if matches!(e.errno(), Some(libc::EPERM | libc::EACCES)) => Class::Privilege,
        // The bridge has reached the kernel's limit of ports, and other programs made some of them.
        e if e.errno() == Some(libc::EXFULL) => Class::Exhausted,
        _ => Class::Kernel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> Error {
        Error::SandboxExists { name: "c1".parse().unwrap() }
    }

    #[test]
    fn an_error_whose_undo_fails_names_both_and_keeps_its_class() {
        let undo = Error::Busy { object: "sandbox c2".into() };
        let both = cause().after_undo(Err(undo));
        assert_eq!((both.class(), both.exit_code()), (Class::Conflict, Class::Conflict as u8));
        let words = both.to_string();
        assert!(words.starts_with("sandbox c1 exists already; "), "{words}");
        assert!(words.contains("sandbox c2 is being changed"), "{words}");
    }

    #[test]
    fn an_error_whose_undo_works_is_shown_alone() {
        assert_eq!(cause().after_undo(Ok(())).to_string(), cause().to_string());
    }

    #[test]
    fn a_relayed_error_has_the_class_of_its_code() {
        let class = |code| Error::Relayed { words: String::new(), code }.class();
        assert_eq!([class(127), class(126), class(4)], [Class::NotFound, Class::Kernel, Class::Conflict]);
    }
}
