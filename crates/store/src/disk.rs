//! Single changes of files, each reported to the observer.

use crate::StoreError;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// The prefix of the name of every incomplete file.
const TEMPORARY: &str = ".tmp-";

/// The mode of every file: no other user reads or changes the records of a root program.
pub(crate) const FILE_MODE: u32 = 0o600;
/// The mode of every folder.
const FOLDER_MODE: u32 = 0o700;

/// How often a writer starts again because another process has removed the folder of its file.
const MOST_ROUNDS: usize = 64;

pub(crate) type Observer = Box<dyn Fn(&str) -> io::Result<()> + Send + Sync>;

/// Whether a change must survive a power failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// No: it is only a hint, and its changes are not reported.
    Hint,
    /// No: it belongs to this boot.
    Boot,
    /// Yes.
    Forever,
}

/// Outcome of making a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creation {
    Created,
    AlreadyThere,
}

/// The two folders, and the observer of changes in them.
pub(crate) struct Disk {
    state: PathBuf,
    run: PathBuf,
    observer: Option<Observer>,
}

impl Disk {
    pub(crate) fn new(state: PathBuf, run: PathBuf) -> Self {
        Disk { state, run, observer: None }
    }

    pub(crate) fn observed_by(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn run(&self) -> &Path {
        &self.run
    }

    /// Reports a change of `path` to the observer.
    pub(crate) fn step(&self, what: &'static str, path: &Path) -> Result<(), StoreError> {
        let Some(observer) = &self.observer else { return Ok(()) };
        let short = path.strip_prefix(&self.run).or_else(|_| path.strip_prefix(&self.state)).unwrap_or(path);
        let short = if short.as_os_str().is_empty() { Path::new(".") } else { short };
        observer(&format!("{what} {}", short.display())).map_err(failed(what, path))
    }

    fn step_of(&self, what: &'static str, path: &Path, durability: Durability) -> Result<(), StoreError> {
        if durability == Durability::Hint { Ok(()) } else { self.step(what, path) }
    }

    /// Makes a file unless there is one.
    pub(crate) fn create(&self, path: &Path, content: &[u8]) -> Result<Creation, StoreError> {
        for _ in 0..MOST_ROUNDS {
            let temporary = self.write_temporary(path, content, Durability::Boot)?;
            match fs::hard_link(&temporary.0, path) {
                Ok(()) => return self.step("link", path).map(|()| Creation::Created),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(Creation::AlreadyThere),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(failed("link", path)(e)),
            }
        }
        Err(failed("link", path)(ErrorKind::NotFound.into()))
    }

    /// Makes a symbolic link unless there is one.
    pub(crate) fn link(&self, path: &Path, target: &str) -> Result<Creation, StoreError> {
        for _ in 0..MOST_ROUNDS {
            match std::os::unix::fs::symlink(target, path) {
                Ok(()) => return self.step("link", path).map(|()| Creation::Created),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(Creation::AlreadyThere),
                Err(e) if e.kind() == ErrorKind::NotFound => self.make_folder(parent(path), Durability::Boot)?,
                Err(e) => return Err(failed("link", path)(e)),
            }
        }
        Err(failed("link", path)(ErrorKind::NotFound.into()))
    }

    /// Makes a symbolic link or replaces the existing one.
    pub(crate) fn relink(&self, path: &Path, target: &str) -> Result<(), StoreError> {
        for _ in 0..MOST_ROUNDS {
            let temporary = Temporary(temporary_name(parent(path)));
            match std::os::unix::fs::symlink(target, &temporary.0).and_then(|()| fs::rename(&temporary.0, path)) {
                Ok(()) => {
                    temporary.became_permanent();
                    return self.step("rename", path);
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) if e.kind() == ErrorKind::NotFound => self.make_folder(parent(path), Durability::Boot)?,
                Err(e) => return Err(failed("rename", path)(e)),
            }
        }
        Err(failed("rename", path)(ErrorKind::NotFound.into()))
    }

    /// Makes a file or replaces the existing one.
    pub(crate) fn replace(&self, path: &Path, content: &[u8], durability: Durability) -> Result<(), StoreError> {
        let temporary = self.write_temporary(path, content, durability)?;
        self.put(temporary, path, content, durability)?;
        self.sync_above(path, durability)
    }

    /// Writes a file that [`Disk::publish`] makes visible.
    pub(crate) fn draft(&self, path: PathBuf, content: Vec<u8>, durability: Durability) -> Result<Draft, StoreError> {
        let temporary = self.write_temporary(&path, &content, durability)?;
        Ok(Draft { path, content, durability, temporary })
    }

    /// Makes a draft visible. Survives a power failure only after [`Disk::sync_above`].
    pub(crate) fn publish(&self, draft: Draft) -> Result<(), StoreError> {
        self.put(draft.temporary, &draft.path, &draft.content, draft.durability)
    }

    fn put(
        &self,
        mut temporary: Temporary,
        path: &Path,
        content: &[u8],
        durability: Durability,
    ) -> Result<(), StoreError> {
        for _ in 0..MOST_ROUNDS {
            match fs::rename(&temporary.0, path) {
                Ok(()) => {
                    temporary.became_permanent();
                    return self.step_of("rename", path, durability);
                }
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    temporary = self.write_temporary(path, content, durability)?;
                }
                Err(e) => return Err(failed("rename", path)(e)),
            }
        }
        Err(failed("rename", path)(ErrorKind::NotFound.into()))
    }

