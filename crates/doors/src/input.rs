//! What comes in.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Everything there is on stdin, or in a file, up to one byte more than is taken.
pub(crate) fn read(file: Option<&Path>, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = most as u64 + 1;
    match file {
        Some(path) => File::open(path)?.take(most).read_to_end(&mut bytes)?,
        None => io::stdin().lock().take(most).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}
