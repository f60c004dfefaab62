//! `install` and `uninstall`: zubi in the places of CNI plug-ins and of Podman's netavark. [`crate::place`] has what
//! happens to one place; here every place is looked at before the first one changes.

use crate::output::{Output, lines};
use crate::place::{Found, Installation, Step, Wish, folder_of, in_file, saved_beside};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zubi_cni::Plugin;
use zubi_engine::{Act, Error};
use zubi_model::Invalid;

/// The program that Podman calls.
const NETAVARK: &str = "netavark";
/// Where Podman looks for its helpers, in its order (containers.conf(5), `helper_binaries_dir`).
const HELPERS: [&str; 4] =
    ["/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/libexec/podman", "/usr/lib/podman"];

/// Which programs to replace, or to put back.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct PlaceWords {
    /// The CNI plug-ins that zubi stands in for, in this folder: usually /opt/cni/bin
    #[arg(long, value_name = "DIR")]
    cni: Option<PathBuf>,
    /// Podman's network program; the one that Podman finds when PATH is left out
    #[arg(long, value_name = "PATH")]
    #[expect(clippy::option_option, reason = "clap's type for an option whose value may be left out")]
    netavark: Option<Option<PathBuf>>,
}

/// `zubi install`.
pub(crate) fn install(words: &PlaceWords, output: &Output) -> Result<ExitCode, Error> {
    let mut places = cni_places(words)?;
    match &words.netavark {
        Some(Some(path)) => places.push(netavark(path)?),
        Some(None) => {
            let all = HELPERS.map(|folder| Path::new(folder).join(NETAVARK));
            let found = all
                .into_iter()
                .find(|path| path.symlink_metadata().is_ok() || saved_beside(path).symlink_metadata().is_ok());
            places.push(found.ok_or_else(|| Error::NoFile {
                what: format!("{NETAVARK} in {}", HELPERS.join(", ")),
                next: "name its path: --netavark PATH",
            })?);
        }
        None => {}
    }
    carry_out(&places, &Installation::of_this_program()?, Wish::Install, output)
}

/// `zubi uninstall`.
pub(crate) fn uninstall(words: &PlaceWords, output: &Output) -> Result<ExitCode, Error> {
    let installation = Installation::of_this_program()?;
    let mut places = cni_places(words)?;
    match &words.netavark {
        Some(Some(path)) => places.push(netavark(path)?),
        Some(None) => {
            for path in HELPERS.map(|folder| Path::new(folder).join(NETAVARK)) {
                let ours = matches!(installation.look(&path)?, Found::Link { .. });
                if ours || saved_beside(&path).symlink_metadata().is_ok() {
                    places.push(path);
                }
            }
        }
        None => {}
    }
    carry_out(&places, &installation, Wish::Uninstall, output)
}

fn cni_places(words: &PlaceWords) -> Result<Vec<PathBuf>, Error> {
    let Some(folder) = &words.cni else { return Ok(Vec::new()) };
    must_be_folder(folder)?;
    Ok(Plugin::ALL.iter().map(|plugin| folder.join(plugin.name())).collect())
}

/// The path of a netavark, which may be given by its folder.
fn netavark(path: &Path) -> Result<PathBuf, Error> {
    if path.is_dir() {
        return Ok(path.join(NETAVARK));
    }
    if path.file_name().is_none_or(|name| name != NETAVARK) {
        let why = "must end with /netavark: by another name zubi does not act as it";
        return Err(Invalid::new("path", path.display(), why).into());
    }
    must_be_folder(folder_of(path))?;
    Ok(path.to_owned())
}

fn must_be_folder(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    if folder.symlink_metadata().is_ok() {
        return Err(Invalid::new("folder", folder.display(), "is none").into());
    }
    Err(Error::NoFile { what: format!("folder {}", folder.display()), next: "make it first, or name another" })
}

/// Decides on every place, then changes them, or shows the changes.
fn carry_out(places: &[PathBuf], installation: &Installation, wish: Wish, output: &Output) -> Result<ExitCode, Error> {
    // A folder may have several paths: the first one stands for it.
    let mut folders: Vec<(PathBuf, File)> = Vec::new();
    let mut distinct: Vec<(PathBuf, &Path)> = Vec::new();
    for place in places {
        let folder = folder_of(place).canonicalize().map_err(in_file(folder_of(place)))?;
        // One command at a time in a folder, so that none sees the other's half of the work.
        if output.act() == Act::Apply && folders.iter().all(|(known, _)| *known != folder) {
            let open = File::open(&folder).and_then(|open| open.lock().map(|()| open));
            let open = open.map_err(in_file(&folder))?;
            folders.push((folder.clone(), open));
        }
        let real = folder.join(place.file_name().unwrap_or_default());
        if distinct.iter().all(|(known, _)| *known != real) {
            distinct.push((real, place));
        }
    }
    let steps = distinct.iter().map(|(_, place)| installation.step(place, wish));
    let steps: Vec<Step> = steps.collect::<Result<_, _>>()?;
    if output.act() == Act::Show {
        output.commands(&steps.iter().flat_map(|step| step.commands(installation)).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    for change in steps.iter().flat_map(|step| &step.changes) {
        change.make()?;
        output.done(&change.to_string());
    }
    for (folder, open) in folders {
        open.sync_all().map_err(in_file(&folder))?;
    }
    let text = steps.iter().map(Step::to_string).collect();
    let json: Vec<Value> = steps.iter().map(Step::json).collect();
    let json = json!({ "program": installation.program.display().to_string(), "files": json });
    output.listed(&lines(text, "nothing to put back"), &json)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use zubi_engine::Class;

    #[test]
    fn netavark_is_found_by_its_folder_and_refused_by_another_name() {
        let folder = std::env::temp_dir().join(format!("zubi-install-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(netavark(&folder).unwrap(), folder.join("netavark"));
        assert_eq!(netavark(&folder.join("netavark")).unwrap(), folder.join("netavark"));
        assert_eq!(netavark(&folder.join("netavark2")).unwrap_err().class(), Class::Usage);
        assert_eq!(netavark(&folder.join("none/netavark")).unwrap_err().class(), Class::NotFound);
        fs::remove_dir(folder).unwrap();
    }
}
