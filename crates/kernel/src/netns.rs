//! Network namespaces: opened once, checked, entered for a moment.

use crate::error::Error;
use crate::sys;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Where the calling thread's own namespace is.
const OWN: &str = "/proc/thread-self/ns/net";

/// An open network namespace.
#[derive(Debug)]
pub struct Netns {
    file: File,
    inode: (u64, u64),
}

impl Netns {
    /// The calling thread's.
    pub fn own() -> Result<Self, Error> {
        let file = File::open(OWN).map_err(|e| Error::system("open", OWN, e))?;
        Self::identified(file, Path::new(OWN))
    }

    /// Opens a namespace file: a network namespace, and not `host`'s. Never waits, whatever the path leads to.
    pub fn open(path: &Path, host: &Netns) -> Result<Self, Error> {
        let netns = Self::open_any(path)?;
        if netns.inode == host.inode {
            let why = "is the host's own network namespace".into();
            return Err(Error::NotASandbox { path: path.display().to_string(), why });
        }
        Ok(netns)
    }

    /// The same, be it the host's.
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

    /// Whether device and inode of a namespace file are this one's.
    pub(crate) fn is(&self, inode: (u64, u64)) -> bool {
        self.inode == inode
    }

    /// For `IFLA_NET_NS_FD`.
    pub fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Runs `work` inside, and comes back.
    ///
    /// # Panics
    /// When the way back fails: the thread is in the wrong namespace and must not go on. In a release, where a panic
    /// aborts, the whole program ends, which is right for a command: its records tell the next one what to undo. A
    /// resident process must not call this on a thread that it shares with others; it leaves such work to a process of
    /// its own.
    pub fn within<T>(&self, home: &Netns, work: impl FnOnce() -> T) -> Result<T, Error> {
        sys::enter_netns(self.file.as_fd()).map_err(|e| Error::system("enter", "network namespace", e))?;
        let back = Return { home };
        let result = work();
        drop(back);
        Ok(result)
    }

    /// Moves the calling thread inside for good.
    pub fn enter(&self) -> Result<(), Error> {
        sys::enter_netns(self.file.as_fd()).map_err(|e| Error::system("enter", "network namespace", e))
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Brings the thread home, also when the work inside panics.
struct Return<'a> {
    home: &'a Netns,
}

impl Drop for Return<'_> {
    fn drop(&mut self) {
        if let Err(e) = sys::enter_netns(self.home.file.as_fd()) {
            // Going on would change a stranger's namespace. See `Netns::within`.
            panic!("cannot return to the host's network namespace: {e}");
        }
    }
}
