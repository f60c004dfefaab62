//! What this part is called, in the log and by `zubi status`.

pub(crate) const PART: &str = "names";
