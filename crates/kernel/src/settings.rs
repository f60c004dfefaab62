//! Applying settings under /proc/sys.

use crate::apply::Group;
use crate::error::Error;
use crate::machine::Kernel;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use zubi_plan::{Op, Outcome, Place, Sysctl, What};

/// What the kernel gives of a setting at once, in bytes: a page.
const LONGEST: usize = 4096;

/// Whether two values mean the same: the kernel puts tabs between numbers.
pub(crate) fn same_value(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

fn path(sysctl: &Sysctl) -> PathBuf {
    PathBuf::from("/proc/sys").join(&sysctl.key)
}

/// Writes only what differs. The files below net/ are those of the calling thread's network namespace.
fn set(sysctl: &Sysctl) -> Result<Outcome, Error> {
    let path = path(sysctl);
    let failed = |operation, e| Error::system(operation, path.display(), e);
    // Opened once: to look one up takes longer the more namespaces there are.
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

impl Kernel {
    /// All settings of one place in one visit.
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
        let path = PathBuf::from("/proc/sys").join(key);
        match self.within(place, || fs::read_to_string(&path))? {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::system("read", path.display(), e)),
        }
    }
}
