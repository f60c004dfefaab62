//! A socket at a path of the file system.

use crate::error::Error;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// The socket, until it is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes the socket and its folder. One that nobody listens at is replaced.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let object = || format!("socket {}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::system(object(), "make the folder"))?;
        }
        match UnixStream::connect(path) {
            Ok(_) => {
                let taken = std::io::Error::new(ErrorKind::AddrInUse, "another program listens there");
                return Err(Error::system(object(), "make")(taken));
            }
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(Error::system(object(), "remove"))?;
            }
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(Error::system(object(), "make"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(Error::system(object(), "chmod"))?;
        Ok(Socket { listener, path: path.to_owned() })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}
