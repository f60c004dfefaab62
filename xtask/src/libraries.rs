//! The licences of the libraries in the program: most ask that their text goes with every copy.

use crate::error::Error;
use crate::metadata::{Follow, Metadata};
use crate::sources::entries;
use std::fs;
use std::path::PathBuf;

/// Beginnings of the names of files that hold a licence.
const NAMES: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "UNLICENSE"];
/// What is in a static Rust program besides crates.
const BESIDES: &str = "The program also holds parts of Rust's standard library (MIT OR Apache-2.0,\n\
                       https://github.com/rust-lang/rust) and of musl (MIT, https://musl.libc.org).\n";

/// All of them, one after the other, sorted by name.
pub(crate) fn licences(metadata: &Metadata) -> Result<String, Error> {
    let program = metadata.ours().filter(|package| package.name == "zubi");
    let reached = metadata.reached(program, Follow::Normal);
    let mut libraries: Vec<_> =
        reached.into_iter().map(|(package, _)| package).filter(|package| !metadata.is_ours(package)).collect();
    // The graph is that of all platforms.
    libraries.retain(|package| !package.name.starts_with("windows-"));
    libraries.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let mut text = vec![format!("Libraries that zubi is made with, each with its licence.\n\n{BESIDES}")];
    for library in libraries {
        let licence = library.license.as_deref().unwrap_or_default();
        text.push(format!("\n{}\n{} {}: {licence}\n", "=".repeat(80), library.name, library.version));
        let folder = library.manifest_path.parent().map_or_else(PathBuf::new, PathBuf::from);
        for path in entries(&folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_file() && NAMES.iter().any(|start| name.to_uppercase().starts_with(start)) {
                let licence = fs::read(&path).map_err(|source| Error::File { path, source })?;
                text.push(format!("\n{name}:\n\n{}\n", String::from_utf8_lossy(&licence).trim_end()));
            }
        }
    }
    Ok(text.concat())
}
