//! Applying settings under /proc/sys.

use crate::apply::Group;
use crate::error::Error;
use crate::session::Session;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use zubi_plan::{Op, Outcome, Place, Sysctl, What};
use zubi_snapshot::same_value;

/// The most that the kernel gives of a setting in one read, in bytes: a page.
const LONGEST: usize = 4096;

fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key)
}

/// Writes only what differs. The files below net/ are those of the calling thread's network namespace.
fn set(sysctl: &Sysctl) -> Result<Outcome, Error> {
    let path = path(&sysctl.key);
    let failed = |operation, e| Error::system(operation, path.display(), e);
    // Opened once: the look-up takes longer the more namespaces there are.
    let file = match fs::OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound && sysctl.optional() => return Ok(Outcome::Nothing),
        Err(e) => return Err(failed("open", e)),
    };
    let mut buffer = [0; LONGEST];
    let read = file.read_at(&mut buffer, 0).map_err(|e| failed("read", e))?;
    let old = String::from_utf8_lossy(buffer.get(..read).unwrap_or_default()).trim().to_owned();
    if same_value(&old, &sysctl.value) {
        return Ok(Outcome::AlreadyThere);
    }
    file.write_at(sysctl.value.as_bytes(), 0).map_err(|e| failed("write", e))?;
    Ok(Outcome::Changed { back: Box::new(What::Set(Sysctl::new(sysctl.key.clone(), old))) })
}

fn read(key: &str) -> Result<Option<String>, Error> {
    let path = path(key);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::system("read", path.display(), e)),
    }
}

impl Session {
    /// Applies settings of one place in one visit.
    pub(crate) fn apply_settings(&mut self, ops: &[Op]) -> Group {
        let mut group = Group { done: Vec::new(), error: None };
        let Some(first) = ops.first() else { return group };
        let visit = || {
            for op in ops {
                let What::Set(sysctl) = &op.what else { continue };
                match set(sysctl) {
                    Ok(outcome) => group.done.push((op.clone(), outcome)),
                    Err(e) => {
                        group.error = Some(e);
                        break;
                    }
                }
            }
        };
        if let Err(e) = self.within(&first.place, visit) {
            group.error = Some(e);
        }
        group
    }

    /// A setting's value; `None` where this kernel has no such setting.
    pub fn setting(&mut self, place: &Place, key: &str) -> Result<Option<String>, Error> {
        self.within(place, || read(key))?
    }

    /// The values of several settings of one place, in one visit.
    pub(crate) fn settings(&mut self, place: &Place, keys: &[&String]) -> Result<Vec<Option<String>>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.within(place, || keys.iter().map(|key| read(key)).collect())?
    }
}
