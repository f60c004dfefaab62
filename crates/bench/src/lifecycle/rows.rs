//! The measurements of one run, by size and contender.

use crate::contender::Kind;
use crate::launch::Cost;
use crate::sample::{Sample, ratio};

#[derive(Default, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) existing: u16,
    pub(super) attach: Sample,
    pub(super) detach: Sample,
    pub(super) gone: Sample,
    pub(super) cost: [Cost; 2],
}

pub(super) type Rows = [(u16, Kind, Row)];

pub(super) fn find<'a>(rows: &'a Rows, size: u16, kind: &Kind) -> Option<&'a Row> {
    rows.iter().find(|(s, k, _)| *s == size && k == kind).map(|(_, _, row)| row)
}

/// For each contender that `kind` replaces: how many times as long it takes, in their order.
pub(super) fn faster(rows: &Rows, size: u16, kind: &Kind, median: impl Fn(&Row) -> Option<f64>) -> Vec<(Kind, f64)> {
    let Some(own) = find(rows, size, kind).and_then(&median) else { return Vec::new() };
    let peers = rows.iter().filter(|(s, other, _)| *s == size && kind.stands_in_for(other));
    peers.filter_map(|(_, peer, row)| Some((peer.clone(), ratio(median(row), Some(own))?))).collect()
}
