//! Method calls between files: a type whose `impl` blocks stand in several files ties these together, although none
//! imports another.

use crate::graph::Graph;
use crate::rust_tokens::{Token, generics_end};
use crate::sources::Sources;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Types in fewer files than this are left out.
const SPREAD: usize = 3;

/// An arrow for each call of a method that only the other file defines. Both files have an `impl` of a type that is
/// spread over files.
pub(crate) fn arrows(sources: &Sources) -> Graph {
    let mut homes: BTreeMap<&str, BTreeSet<&Path>> = BTreeMap::new();
    for (file, tokens) in sources {
        for name in types(tokens) {
            homes.entry(name).or_default().insert(file);
        }
    }
    let files: BTreeSet<&Path> = homes.into_values().filter(|files| files.len() >= SPREAD).flatten().collect();
    let mut definers: BTreeMap<&str, BTreeSet<&Path>> = BTreeMap::new();
    for file in &files {
        for method in methods(&sources[*file]) {
            definers.entry(method).or_default().insert(file);
        }
    }
    let mut graph = Graph::default();
    for file in files {
        for method in calls(&sources[file]) {
            if let Some(definer) = definers.get(method).filter(|all| all.len() == 1).and_then(BTreeSet::first) {
                graph.add(file, definer, method);
            }
        }
    }
    graph
}

/// The types with an inherent `impl`.
fn types(tokens: &[Token]) -> impl Iterator<Item = &str> {
    let is_item = |at: usize| at == 0 || matches!(tokens[at - 1], Token::Sign(';' | '}' | ']'));
    let impls = (0..tokens.len()).filter(move |at| tokens[*at].is_word("impl") && is_item(*at));
    impls.filter_map(|at| {
        let name = generics_end(tokens, at + 1);
        let body = tokens.get(generics_end(tokens, name + 1))?;
        let is_inherent = *body == Token::Sign('{') || body.is_word("where");
        tokens[name].word().filter(|_| is_inherent)
    })
}

/// The functions that take `self`.
fn methods(tokens: &[Token]) -> impl Iterator<Item = &str> {
    let functions = (0..tokens.len()).filter(|at| tokens[*at].is_word("fn"));
    functions.filter_map(|at| {
        let parameters = generics_end(tokens, at + 2);
        let mut inside = tokens.get(parameters..)?.iter();
        let opens = inside.next() == Some(&Token::Sign('('));
        let first = inside.find(|token| **token != Token::Sign('&') && !token.is_word("mut"))?;
        tokens[at + 1].word().filter(|_| opens && first.is_word("self"))
    })
}

/// The methods that are called on `self`, a variable or a field.
fn calls(tokens: &[Token]) -> impl Iterator<Item = &str> {
    tokens.windows(4).filter_map(|four| match four {
        [Token::Word(_), Token::Sign('.'), Token::Word(method), Token::Sign('(')] => Some(method.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::crate_of;

    fn shown(files: &[(&str, &str)]) -> Vec<String> {
        let graph = arrows(&crate_of(files));
        let all: BTreeSet<&Path> = files.iter().map(|(name, _)| Path::new(*name)).collect();
        let line = |(from, to, names)| format!("{from:?} -> {to:?}: {names:?}").replace('"', "");
        graph.within(&all).map(|arrow: (&Path, &Path, &BTreeSet<String>)| line(arrow)).collect()
    }

    const THIRD: (&str, &str) = ("c.rs", "impl<'a> Engine<'a> where X: Y { }");

    #[test]
    fn calls_by_self_a_variable_and_a_field_count() {
        let files = [
            ("a.rs", "impl Engine { fn a(&self) { self.b1(); engine.b2(1); self.inner.b3(); Engine::b4(self) } }"),
            (
                "b.rs",
                "impl Engine { fn b1(&mut self) {} fn b2<T: Fn() -> u8>(&'a self) {} fn b3(mut self) {} fn b4(self) {} }",
            ),
            THIRD,
        ];
        assert_eq!(shown(&files), ["a.rs -> b.rs: {b1, b2, b3}"]);
    }

    #[test]
    fn a_method_that_two_files_define_does_not_count() {
        let files = [
            ("a.rs", "impl Engine { fn a(&self) { self.b() } }"),
            ("b.rs", "impl Engine { fn b(&self) {} }"),
            ("c.rs", "impl Engine { } impl Other { fn b(&self) {} }"),
        ];
        assert_eq!(shown(&files), [""; 0]);
    }

    #[test]
    fn types_in_two_files_and_impls_of_traits_do_not_count() {
        let files = [
            ("a.rs", "impl Engine { fn a(&self) { self.b() } }"),
            ("b.rs", "impl Engine { fn b(&self) {} }"),
            ("c.rs", "impl Drop for Engine { fn drop(&mut self) { } }"),
        ];
        assert_eq!(shown(&files), [""; 0]);
    }
}
