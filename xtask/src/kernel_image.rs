//! A Debian kernel with all its modules, in the cache.

use crate::archive::Archive;
use crate::error::Error;
use crate::program::run as run_command;
use crate::{cache, program};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package that depends on a suite's newest kernel.
const NEWEST: &str = "linux-image-amd64";
const IMAGE: &str = "linux-image-";
/// Dependencies that are part of a kernel image: newer images are split up.
const PARTS: [&str; 3] = ["linux-base-", "linux-binary-", "linux-modules-"];

/// A kernel that has been fetched.
#[derive(Debug)]
pub(crate) struct KernelImage {
    /// The release as `uname -r` prints it.
    pub(crate) release: String,
    folder: PathBuf,
}

/// The suite that has a version.
fn suite(version: &str) -> &'static str {
    match version {
        "6.1" => "bookworm",
        "6.12" => "trixie",
        _ => "sid",
    }
}

impl KernelImage {
    /// Takes a kernel of this version from the cache, or fetches it.
    pub(crate) fn fetch(version: &str) -> Result<KernelImage, Error> {
        if let Some(known) = KernelImage::cached(version)? {
            return Ok(known);
        }
        program::need("depmod", "kmod")?;
        let suite = suite(version);
        let archive = Archive::open(suite)?;
        let newest = archive.dependencies(NEWEST)?.into_iter().find(|package| package.starts_with(IMAGE));
        let package = newest.ok_or_else(|| Error::NoKernel { version: version.to_owned(), suite, has: None })?;
        let release = package.trim_start_matches(IMAGE).to_owned();
        if !is_of(version, &release) {
            return Err(Error::NoKernel { version: version.to_owned(), suite, has: Some(release) });
        }
        let is_part = |package: &String| {
            let numbered = |part| package.strip_prefix(part).is_some_and(|rest| rest.starts_with(char::is_numeric));
            PARTS.into_iter().any(numbered)
        };
        let mut packages: Vec<String> = archive.dependencies(&package)?.into_iter().filter(is_part).collect();
        packages.push(package);
        let folder = cache::folder("kernels")?.join(&release);
        cache::fill(&folder, |new| {
            archive.unpack(&packages, new)?;
            let lib = new.join("lib");
            if !lib.exists() {
                symlink("usr/lib", &lib).map_err(|source| Error::File { path: lib, source })?;
            }
            run_command(Command::new("depmod").arg("-b").arg(new).arg(&release))
        })?;
        Ok(KernelImage { release, folder })
    }

    fn cached(version: &str) -> Result<Option<KernelImage>, Error> {
        let folder = cache::folder("kernels")?;
        let entries = fs::read_dir(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let found = names.filter(|name| is_of(version, name)).max();
        Ok(found.map(|release| KernelImage { folder: folder.join(&release), release }))
    }

    /// The boot image.
    pub(crate) fn vmlinuz(&self) -> PathBuf {
        let usual = self.folder.join(format!("boot/vmlinuz-{}", self.release));
        if usual.is_file() { usual } else { self.modules().join("vmlinuz") }
    }

    /// The folder of the modules of all releases; only this one is there.
    pub(crate) fn all_modules(&self) -> PathBuf {
        self.folder.join("lib/modules")
    }

    fn modules(&self) -> PathBuf {
        self.all_modules().join(&self.release)
    }

    /// The module files with all they need, in load order. Built-in modules have none.
    pub(crate) fn load_order(&self, wanted: &[&str]) -> Result<Vec<PathBuf>, Error> {
        let path = self.modules().join("modules.dep");
        let text = fs::read_to_string(&path).map_err(|source| Error::File { path, source })?;
        let mut order = Vec::new();
        for module in wanted {
            // modules.dep(5): FILE: FILE.., what is needed last first.
            let line =
                text.lines().filter_map(|line| line.split_once(':')).find(|(file, _)| module_name(file) == *module);
            let Some((file, needs)) = line else { continue };
            for file in needs.split_whitespace().rev().chain([file]) {
                let file = self.modules().join(file);
                if !order.contains(&file) {
                    order.push(file);
                }
            }
        }
        Ok(order)
    }
}

/// Whether a release belongs to a version: 6.1.0-35-amd64 belongs to 6.1, 6.12.1 does not.
fn is_of(version: &str, release: &str) -> bool {
    release.strip_prefix(version).is_some_and(|rest| rest.starts_with(['.', '+', '-']))
}

fn module_name(file: &str) -> &str {
    let name = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split(".ko").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_that_of_its_releases_only() {
        assert!(is_of("6.1", "6.1.0-35-amd64") && is_of("7.2", "7.2.3+deb14-amd64"));
        assert!(!is_of("6.1", "6.12.30+deb13-amd64"));
    }

    #[test]
    fn modules_have_the_names_of_their_files() {
        assert_eq!(module_name("kernel/net/9p/9pnet_virtio.ko.xz"), "9pnet_virtio");
        assert_eq!(module_name("kernel/fs/9p/9p.ko"), "9p");
    }
}
