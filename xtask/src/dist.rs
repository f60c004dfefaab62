//! The release: one static program, in an archive for every distribution and in a Debian package.
//!
//! A second build of the same commit with the same tools gives the same bytes, wherever it happens and when.

use crate::error::Error;
use crate::metadata::Metadata;
use crate::program::{cargo, output, run as run_command};
use crate::release::{self, Release};
use crate::setup::STATIC_TARGET;
use crate::{deb, program};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the release, and prints its files with their sizes and sums.
pub(crate) fn run() -> Result<(), Error> {
    let metadata = Metadata::load()?;
    let program = build()?;
    let made = package(
        &program,
        release::time(&metadata.workspace_root)?,
        &metadata,
        &metadata.target_directory.join("dist"),
    )?;
    for file in made.files() {
        let bytes = fs::metadata(file).map_err(|source| Error::File { path: file.to_owned(), source })?.len();
        println!("{}: {} KiB, sha256 {}", file.display(), bytes.div_ceil(1024), sum(file)?);
    }
    Ok(())
}

/// Builds the program and returns its path.
pub(crate) fn build() -> Result<PathBuf, Error> {
    let metadata = Metadata::load()?;
    build_in(&metadata, &metadata.target_directory)
}

/// Builds the program with this folder for what cargo makes.
pub(crate) fn build_in(metadata: &Metadata, target: &Path) -> Result<PathBuf, Error> {
    // Messages of panics hold paths of sources; without this those of this machine.
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).unwrap_or_default();
    let flags = [(home.as_path(), "/cargo"), (&metadata.workspace_root, "/zubi")]
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    let config = format!("target.{STATIC_TARGET}.rustflags={flags:?}");
    let mut command = cargo();
    command.args(["build", "-q", "--release", "--locked", "--target", STATIC_TARGET, "-p", "zubi"]);
    command.args(["--config", &config]).arg("--target-dir").arg(target);
    // It would replace the flags of .cargo/config.toml.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    run_command(&mut command)?;
    Ok(target.join(STATIC_TARGET).join("release/zubi"))
}

/// The files of a release.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) release: Release,
    pub(crate) tarball: PathBuf,
    pub(crate) deb: PathBuf,
}

impl Made {
    pub(crate) fn files(&self) -> [&Path; 2] {
        [&self.tarball, &self.deb]
    }
}

/// Packs a program that is built. The time, in seconds since 1970, is that of all files.
pub(crate) fn package(program: &Path, time: u64, metadata: &Metadata, folder: &Path) -> Result<Made, Error> {
    program::need("dpkg-deb", "dpkg")?;
    fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.to_owned(), source })?;
    let release = Release::of(program, time, metadata, &folder.join("manuals"))?;
    let tarball = release.tarball(folder)?;
    let deb = deb::build(&release, &deb::version_of(&release.version), folder)?;
    Ok(Made { release, tarball, deb })
}

