//! Podman's containers, read from its files (containers-storage.conf(5), conmon(8)).
//!
//! `GRAPHROOT/DRIVER-containers/containers.json` lists ids and names; every create, rename and rm rewrites it. conmon
//! writes `RUNROOT/DRIVER-containers/ID/userdata/pidfile` at each start and leaves it there when the container ends, so
//! [`Monitored::running`] checks the process.

use crate::fit::Fit;
use crate::monitored::Monitored;
use crate::{Runtime, RuntimeError};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const RUNTIME: Runtime = Runtime::Podman;
/// A container needs some 600 bytes of containers.json.
const MOST_BYTES: u64 = 64 << 20;

/// One place where Podman keeps containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodmanStore {
    /// storage.conf; its `graphroot` and `runroot`, if set, replace the next two.
    pub conf: PathBuf,
    /// State that survives a reboot: /var/lib/containers/storage.
    pub graph_root: PathBuf,
    /// State that does not: /run/containers/storage.
    pub run_root: PathBuf,
}

/// A store's answer to a name.
pub(crate) enum Known {
    /// There is no store.
    NoStore,
    /// The containers that fit.
    Fitting(Vec<(Fit, Monitored)>),
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}

impl PodmanStore {
    pub(crate) fn look_up(&self, asked: &str) -> Result<Known, RuntimeError> {
        let (graph_root, run_root) = self.roots(asked)?;
        let entries = match fs::read_dir(&graph_root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Known::NoStore),
            Err(e) => return Err(RuntimeError::unreadable(RUNTIME, asked, &graph_root, e)),
        };
        let mut known = Known::NoStore;
        for entry in entries {
            let folder = entry.map_err(|e| RuntimeError::unreadable(RUNTIME, asked, &graph_root, e))?.file_name();
            if !folder.to_str().is_some_and(|name| name.ends_with("-containers")) {
                continue;
            }
            let run = run_root.join(&folder);
            // The second list is for volatile containers, since containers/storage 1.46.
            for list in [graph_root.join(&folder).join("containers.json"), run.join("volatile-containers.json")] {
                if let Some(listed) = read_list(asked, &list)? {
                    let more = listed.into_iter().filter_map(|one| fitting(asked, one, &run));
                    match &mut known {
                        Known::Fitting(all) => all.extend(more),
                        Known::NoStore => known = Known::Fitting(more.collect()),
                    }
                }
            }
        }
        Ok(known)
    }

    fn roots(&self, asked: &str) -> Result<(PathBuf, PathBuf), RuntimeError> {
        let conf = match fs::read_to_string(&self.conf) {
            Ok(conf) => conf,
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(RuntimeError::unreadable(RUNTIME, asked, &self.conf, e)),
        };
        let root = |key, default: &Path| setting(&conf, key).unwrap_or_else(|| default.to_owned());
        Ok((root("graphroot", &self.graph_root), root("runroot", &self.run_root)))
    }
}

fn fitting(asked: &str, listed: Listed, run: &Path) -> Option<(Fit, Monitored)> {
    let Listed { id, names } = listed;
    let fit = Fit::of(asked, &id, &names)?;
    // The id becomes part of a path.
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let pid_file = run.join(&id).join("userdata/pidfile");
    let name = names.into_iter().next().unwrap_or_else(|| id.clone());
    let label = format!("{name} ({id})");
    Some((fit, Monitored { runtime: RUNTIME, id, name, label, pid_file }))
}

/// The containers in one list; `None` if there is no such file.
fn read_list(asked: &str, path: &Path) -> Result<Option<Vec<Listed>>, RuntimeError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(RuntimeError::unreadable(RUNTIME, asked, path, e)),
    };
    let mut text = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut text).map_err(|e| RuntimeError::unreadable(RUNTIME, asked, path, e))?;
    serde_json::from_slice(&text).map(Some).map_err(|e| RuntimeError::Garbled {
        runtime: RUNTIME,
        name: asked.to_owned(),
        from: path.to_owned(),
        why: e.to_string(),
    })
}

/// Reads `key = "/value"` in the table `[storage]`: only the TOML that containers-storage.conf(5) shows for these keys.
fn setting(conf: &str, key: &str) -> Option<PathBuf> {
    let mut in_storage = false;
    for line in conf.lines().map(str::trim) {
        if line.starts_with('[') {
            in_storage = line.starts_with("[storage]");
        } else if in_storage && let Some((name, value)) = line.split_once('=') {
            let value = value.trim();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
            if name.trim() == key
                && let Some(quote) = quote
            {
                return value[1..].split(quote).next().filter(|path| path.starts_with('/')).map(PathBuf::from);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testbed::Folder;

    #[test]
    fn storage_conf_is_read_in_its_table_storage() {
        let conf = "# graphroot = \"/no\"\n[other]\ngraphroot = \"/no\"\n[storage]\ndriver = \"overlay\"\n\
                    graphroot = \"/data/c\" # moved\nrunroot='/run/c'\n[storage.options]\nrunroot = \"/no\"\n";
        assert_eq!(setting(conf, "graphroot"), Some("/data/c".into()));
        assert_eq!(setting(conf, "runroot"), Some("/run/c".into()));
        assert_eq!(setting(conf, "rootless_storage_path"), None);
        assert_eq!(setting("[storage]\ngraphroot = \"\"\n", "graphroot"), None);
    }

    #[test]
    fn storage_conf_moves_the_store() {
        let folder = Folder::new();
        let at = |path: &str| folder.0.join(path);
        let conf = format!("[storage]\ngraphroot = \"{}\"\n", at("moved").display());
        folder.write("storage.conf", &conf);
        folder.write("moved/vfs-containers/containers.json", r#"[{"id":"abc1","names":["web"]}]"#);
        let store = PodmanStore { conf: at("storage.conf"), graph_root: at("graph"), run_root: at("run") };
        let Known::Fitting(fitting) = store.look_up("web").unwrap() else { panic!("no store") };
        assert_eq!(fitting[0].1.pid_file, at("run/vfs-containers/abc1/userdata/pidfile"));
    }

    #[test]
    fn an_id_that_would_leave_the_store_is_not_followed() {
        let folder = Folder::new();
        folder.write("vfs-containers/containers.json", r#"[{"id":"../../x","names":["web"]}]"#);
        let store =
            PodmanStore { conf: folder.0.join("none"), graph_root: folder.0.clone(), run_root: folder.0.clone() };
        let Known::Fitting(fitting) = store.look_up("web").unwrap() else { panic!("no store") };
        assert!(fitting.is_empty());
    }
}
