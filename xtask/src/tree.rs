//! A folder whose files depend on nothing but what is put into them: modes and times are fixed.

use crate::error::Error;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A folder for one package or archive.
#[derive(Debug)]
pub(crate) struct Tree {
    folder: PathBuf,
}

/// What a file's mode says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Text,
    Program,
}

impl Tree {
    /// An empty folder; what was there is removed.
    pub(crate) fn new(folder: &Path) -> Result<Tree, Error> {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(in_file(folder))?;
        }
        fs::create_dir_all(folder).map_err(in_file(folder))?;
        Ok(Tree { folder: folder.to_owned() })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file.
    pub(crate) fn put(&self, name: &str, content: &[u8], mode: Mode) -> Result<(), Error> {
        let path = self.folder.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(in_file(folder))?;
        }
        fs::write(&path, content).map_err(in_file(&path))?;
        let mode = if mode == Mode::Program { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).map_err(in_file(&path))
    }

    /// The paths of all files below the folder, sorted.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut all = Vec::new();
        self.each(&mut |path, is_folder| {
            if !is_folder {
                all.push(path.strip_prefix(&self.folder).unwrap_or(path).to_owned());
            }
            Ok(())
        })?;
        all.sort();
        Ok(all)
    }

    /// Gives everything this time, in seconds since 1970, and folders their mode, whatever the umask is.
    pub(crate) fn settle(&self, seconds: u64) -> Result<(), Error> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        self.each(&mut |path, is_folder| {
            if is_folder {
                fs::set_permissions(path, Permissions::from_mode(0o755)).map_err(in_file(path))?;
            }
            File::open(path).and_then(|file| file.set_modified(time)).map_err(in_file(path))
        })
    }

    /// Visits everything, a folder behind what is in it.
    fn each(&self, visit: &mut dyn FnMut(&Path, bool) -> Result<(), Error>) -> Result<(), Error> {
        fn below(folder: &Path, visit: &mut dyn FnMut(&Path, bool) -> Result<(), Error>) -> Result<(), Error> {
            for entry in fs::read_dir(folder).map_err(in_file(folder))? {
                let path = entry.map_err(in_file(folder))?.path();
                if path.is_dir() {
                    below(&path, visit)?;
                } else {
                    visit(&path, false)?;
                }
            }
            visit(folder, true)
        }
        below(&self.folder, visit)
    }
}

fn in_file(path: &Path) -> impl FnOnce(std::io::Error) -> Error + '_ {
    |source| Error::File { path: path.to_owned(), source }
}
