//! What commands do, as the folders of records show it.
//!
//! # How it works
//! A record is complete before it is visible, and the kernel queues the event of inotify(7) while the command renames
//! it. So a reader that has emptied the queue knows every record that was complete by then.

use crate::context::Context;
use crate::error::Error;
use inotify::{Inotify, WatchMask};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use zubi_model::PartState;

const WATCH: &str = "watch on the records";

/// Records that come, go, or are replaced in a folder.
pub(crate) fn of_folder() -> WatchMask {
    WatchMask::MOVED_FROM | WatchMask::MOVED_TO | WatchMask::DELETE | WatchMask::CREATE | WatchMask::ONLYDIR
}

/// A queue of what happens in these folders.
pub(crate) fn watching(folders: &[PathBuf]) -> Result<Inotify, Error> {
    let inotify = Inotify::init().map_err(Error::system(WATCH, "make"))?;
    for folder in folders {
        let object = format!("folder {}", folder.display());
        inotify.watches().add(folder, of_folder()).map_err(Error::system(object, "watch"))?;
    }
    Ok(inotify)
}

/// The number of changes so far. A part that receives it looks again when it grows.
pub(crate) type Changes = watch::Receiver<u64>;

/// Watches folders until the daemon ends.
pub(crate) struct Watch {
    events: Receiver,
    changes: watch::Sender<u64>,
}

impl Watch {
    pub(crate) fn new(folders: &[PathBuf]) -> Result<Self, Error> {
        let inotify = OwnedFd::from(watching(folders)?);
        // Not a pipe, but read and waited for as one.
        let events = Receiver::from_owned_fd_unchecked(inotify).map_err(Error::system(WATCH, "begin"))?;
        Ok(Watch { events, changes: watch::Sender::new(0) })
    }

    /// Wakes its receivers at each change.
    pub(crate) fn changes(&self) -> Changes {
        self.changes.subscribe()
    }

    pub(crate) async fn run(self, mut context: Context) {
        let mut buffer = [0; 4096];
        loop {
            let ready = tokio::select! {
                () = context.ended() => return,
                ready = self.events.readable() => ready,
            };
            match ready.and_then(|()| self.events.try_read(&mut buffer)) {
                // What changed is for the records to say.
                Ok(_) => self.changes.send_modify(|count| *count += 1),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => {
                    context.board.tell("records", PartState::Failing, format!("read changes: {e}"));
                    return;
                }
            }
        }
    }
}
