//! Network namespaces: opened once, checked, entered for a moment.

use crate::error::Error;
use crate::sys;
use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// Where the calling thread's own namespace is.
pub(crate) const OWN: &str = "/proc/thread-self/ns/net";
/// How often, and after what time, a thread tries to leave a namespace again.
const RETURN_TRIES: u32 = 100;
const RETURN_PAUSE: Duration = Duration::from_millis(10);

/// Device and inode number of a namespace file.
type Inode = (u64, u64);

thread_local! {
    /// The namespace that the calling thread was in, and how often it had been moved until then: to ask the kernel
    /// takes 3 us.
    static HERE: Cell<Option<(u64, Inode)>> = const { Cell::new(None) };
}

/// An open network namespace.
#[derive(Debug)]
pub struct Netns {
    file: File,
    inode: Inode,
}

impl Netns {
    /// The calling thread's.
    pub fn own() -> Result<Self, Error> {
        let file = File::open(OWN).map_err(|e| Error::system("open", OWN, e))?;
        Self::identified(file, Path::new(OWN))
    }

    /// Opens a namespace file: a network namespace other than `host`'s. Never waits, whatever the path leads to.
    pub fn open(path: &Path, host: &Netns) -> Result<Self, Error> {
        let netns = Self::open_any(path)?;
        if netns.inode == host.inode {
            let why = "is the host's own network namespace".into();
            return Err(Error::NotASandbox { path: path.display().to_string(), why });
        }
        Ok(netns)
    }

    /// Opens a namespace file, the host's too.
    pub(crate) fn open_any(path: &Path) -> Result<Self, Error> {
        let refuse = |why: String| Error::NotASandbox { path: path.display().to_string(), why };
        // A FIFO without a writer would block a plain open.
        let file =
            OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).map_err(|e| {
                match e.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => refuse("does not exist".into()),
                    _ => Error::system("open", path.display(), e),
                }
            })?;
        let meta = file.metadata().map_err(|e| Error::system("examine", path.display(), e))?;
        let kind = meta.file_type();
        match sys::namespace_kind(file.as_fd()) {
            Ok(libc::CLONE_NEWNET) => {}
            Ok(_) => return Err(refuse("is a namespace of another kind, not a network namespace".into())),
            Err(_) if kind.is_dir() => return Err(refuse("is a directory, not a network namespace".into())),
            Err(_) if kind.is_fifo() => return Err(refuse("is a FIFO, not a network namespace".into())),
            Err(_) => return Err(refuse("is a plain file, not a network namespace".into())),
        }
        Self::identified(file, path)
    }

    fn identified(file: File, path: &Path) -> Result<Self, Error> {
        let meta = file.metadata().map_err(|e| Error::system("examine", path.display(), e))?;
        Ok(Netns { file, inode: (meta.dev(), meta.ino()) })
    }

    /// Whether a namespace file with this device and inode number leads to it.
    pub(crate) fn is(&self, inode: Inode) -> bool {
        self.inode == inode
    }

    /// For `IFLA_NET_NS_FD`.
    pub fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Runs `work` inside, and brings the thread back to the namespace it was in, most often `home`.
    ///
    /// # Panics
    /// When the thread cannot leave for a second: it must not go on in the wrong namespace. The kernel refuses only for
    /// want of memory, or because the thread gave up `CAP_SYS_ADMIN` meanwhile. In a release a panic ends the process,
    /// also a resident one. The alternatives are worse: an error would let the thread go on, a thread for every visit
    /// costs more than the work, and no thread can be ended alone where panics abort. The records of a process that
    /// ended name what the next command has to undo.
    pub fn within<T>(&self, home: &Netns, work: impl FnOnce() -> T) -> Result<T, Error> {
        if self.is_here()? {
            return Ok(work());
        }
        home.and_back(|| self.enter(), work)
    }

    /// The same in a namespace that is made for it.
    pub(crate) fn within_new<T>(home: &Netns, work: impl FnOnce() -> T) -> Result<T, Error> {
        let make = || sys::unshare(sys::Namespaces::NET).map_err(|e| Error::system("make", "network namespace", e));
        home.and_back(make, work)
    }

    fn and_back<T>(&self, leave: impl FnOnce() -> Result<(), Error>, work: impl FnOnce() -> T) -> Result<T, Error> {
        let elsewhere = if self.is_here()? { None } else { Some(Netns::own()?) };
        leave()?;
        let back = Return { to: elsewhere.as_ref().unwrap_or(self) };
        let result = work();
        drop(back);
        Ok(result)
    }

    /// Moves the calling thread inside for good.
    pub fn enter(&self) -> Result<(), Error> {
        sys::enter_netns(self.file.as_fd()).map_err(|e| Error::system("enter", "network namespace", e))?;
        HERE.set(Some((sys::netns_moves(), self.inode)));
        Ok(())
    }

    /// Whether the calling thread is inside.
    fn is_here(&self) -> Result<bool, Error> {
        let moves = sys::netns_moves();
        let here = match HERE.get() {
            Some((known_at, inode)) if known_at == moves => inode,
            _ => {
                let meta = std::fs::metadata(OWN).map_err(|e| Error::system("examine", OWN, e))?;
                let inode = (meta.dev(), meta.ino());
                HERE.set(Some((moves, inode)));
                inode
            }
        };
        Ok(self.is(here))
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Brings the thread back, also when the work inside panics.
struct Return<'a> {
    to: &'a Netns,
}

impl Drop for Return<'_> {
    fn drop(&mut self) {
        let mut failure = None;
        for _ in 0..RETURN_TRIES {
            match self.to.enter() {
                Ok(()) => return,
                Err(e) => failure = Some(e),
            }
            std::thread::sleep(RETURN_PAUSE);
        }
        let words = failure.map(|e| e.to_string()).unwrap_or_default();
        panic!("cannot return to the host's network namespace: {words}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_knows_where_it_is_however_often_it_asks() {
        let own = Netns::own().unwrap();
        assert!(own.is_here().unwrap() && own.is_here().unwrap());
        assert_eq!(own.within(&own, || 17).unwrap(), 17);
        // A namespace file of another kind has another inode number.
        let other = Netns { file: File::open("/proc/self/ns/mnt").unwrap(), inode: (0, 0) };
        assert!(!other.is_here().unwrap());
    }
}
