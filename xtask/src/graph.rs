//! Which file needs which, and the circles among them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Arrows between files, each with the names that make it.
#[derive(Debug, Default)]
pub(crate) struct Graph(BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>);

impl Graph {
    /// Adds an arrow. One from a file to itself does not count.
    pub(crate) fn add(&mut self, from: &Path, to: &Path, name: &str) {
        if from != to {
            let arrows = self.0.entry(from.to_owned()).or_default();
            arrows.entry(to.to_owned()).or_default().insert(name.to_owned());
        }
    }

    /// The groups of files that all reach each other, of two files or more, the largest first.
    pub(crate) fn circles(&self) -> Vec<BTreeSet<&Path>> {
        let reached: BTreeMap<&Path, BTreeSet<&Path>> =
            self.0.keys().map(|from| (from.as_path(), self.reached(from))).collect();
        let mut circles = BTreeSet::new();
        for (file, others) in &reached {
            let back = |other: &&Path| reached.get(other).is_some_and(|all| all.contains(file));
            let circle: BTreeSet<&Path> = others.iter().copied().filter(back).collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        let mut circles: Vec<_> = circles.into_iter().collect();
        circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
        circles
    }

    /// The arrows between these files.
    pub(crate) fn within<'a>(
        &'a self,
        files: &'a BTreeSet<&Path>,
    ) -> impl Iterator<Item = (&'a Path, &'a Path, &'a BTreeSet<String>)> {
        let arrows = self.0.iter().flat_map(|(from, all)| all.iter().map(move |(to, names)| (from, to, names)));
        let inside = |path: &PathBuf| files.contains(path.as_path());
        arrows
            .filter(move |(from, to, _)| inside(from) && inside(to))
            .map(|(a, b, names)| (a.as_path(), b.as_path(), names))
    }

    /// Every file that arrows lead to from `start`.
    fn reached(&self, start: &Path) -> BTreeSet<&Path> {
        let next = |from: &Path| self.0.get(from).into_iter().flat_map(|all| all.keys().map(PathBuf::as_path));
        let mut reached = BTreeSet::new();
        let mut open: Vec<&Path> = next(start).collect();
        while let Some(file) = open.pop() {
            if reached.insert(file) {
                open.extend(next(file));
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(arrows: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut graph = Graph::default();
        for (from, to) in arrows {
            graph.add(Path::new(from), Path::new(to), "x");
        }
        let words = |circle: BTreeSet<&Path>| circle.into_iter().map(|file| file.display().to_string()).collect();
        graph.circles().into_iter().map(words).collect()
    }

    #[test]
    fn two_circles_that_are_joined_one_way_stay_two() {
        let arrows = [("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "c")];
        assert_eq!(circles(&arrows), [vec!["c", "d", "e"], vec!["a", "b"]]);
    }

    #[test]
    fn files_that_only_lead_into_a_circle_or_out_of_it_are_no_part() {
        assert_eq!(circles(&[("in", "a"), ("a", "b"), ("b", "a"), ("b", "out")]), [["a", "b"]]);
    }

    #[test]
    fn arrows_in_one_direction_and_to_itself_are_no_circle() {
        assert_eq!(circles(&[("a", "b"), ("b", "c"), ("a", "c"), ("c", "c")]), [[""; 0]; 0]);
    }
}
