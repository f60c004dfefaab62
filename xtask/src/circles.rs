//! Circles of files within a crate: by imports none, by method calls at most three files.
//!
//! A file in a circle cannot be read, tested or changed without the others.
//!
//! # Limits
//! Both checks read text, not types. Code that a macro generates is invisible, and a method counts by its name alone.

use crate::error::Error;
use crate::graph::Graph;
use crate::sources::{self, Sources};
use crate::{imports, methods};
use std::path::Path;

/// The largest circle that method calls may make. Imports may make none.
const METHOD_LIMIT: usize = 3;

/// Every circle that is too large, in the crates below `crates` and in `xtask`, with the names that tie its files.
pub(crate) fn violations(workspace: &Path) -> Result<Vec<String>, Error> {
    let mut crates = sources::entries(&workspace.join("crates"))?;
    crates.push(workspace.join("xtask"));
    let mut found = Vec::new();
    for folder in crates.iter().filter(|folder| folder.join("src").is_dir()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        found.extend(of_crate(&name, &sources::read(&folder.join("src"))?));
    }
    Ok(found)
}

fn of_crate(name: &str, sources: &Sources) -> Vec<String> {
    let mut found = circles(name, "imports", &imports::arrows(sources), 1);
    found.extend(circles(name, "method calls", &methods::arrows(sources), METHOD_LIMIT));
    found
}

fn circles(name: &str, by: &str, graph: &Graph, limit: usize) -> Vec<String> {
    let too_large = graph.circles().into_iter().filter(|circle| circle.len() > limit);
    too_large
        .map(|circle| {
            let head = format!("{name}: circle of {} files by {by}:", circle.len());
            graph.within(&circle).fold(head, |text, (from, to, names)| {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("{text}\n    {} -> {}: {}", from.display(), to.display(), names.join(", "))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::crate_of;

    #[test]
    fn two_files_that_import_each_other_are_named_with_what_they_import() {
        let sources = crate_of(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::{Left, right};"),
            ("b.rs", "fn x() { crate::a::y() }"),
        ]);
        let expected = "house: circle of 2 files by imports:\n    a.rs -> b.rs: Left, right\n    b.rs -> a.rs: y";
        assert_eq!(of_crate("house", &sources), [expected]);
    }

    #[test]
    fn four_files_by_methods_are_too_many_and_three_are_not() {
        let file = |own: &str, calls: &str| format!("impl House {{ fn {own}(&self) {{ self.{calls}() }} }}");
        let [a, b, c, back] = [file("a", "b"), file("b", "c"), file("c", "d"), file("d", "a")];
        let four = crate_of(&[("a.rs", &a), ("b.rs", &b), ("c.rs", &c), ("d.rs", &back)]);
        assert_eq!(
            of_crate("house", &four),
            [
                "house: circle of 4 files by method calls:\n    a.rs -> b.rs: b\n    b.rs -> c.rs: c\n    c.rs -> d.rs: d\n    d.rs -> a.rs: a"
            ]
        );
        let closed = file("c", "a");
        assert_eq!(of_crate("house", &crate_of(&[("a.rs", &a), ("b.rs", &b), ("c.rs", &closed)])), [""; 0]);
    }
}