/// The SHA-256 of a file, in hex.
pub(crate) fn sum(file: &Path) -> Result<String, Error> {
    let text = output(Command::new("sha256sum").arg(file))?;
    Ok(String::from_utf8_lossy(&text).split_whitespace().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that writes a man page and completions as zubi does.
    const PROGRAM: &str = "#!/bin/sh\ncase $1 in man) echo .TH ZUBI 1 >$2/zubi.1 ;; *) echo \"# $2\" ;; esac\n";

    fn packaged(folder: &Path) -> Made {
        fs::create_dir_all(folder).unwrap();
        let program = folder.join("program");
        fs::write(folder.join("zubi-daemon"), "a daemon").unwrap();
        // Written by another process: a child of another test's thread would hold this process's file open (ETXTBSY).
        let mut shell = Command::new("sh");
        shell.args(["-c", "printf %s \"$1\" >\"$2\" && chmod 755 \"$2\"", "sh", PROGRAM]).arg(&program);
        assert!(shell.status().unwrap().success());
        package(&program, 1_796_016_183, &Metadata::load().unwrap(), folder).unwrap()
    }

    fn lines(command: &mut Command) -> Vec<String> {
        String::from_utf8(output(command).unwrap()).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn two_packagings_are_the_same_bytes_and_hold_what_they_should() {
        const TEST: &str = "two_packagings_are_the_same_bytes_and_hold_what_they_should";
        if program::find("dpkg-deb").is_none() {
            return zubi_lab::skip(TEST, "needs the package dpkg");
        }
        let top = std::env::temp_dir().join(format!("zubi-dist-{}", std::process::id()));
        let first = packaged(&top.join("first"));
        // The time of files has a resolution of one second in archives.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let second = packaged(&top.join("elsewhere/second"));
        for (one, other) in first.files().iter().zip(second.files()) {
            assert_eq!(sum(one).unwrap(), sum(other).unwrap(), "{}", one.display());
        }

        let content = lines(Command::new("dpkg-deb").arg("--contents").arg(&first.deb));
        assert!(content.iter().all(|line| line.contains(" root/root ")), "{content:#?}");
        let mut content: Vec<&str> = content.iter().filter_map(|line| line.split(" ./").nth(1)).collect();
        content.retain(|name| !name.is_empty() && !name.ends_with('/'));
        assert_eq!(
            content,
            [
                "usr/bin/zubi",
                "usr/lib/systemd/system/zubi-leases.service",
                "usr/lib/systemd/system/zubi-leases.timer",
                "usr/lib/systemd/system/zubi-networks.service",
                "usr/lib/systemd/system/zubi.service",
                "usr/libexec/zubi/zubi-daemon",
                "usr/share/bash-completion/completions/zubi",
                "usr/share/doc/zubi/README.md",
                "usr/share/doc/zubi/changelog.Debian.gz",
                "usr/share/doc/zubi/changelog.gz",
                "usr/share/doc/zubi/cni.md",
                "usr/share/doc/zubi/copyright",
                "usr/share/doc/zubi/daemon.md",
                "usr/share/doc/zubi/docker.md",
                "usr/share/doc/zubi/lan.md",
                "usr/share/doc/zubi/libraries.txt.gz",
                "usr/share/doc/zubi/names.md",
                "usr/share/doc/zubi/podman.md",
                "usr/share/fish/vendor_completions.d/zubi.fish",
                "usr/share/lintian/overrides/zubi",
                "usr/share/man/man1/zubi.1.gz",
                "usr/share/zsh/vendor-completions/_zubi",
            ]
        );
        let fields = lines(Command::new("dpkg-deb").arg("--field").arg(&first.deb));
        assert!(fields.contains(&format!("Version: {}", deb::version_of(&first.release.version))), "{fields:#?}");
        assert!(!fields.iter().any(|line| line.starts_with("Depends:")), "{fields:#?}");

        let mut content = lines(Command::new("tar").arg("-tf").arg(&first.tarball));
        content.retain(|name| !name.ends_with('/'));
        let names: Vec<&str> = content.iter().filter_map(|name| Some(name.split_once('/')?.1)).collect();
        assert_eq!(
            names,
            [
                "CHANGELOG.md",
                "LICENSE-APACHE",
                "LICENSE-MIT",
                "LICENSES-OF-LIBRARIES.txt",
                "README.md",
                "completions/_zubi",
                "completions/zubi.bash",
                "completions/zubi.fish",
                "docs/cni.md",
                "docs/daemon.md",
                "docs/docker.md",
                "docs/lan.md",
                "docs/names.md",
                "docs/podman.md",
                "man/man1/zubi.1",
                "systemd/zubi-leases.service",
                "systemd/zubi-leases.timer",
                "systemd/zubi-networks.service",
                "systemd/zubi.service",
                "zubi",
                "zubi-daemon",
            ]
        );
        fs::remove_dir_all(top).unwrap();
    }
}