    /// Syncs the folder of a file whose name has to survive a power failure.
    pub(crate) fn sync_above(&self, path: &Path, durability: Durability) -> Result<(), StoreError> {
        match durability {
            Durability::Forever => self.sync_folder(parent(path)),
            Durability::Boot | Durability::Hint => Ok(()),
        }
    }

    /// Gives the file at `path` a second name, which replaces an earlier file of that name; `false` when there is no
    /// file.
    pub(crate) fn keep(&self, path: &Path, name: &Path) -> Result<bool, StoreError> {
        // A crash after this loses only the earlier file of that name.
        self.remove(name, Durability::Boot)?;
        match fs::hard_link(path, name) {
            Ok(()) => self.step("link", name).map(|()| true),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            // link(2): EPERM from a file system without hard links.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => {
                let Some(content) = read(path)? else { return Ok(false) };
                self.replace(name, &content, Durability::Boot).map(|()| true)
            }
            Err(e) => Err(failed("link", name)(e)),
        }
    }

    /// Renames; `false` when there is nothing to rename.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<bool, StoreError> {
        for _ in 0..MOST_ROUNDS {
            match fs::rename(from, to) {
                Ok(()) => return self.step("rename", to).map(|()| true),
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed("rename", to)(e)),
                Err(_) if !exists(from)? => return Ok(false),
                Err(_) => self.make_folder(parent(to), Durability::Boot)?,
            }
        }
        Err(failed("rename", to)(ErrorKind::NotFound.into()))
    }

    /// Removes a file; `false` when there is none.
    pub(crate) fn remove(&self, path: &Path, durability: Durability) -> Result<bool, StoreError> {
        match fs::remove_file(path) {
            Ok(()) => {
                self.step_of("unlink", path, durability)?;
                self.sync_above(path, durability)?;
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            // On a read-only file system unlink(2) fails with EROFS whether the file exists or not.
            Err(e) if e.kind() == ErrorKind::ReadOnlyFilesystem && !is_there(path)? => Ok(false),
            Err(e) => Err(failed("remove", path)(e)),
        }
    }

    /// Removes a folder if it exists and is empty.
    pub(crate) fn remove_if_empty(&self, folder: &Path) -> Result<(), StoreError> {
        match fs::remove_dir(folder) {
            Ok(()) => self.step("rmdir", folder),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => Ok(()),
            Err(e) => Err(failed("remove", folder)(e)),
        }
    }

    /// Removes a folder and everything in it.
    pub(crate) fn clear(&self, folder: &Path) -> Result<(), StoreError> {
        match fs::remove_dir_all(folder) {
            Ok(()) => self.step("clear", folder),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(failed("remove", folder)(e)),
        }
    }

    /// Removes the incomplete files of killed writers from a folder, and returns their number. A running writer whose
    /// file is removed this way starts again.
    pub(crate) fn remove_temporaries(&self, folder: &Path) -> Result<usize, StoreError> {
        let mut count = 0;
        for name in list_all(folder)?.iter().filter(|name| name.starts_with(TEMPORARY)) {
            count += usize::from(self.remove(&folder.join(name), Durability::Boot)?);
        }
        Ok(count)
    }

    pub(crate) fn make_folder(&self, folder: &Path, durability: Durability) -> Result<(), StoreError> {
        make_all(folder).map_err(failed("make folder", folder))?;
        self.step("mkdir", folder)?;
        if durability == Durability::Forever {
            // `folder` is a direct child of `state`, and both may be new.
            self.sync_folder(&self.state)?;
            if let Some(above) = self.state.parent().filter(|above| !above.as_os_str().is_empty()) {
                self.sync_folder(above)?;
            }
        }
        Ok(())
    }

    /// Writes a complete file next to `path`.
    fn write_temporary(&self, path: &Path, content: &[u8], durability: Durability) -> Result<Temporary, StoreError> {
        let folder = parent(path);
        let mut rounds = 0;
        loop {
            let name = temporary_name(folder);
            let mut file = match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&name) {
                Ok(file) => file,
                // The name is in use by an earlier process with our number, or by one in another pid namespace.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
                Err(e) if e.kind() == ErrorKind::NotFound && rounds < MOST_ROUNDS => {
                    rounds += 1;
                    self.make_folder(folder, durability)?;
                    continue;
                }
                Err(e) => return Err(failed("write", path)(e)),
            };
            let temporary = Temporary(name);
            // The umask may have cleared the owner's bits.
            file.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(failed("write", path))?;
            file.write_all(content).map_err(failed("write", path))?;
            if durability == Durability::Forever {
                file.sync_all().map_err(failed("sync", path))?;
            }
            self.step_of("write", path, durability)?;
            return Ok(temporary);
        }
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), StoreError> {
        File::open(folder).and_then(|f| f.sync_all()).map_err(failed("sync", folder))?;
        self.step("sync", folder)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("state", &self.state).field("run", &self.run).finish_non_exhaustive()
    }
}

