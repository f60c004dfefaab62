//! The mirror that this machine's apt uses: other suites, and sources, come from there too.

use std::fs;
use std::path::{Path, PathBuf};

const FOLDER: &str = "/etc/apt";

/// Debian's main archive as this machine knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    uri: String,
    signed_by: Option<String>,
}

impl Mirror {
    /// Reads apt's sources in both formats. The error says that none names the archive.
    pub fn of_this_machine() -> Result<Mirror, String> {
        let release = codename().ok_or("/etc/os-release names no release of Debian")?;
        let read = |file: PathBuf| Some((fs::read_to_string(&file).ok()?, file));
        let mut all = source_files().into_iter().filter_map(read);
        all.find_map(|(text, file)| Mirror::find(&file, &text, &release))
            .ok_or_else(|| format!("{FOLDER} names no archive of Debian {release}"))
    }

    /// Its address.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// A line of sources.list(5), of type `deb` or `deb-src`.
    pub fn line(&self, kind: &str, suite: &str) -> String {
        let option = self.signed_by.as_ref().map(|key| format!("[signed-by={key}] ")).unwrap_or_default();
        format!("{kind} {option}{} {suite} main\n", self.uri)
    }

    /// The mirror in this file, if the file names the release's main archive.
    fn find(file: &Path, text: &str, release: &str) -> Option<Mirror> {
        if file.extension().is_some_and(|e| e == "list") {
            text.lines().find_map(|line| Mirror::of_line(line, release))
        } else {
            text.split("\n\n").find_map(|paragraph| Mirror::of_paragraph(paragraph, release))
        }
    }

    /// `deb [OPTION=VALUE..] URI SUITE COMPONENT..`
    fn of_line(line: &str, release: &str) -> Option<Mirror> {
        let rest = line.trim().strip_prefix("deb ")?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let (uri, suite) = (words.next()?, words.next()?);
        let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
        (suite == release && words.any(|component| component == "main"))
            .then(|| Mirror { uri: uri.to_owned(), signed_by: signed_by.map(str::to_owned) })
    }

    /// deb822(5).
    fn of_paragraph(paragraph: &str, release: &str) -> Option<Mirror> {
        let value = |key: &str| {
            let mut lines = paragraph.lines().filter_map(|line| line.split_once(':'));
            lines.find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.trim())
        };
        let has = |key: &str, word: &str| value(key).is_some_and(|all| all.split_whitespace().any(|one| one == word));
        let uri = value("URIs")?.split_whitespace().next()?.to_owned();
        // A key that stands inline has no file to name; apt's trusted keys must do.
        let signed_by = value("Signed-By").filter(|key| key.starts_with('/')).map(str::to_owned);
        (has("Types", "deb") && has("Suites", release) && has("Components", "main"))
            .then_some(Mirror { uri, signed_by })
    }
}

/// The files that apt reads.
fn source_files() -> Vec<PathBuf> {
    let below = fs::read_dir(format!("{FOLDER}/sources.list.d"));
    let below = below.into_iter().flatten().flatten().map(|entry| entry.path());
    let read = |file: &PathBuf| file.extension().is_some_and(|e| e == "list" || e == "sources") && file.is_file();
    let mut all: Vec<PathBuf> = below.chain([PathBuf::from(format!("{FOLDER}/sources.list"))]).filter(read).collect();
    all.sort();
    all
}

/// The code name of this machine's Debian release.
pub fn codename() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).map(|name| name.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_of_the_release_is_found_in_both_formats_and_no_other() {
        let list = "# deb http://none trixie main\ndeb http://two trixie-security main\n\
                    deb [arch=amd64 signed-by=/key] http://one trixie main contrib\n";
        let found = Mirror::find(Path::new("a.list"), list, "trixie").unwrap();
        assert_eq!(found.line("deb-src", "sid"), "deb-src [signed-by=/key] http://one sid main\n");
        let sources = "Types: deb\nURIs: http://two\nSuites: nodistro\nComponents: main\n\n\
                       # Suites: none\nTypes: deb deb-src\nURIs: http://one\nSuites: trixie trixie-updates\n\
                       Components: main\nSigned-By: /key\n";
        assert_eq!(Mirror::find(Path::new("a.sources"), sources, "trixie"), Some(found));
        assert_eq!(Mirror::find(Path::new("a.sources"), sources, "sid"), None);
    }
}
