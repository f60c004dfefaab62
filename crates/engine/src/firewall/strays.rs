//! Firewall elements that no record asks for.

use crate::error::Error;
use crate::look::compare::elements;
use crate::session::Session;
use std::collections::HashSet;
use zubi_plan::firewall;
use zubi_snapshot::Snapshot;
use zubi_wire::nft::ElementSeen;

/// An element without a record.
pub(crate) struct Stray {
    pub(crate) element: zubi_wire::nft::Element,
    /// Its key in words.
    pub(crate) words: String,
}

/// Elements of maps and of exact sets that no record asks for. Intervals belong to networks and are deleted with them.
pub(crate) fn stray_elements(
    session: &mut Session,
    snapshot: &mut Snapshot,
    wanted: &HashSet<(String, Vec<ElementSeen>)>,
) -> Result<Vec<Stray>, Error> {
    let mut strays = Vec::new();
    for set in firewall::sets() {
        if set.shape != zubi_wire::nft::Shape::Exact && set.data.is_empty() {
            continue;
        }
        for seen in elements(session, snapshot, &set.name)? {
            let raw = vec![seen.clone()];
            if wanted.contains(&(set.name.clone(), raw)) {
                continue;
            }
            if let Some(element) = seen.element(&set) {
                strays.push(Stray { element, words: seen.describe(&set) });
            }
        }
    }
    strays.sort_by(|a, b| a.words.cmp(&b.words));
    Ok(strays)
}