/// A name that this process has not used before.
fn temporary_name(folder: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    folder.join(format!("{TEMPORARY}{}-{number}", process::id()))
}

/// Makes a folder and all missing ones above it, for their owner alone.
fn make_all(folder: &Path) -> io::Result<()> {
    for _ in 0..MOST_ROUNDS {
        match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
            // The umask may have cleared the owner's bits.
            Ok(()) => match fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)) {
                // Another process removed it; the caller makes it again when it writes there.
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
                done => return done,
            },
            Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => return Ok(()),
            Err(e) if e.kind() == ErrorKind::NotFound && parent(folder) != folder => make_all(parent(folder))?,
            Err(e) => return Err(e),
        }
    }
    Err(ErrorKind::NotFound.into())
}

/// A complete file that is not visible yet. It is deleted with the value, unless it is published.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
    content: Vec<u8>,
    durability: Durability,
    temporary: Temporary,
}

/// A file under its temporary name. It is deleted with the value.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Temporary {
    fn became_permanent(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if self.0.as_os_str().is_empty() {
            return;
        }
        // A failure here has no consequences: the file is hidden, and `remove_temporaries` finds it.
        fs::remove_file(&self.0).unwrap_or_default();
    }
}

/// The content of a file; `None` when there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("read", path)(e)),
    }
}

pub(crate) fn exists(path: &Path) -> Result<bool, StoreError> {
    fs::exists(path).map_err(failed("look for", path))
}

