//! The cache outside the tree for what is fetched once: kernels, and the files of other releases.

use crate::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Overrides the cache's path.
const VARIABLE: &str = "ZUBI_CACHE";
const USUAL: &str = "/var/cache/zubi";

/// A folder of the cache, made on first use.
pub(crate) fn folder(name: &str) -> Result<PathBuf, Error> {
    let top = std::env::var_os(VARIABLE).map_or_else(|| PathBuf::from(USUAL), PathBuf::from);
    let folder = top.join(name);
    fs::create_dir_all(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
    Ok(folder)
}

/// Fills a folder that does not exist yet. An interrupted run starts again; a folder that exists is complete.
pub(crate) fn fill(folder: &Path, work: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.with_file_name(format!(".{name}"));
    if new.exists() {
        remove(&new)?;
    }
    fs::create_dir_all(&new).map_err(|source| Error::File { path: new.clone(), source })?;
    work(&new)?;
    fs::rename(&new, folder).map_err(|source| Error::File { path: folder.to_owned(), source })
}

fn remove(folder: &Path) -> Result<(), Error> {
    fs::remove_dir_all(folder).map_err(|source| Error::File { path: folder.to_owned(), source })
}
