//! The zubi that makes something, as marks outside of the kernel name it.

use crate::alias::run_word;
use std::fmt;
use std::path::PathBuf;
use zubi_model::NetnsCookie;

/// A run folder, and the boot and host namespace that it belongs to. A container may have a run folder of the same name,
/// and a part of the host's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The run folder.
    pub run: PathBuf,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
    /// The host namespace.
    pub namespace: NetnsCookie,
}

impl Instance {
    /// The first digits of the boot.
    fn boot_word(&self) -> &str {
        self.boot.split('-').next().unwrap_or_default()
    }

    /// Whether a mark is this one's, or was its before the machine was started again: then the namespace that it names
    /// is gone.
    pub(crate) fn has_made(&self, mark: &str) -> bool {
        let Some((place, run)) = mark.split_once(' ') else { return false };
        let ours = format!("{}.{}", self.boot_word(), self.namespace);
        let is_earlier = place.split_once('.').is_some_and(|(boot, _)| boot != self.boot_word());
        run == run_word(&self.run) && (place == ours || is_earlier)
    }
}

/// As a mark. A run folder is written without blanks.
impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} {}", self.boot_word(), self.namespace, run_word(&self.run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(boot: &str, namespace: u64, run: &str) -> Instance {
        Instance { boot: boot.into(), namespace: NetnsCookie(namespace), run: run.into() }
    }

    #[test]
    fn a_mark_is_ours_in_this_namespace_and_from_before_a_reboot() {
        let ours = instance("8a4d8a0e-1c0f", 7, "/run/my zubi");
        assert_eq!(ours.to_string(), "8a4d8a0e.7 /run/my%20zubi");
        assert!(ours.has_made(&ours.to_string()));
        assert!(ours.has_made(&instance("11111111-2222", 9, "/run/my zubi").to_string()));
        for theirs in [instance("8a4d8a0e-1c0f", 8, "/run/my zubi"), instance("8a4d8a0e-1c0f", 7, "/run/other")] {
            assert!(!ours.has_made(&theirs.to_string()), "{theirs}");
        }
        assert!(!ours.has_made("/run/zubi") && !ours.has_made(""));
    }
}
