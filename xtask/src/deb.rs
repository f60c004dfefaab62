//! The Debian package. It has no scripts: nothing runs when it is installed, upgraded or removed.

use crate::error::Error;
use crate::program::{output, run_silently};
use crate::release::Release;
use crate::tree::{Mode, Tree};
use std::path::{Path, PathBuf};
use std::process::Command;

const ARCHITECTURE: &str = "amd64";
const MAINTAINER: &str = "The zubi maintainers <maintainers@zubi.invalid>";
const COPYRIGHT: &str = include_str!("copyright.txt");
/// Where completions go, in the order of [`crate::release::SHELLS`].
const COMPLETIONS: [&str; 3] = [
    "usr/share/bash-completion/completions/zubi",
    "usr/share/zsh/vendor-completions/_zubi",
    "usr/share/fish/vendor_completions.d/zubi.fish",
];
/// No script of the package enables them.
const UNITS: &str = "usr/lib/systemd/system";
const DOC: &str = "usr/share/doc/zubi";
const CHANGES: &str = "CHANGELOG.md";
/// What lintian takes for errors and is meant: one file serves every release of Debian.
const OVERRIDES: &str = "# One program for every distribution, and for folders that are mounted into containers.\n\
                         zubi: statically-linked-binary *\n";

/// The package's version for a version of the program.
pub(crate) fn version_of(program: &str) -> String {
    format!("{program}-1")
}

/// Makes the package with this version in `folder`.
pub(crate) fn build(release: &Release, version: &str, folder: &Path) -> Result<PathBuf, Error> {
    let tree = Tree::new(&folder.join("deb"))?;
    let mut packed = Vec::new();
    let mut put_packed = |name: String, content: &[u8]| -> Result<(), Error> {
        tree.put(&name, content, Mode::Text)?;
        packed.push(tree.folder().join(name));
        Ok(())
    };
    for manual in &release.manuals {
        put_packed(format!("usr/share/man/man1/{}", manual.name), &manual.content)?;
    }
    for document in release.documents.iter().chain(&release.pages) {
        if document.name == CHANGES {
            put_packed(format!("{DOC}/changelog"), &document.content)?;
        } else {
            tree.put(&format!("{DOC}/{}", document.name), &document.content, Mode::Text)?;
        }
    }
    put_packed(format!("{DOC}/changelog.Debian"), changes(release, version)?.as_bytes())?;
    put_packed(format!("{DOC}/libraries.txt"), release.libraries.as_bytes())?;
    // Debian's policy, 12.1 and 12.7; -n leaves out the time.
    run_silently(Command::new("gzip").arg("-9nf").args(&packed))?;
    tree.put("usr/bin/zubi", &release.program, Mode::Program)?;
    tree.put("usr/libexec/zubi/zubi-daemon", &release.daemon, Mode::Program)?;
    for (completion, path) in release.completions.iter().zip(COMPLETIONS) {
        tree.put(path, &completion.content, Mode::Text)?;
    }
    for unit in &release.units {
        tree.put(&format!("{UNITS}/{}", unit.name), &unit.content, Mode::Text)?;
    }
    tree.put(&format!("{DOC}/copyright"), copyright(release).as_bytes(), Mode::Text)?;
    tree.put("usr/share/lintian/overrides/zubi", OVERRIDES.as_bytes(), Mode::Text)?;

    let files = tree.files()?;
    let sums = output(Command::new("md5sum").args(&files).current_dir(tree.folder()))?;
    let bytes: u64 = files.iter().filter_map(|file| tree.folder().join(file).metadata().ok()).map(|m| m.len()).sum();
    tree.put("DEBIAN/md5sums", &sums, Mode::Text)?;
    tree.put("DEBIAN/control", control(version, bytes.div_ceil(1024)).as_bytes(), Mode::Text)?;
    tree.settle(release.time)?;

    let file = folder.join(format!("zubi_{version}_{ARCHITECTURE}.deb"));
    let mut dpkg = Command::new("dpkg-deb");
    // Both settings differ between machines: the usual compression, and the number of threads, by which xz cuts blocks.
    dpkg.args(["--root-owner-group", "-Zxz", "-z6", "--build"]).arg(tree.folder()).arg(&file);
    dpkg.env("DPKG_DEB_THREADS_MAX", "1").env("SOURCE_DATE_EPOCH", release.time.to_string());
    run_silently(&mut dpkg)?;
    Ok(file)
}

fn control(version: &str, kib: u64) -> String {
    format!(
        "Package: zubi\n\
         Version: {version}\n\
         Architecture: {ARCHITECTURE}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {kib}\n\
         Section: net\n\
         Priority: optional\n\
         Description: container networking by one command, every step explainable\n \
         zubi wires containers, pods and processes into networks: bridges, veth\n \
         pairs, addresses, routes, NAT and published ports. Each change can be\n \
         shown as the command that a person would have typed.\n \
         .\n \
         It connects running containers of Docker, Podman and containerd, and can\n \
         stand in for CNI plug-ins and for Podman's netavark. All of that needs no\n \
         daemon; one brings restarted containers back and heals what others break.\n"
    )
}

fn copyright(release: &Release) -> String {
    let text = release.licences.iter().find(|piece| piece.name == "LICENSE-MIT");
    let text = text.map(|piece| String::from_utf8_lossy(&piece.content).into_owned()).unwrap_or_default();
    let indented = |line: &str| if line.is_empty() { " .".to_owned() } else { format!(" {line}") };
    let text: Vec<String> = text.trim().lines().map(indented).collect();
    COPYRIGHT.replace("@MIT@", &text.join("\n"))
}

/// deb-changelog(5).
fn changes(release: &Release, version: &str) -> Result<String, Error> {
    let mut date = Command::new("date");
    date.args(["-u", "-R", "-d", &format!("@{}", release.time)]).env("LC_ALL", "C");
    let date = output(&mut date)?;
    Ok(format!(
        "zubi ({version}) unstable; urgency=medium\n\n  \
         * Version {} of zubi; changelog.gz tells what is new.\n\n \
         -- {MAINTAINER}  {}\n",
        release.version,
        String::from_utf8_lossy(&date).trim()
    ))
}
