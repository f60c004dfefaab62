//! How this part of the daemon is called.

pub(super) const PART: &str = "docker";
