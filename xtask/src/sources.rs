//! The source of a crate as tokens.

use crate::error::Error;
use crate::rust_tokens::{Token, tokens, without_tests};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The tokens of a crate's files without their tests, by the paths below `src`.
pub(crate) type Sources = BTreeMap<PathBuf, Vec<Token>>;

/// Reads the Rust files below a folder.
pub(crate) fn read(src: &Path) -> Result<Sources, Error> {
    let mut sources = Sources::new();
    let mut open = vec![src.to_owned()];
    while let Some(folder) = open.pop() {
        for path in entries(&folder)? {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).map_err(failed(&path))?;
                let name = path.strip_prefix(src).unwrap_or(&path).to_owned();
                sources.insert(name, without_tests(&tokens(&text)));
            }
        }
    }
    Ok(sources)
}

/// The paths of what is in a folder, sorted.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let all: io::Result<Vec<_>> = fs::read_dir(folder).and_then(|all| all.map(|entry| Ok(entry?.path())).collect());
    let mut all = all.map_err(failed(folder))?;
    all.sort();
    Ok(all)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    |source| Error::File { path: path.to_owned(), source }
}

/// A crate of these files.
#[cfg(test)]
pub(crate) fn crate_of(files: &[(&str, &str)]) -> Sources {
    files.iter().map(|(name, text)| (PathBuf::from(name), without_tests(&tokens(text)))).collect()
}