/// Whether the name exists, even as a dangling link.
pub(crate) fn is_there(path: &Path) -> Result<bool, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(failed("look for", path)(e)),
    }
}

/// The names in a folder, sorted, without hidden ones (temporary files, cursors). A missing folder is empty.
pub(crate) fn list(folder: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = list_all(folder)?;
    names.retain(|name| !name.starts_with('.'));
    names.sort_unstable();
    Ok(names)
}

/// Calls `read` for each name in a folder, in order. Returns the values and the errors. `read` returns `None` if the
/// file was removed since the folder was listed.
pub(crate) fn read_each<T>(
    folder: &Path,
    read: impl Fn(&str) -> Result<Option<T>, StoreError>,
) -> (Vec<T>, Vec<StoreError>) {
    let names = match list(folder) {
        Ok(names) => names,
        Err(e) => return (Vec::new(), vec![e]),
    };
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for name in names {
        match read(&name) {
            Ok(one) => good.extend(one),
            Err(e) => bad.push(e),
        }
    }
    (good, bad)
}

/// Whether any name that [`list`] would return fits. Stops at the first one.
pub(crate) fn any(folder: &Path, fits: impl Fn(&str) -> bool) -> Result<bool, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(failed("list", folder)(e)),
    };
    for entry in entries {
        let name = entry.map_err(failed("list", folder))?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') && fits(&name) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn list_all(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed("list", folder)(e)),
    };
    entries
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()).map_err(failed("list", folder)))
        .collect()
}

/// Adds operation and file to an error.
pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { doing, path, source }
}

/// Every path here has a folder above it.
fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn disk(scratch: &Scratch) -> Disk {
        Disk::new(scratch.path("state"), scratch.path("run"))
    }

    #[test]
    fn the_first_creator_wins() {
        let scratch = Scratch::new();
        let disk = disk(&scratch);
        let path = scratch.path("run/a/b");
        assert_eq!(disk.create(&path, b"one").unwrap(), Creation::Created);
        assert_eq!(disk.create(&path, b"two").unwrap(), Creation::AlreadyThere);
        assert_eq!(read(&path).unwrap().unwrap(), b"one");
        assert_eq!(list_all(&scratch.path("run/a")).unwrap(), ["b"]);
    }

    #[test]
    fn a_failing_step_leaves_no_temporary_file() {
        let scratch = Scratch::new();
        let mut disk = disk(&scratch);
        disk.observed_by(Box::new(|step| match step {
            "write a/b" => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }));
        let error = disk.create(&scratch.path("run/a/b"), b"one").unwrap_err().to_string();
        assert!(error.contains("free space"), "{error}");
        assert!(list_all(&scratch.path("run/a")).unwrap().is_empty());
    }

    #[test]
    fn temporaries_of_killed_writers_are_hidden_and_removable() {
        let scratch = Scratch::new();
        let disk = disk(&scratch);
        let folder = scratch.path("run/a");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(".tmp-1-1"), "x").unwrap();
        fs::write(folder.join(".cursor4"), "x").unwrap();
        assert!(list(&folder).unwrap().is_empty());
        assert_eq!(disk.remove_temporaries(&folder).unwrap(), 1);
        assert_eq!(list_all(&folder).unwrap(), [".cursor4"]);
    }

    #[test]
    fn a_folder_that_keeps_vanishing_does_not_fail_a_writer() {
        let scratch = Scratch::new();
        let disk = disk(&scratch);
        let folder = scratch.path("run/a");
        std::thread::scope(|scope| {
            let remover = scope.spawn(|| {
                for _ in 0..3000 {
                    disk.remove_if_empty(&folder).unwrap();
                }
            });
            while !remover.is_finished() {
                assert_eq!(disk.create(&folder.join("x"), b"").unwrap(), Creation::Created);
                assert!(disk.remove(&folder.join("x"), Durability::Boot).unwrap());
            }
        });
    }
}
