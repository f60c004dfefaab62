//! What a release consists of besides the program, made by the program itself where that is possible.

use crate::error::Error;
use crate::metadata::Metadata;
use crate::program::{output, run_silently};
use crate::tree::{Mode, Tree};
use crate::{libraries, sources};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Documents of the tree that a release holds.
const DOCUMENTS: [&str; 2] = ["README.md", "CHANGELOG.md"];
const PAGES: [&str; 6] =
    ["docs/cni.md", "docs/daemon.md", "docs/docker.md", "docs/lan.md", "docs/names.md", "docs/podman.md"];
const UNITS: [&str; 4] = [
    "dist/systemd/zubi-leases.service",
    "dist/systemd/zubi-leases.timer",
    "dist/systemd/zubi-networks.service",
    "dist/systemd/zubi.service",
];
const LICENCES: [&str; 2] = ["LICENSE-MIT", "LICENSE-APACHE"];
/// The shells whose completions a release holds.
pub(crate) const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// A file of a release.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// The parts of a release.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) version: String,
    /// Seconds since 1970 that all files have as their time: of the last commit, so that a second build is the same.
    pub(crate) time: u64,
    pub(crate) program: Vec<u8>,
    /// The daemon, which is built beside it.
    pub(crate) daemon: Vec<u8>,
    pub(crate) manuals: Vec<Piece>,
    /// In the order of [`SHELLS`].
    pub(crate) completions: Vec<Piece>,
    pub(crate) documents: Vec<Piece>,
    /// Documents that are in a folder of their own.
    pub(crate) pages: Vec<Piece>,
    /// Of systemd.
    pub(crate) units: Vec<Piece>,
    pub(crate) licences: Vec<Piece>,
    pub(crate) libraries: String,
}

impl Release {
    /// The release with this program and time; `scratch` is a folder that may be emptied.
    pub(crate) fn of(program: &Path, time: u64, metadata: &Metadata, scratch: &Path) -> Result<Release, Error> {
        let root = &metadata.workspace_root;
        let zubi = metadata.ours().find(|package| package.name == "zubi");
        let folder = Tree::new(scratch)?;
        run_silently(Command::new(program).arg("man").arg(folder.folder()))?;
        let manuals = sources::entries(folder.folder())?;
        let completions = SHELLS.iter().map(|shell| {
            let content = output(Command::new(program).args(["completions", shell]))?;
            Ok(Piece { name: (*shell).to_owned(), content })
        });
        let from_tree = |names: &[&str]| names.iter().map(|name| piece(&root.join(name))).collect::<Result<_, _>>();
        Ok(Release {
            version: zubi.map(|package| package.version.clone()).unwrap_or_default(),
            time,
            program: piece(program)?.content,
            daemon: piece(&program.with_file_name("zubi-daemon"))?.content,
            manuals: manuals.iter().map(|path| piece(path)).collect::<Result<_, _>>()?,
            completions: completions.collect::<Result<_, Error>>()?,
            documents: from_tree(&DOCUMENTS)?,
            pages: from_tree(&PAGES)?,
            units: from_tree(&UNITS)?,
            licences: from_tree(&LICENCES)?,
            libraries: libraries::licences(metadata)?,
        })
    }

    /// The archive for every distribution, in `folder`.
    pub(crate) fn tarball(&self, folder: &Path) -> Result<PathBuf, Error> {
        let name = format!("zubi-{}-x86_64-linux", self.version);
        let tree = Tree::new(&folder.join("tarball"))?;
        let put = |path: &str, content: &[u8], mode| tree.put(&format!("{name}/{path}"), content, mode);
        put("zubi", &self.program, Mode::Program)?;
        put("zubi-daemon", &self.daemon, Mode::Program)?;
        for manual in &self.manuals {
            put(&format!("man/man1/{}", manual.name), &manual.content, Mode::Text)?;
        }
        for (completion, name) in self.completions.iter().zip(["zubi.bash", "_zubi", "zubi.fish"]) {
            put(&format!("completions/{name}"), &completion.content, Mode::Text)?;
        }
        for piece in self.documents.iter().chain(&self.licences) {
            put(&piece.name, &piece.content, Mode::Text)?;
        }
        for (below, pieces) in [("docs", &self.pages), ("systemd", &self.units)] {
            for piece in pieces {
                put(&format!("{below}/{}", piece.name), &piece.content, Mode::Text)?;
            }
        }
        put("LICENSES-OF-LIBRARIES.txt", self.libraries.as_bytes(), Mode::Text)?;
        tree.settle(self.time)?;
        let file = folder.join(format!("{name}.tar.gz"));
        let mut tar = Command::new("tar");
        // The names of owners would be those of this machine, and gzip would note the time (-n: not).
        tar.args(["--create", "--format=gnu", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
        tar.args(["--use-compress-program=gzip -9n", "--file"]).arg(&file).arg("-C").arg(tree.folder()).arg(name);
        run_silently(&mut tar)?;
        Ok(file)
    }
}

/// The time of the last commit, or what SOURCE_DATE_EPOCH says (<https://reproducible-builds.org/specs/source-date-epoch>).
pub(crate) fn time(root: &Path) -> Result<u64, Error> {
    let text = if let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") {
        text
    } else {
        let git = output(Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root));
        git.map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    };
    text.trim().parse().map_err(|_| Error::NoTime)
}

fn piece(path: &Path) -> Result<Piece, Error> {
    let content = fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
    Ok(Piece { name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), content })
}
