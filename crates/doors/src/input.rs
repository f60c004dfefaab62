//! The input of a call.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads stdin or a file to its end, but at most one byte more than is allowed.
pub(crate) fn read(file: Option<&Path>, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = most as u64 + 1;
    match file {
        Some(path) => File::open(path)?.take(most).read_to_end(&mut bytes)?,
        None => io::stdin().lock().take(most).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}
