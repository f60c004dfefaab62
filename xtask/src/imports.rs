//! Imports between files, by the paths they name: `use` items and paths in code that begin with `crate`, `self`,
//! `super` or a module.
//!
//! # How it works
//! The module tree follows from `mod` items (The Rust Reference, "Modules"). An arrow leads to the file that defines the
//! name: re-exports on the way are followed. A re-export alone is no arrow, since the file that has it does not need it.
//!
//! # Limits
//! A glob counts as the module it names, and a path inside an attribute's string not at all.

use crate::graph::Graph;
use crate::rust_tokens::{Token, group_end};
use crate::sources::Sources;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How many re-exports are followed in a row: two may name each other.
const FAR: u8 = 8;

/// An arrow for each name that a file takes from another file of the crate.
pub(crate) fn arrows(sources: &Sources) -> Graph {
    let mut graph = Graph::default();
    let is_root = |file: &Path| {
        file == Path::new("lib.rs") || file == Path::new("main.rs") || file.parent() == Some(Path::new("bin"))
    };
    for root in sources.keys().filter(|file| is_root(file)) {
        Tree::new(sources, root).add_arrows(&mut graph);
    }
    graph
}

/// A position in [`Tree::modules`].
type Id = usize;

/// The modules of a program or library; the first one is its root.
struct Tree<'a> {
    modules: Vec<Module<'a>>,
}

struct Module<'a> {
    file: &'a Path,
    parent: Option<Id>,
    children: BTreeMap<&'a str, Id>,
    uses: Vec<Use<'a>>,
    code: Vec<&'a Token>,
}

/// One name of a `use` item.
struct Use<'a> {
    path: Vec<&'a str>,
    /// The name it has here; `*` for all.
    name: &'a str,
    reach: Reach,
}

/// The visibility of the name of a `use` item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// This module alone: an import.
    Own,
    /// Other modules too: a re-export.
    Others,
}

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target<'p> {
    Module(Id),
    /// An item that this module defines, under the name that the path has for it.
    Item(Id, &'p str),
}

impl<'a> Tree<'a> {
    fn new(sources: &'a Sources, root: &'a Path) -> Self {
        let mut tree = Tree { modules: Vec::new() };
        tree.add(sources, root, None);
        tree
    }

    /// Adds a module and those below it.
    fn add(&mut self, sources: &'a Sources, file: &'a Path, parent: Option<Id>) -> Id {
        let (uses, code) = split(&sources[file]);
        let id = self.modules.len();
        self.modules.push(Module { file, parent, children: BTreeMap::new(), uses, code });
        for name in declared(&sources[file]) {
            if let Some((child, _)) =
                candidates(file, parent.is_none(), name).iter().find_map(|path| sources.get_key_value(path))
            {
                let child = self.add(sources, child, Some(id));
                self.modules[id].children.insert(name, child);
            }
        }
        id
    }

    fn add_arrows(&self, graph: &mut Graph) {
        for (id, module) in self.modules.iter().enumerate() {
            let mut add = |path: &[&str]| match self.resolve(id, path, FAR) {
                Some(Target::Module(to)) => graph.add(module.file, self.modules[to].file, path.last().unwrap_or(&"")),
                Some(Target::Item(to, name)) => graph.add(module.file, self.modules[to].file, name),
                None => {}
            };
            let is_used = |name: &str| module.code.iter().any(|token| token.is_word(name));
            for one in module.uses.iter().filter(|one| one.reach == Reach::Own || is_used(one.name)) {
                add(&one.path);
            }
            for path in paths(&module.code) {
                let imported = module.uses.iter().find(|one| one.name == path[0]);
                match imported.filter(|one| matches!(self.resolve(id, &one.path, FAR), Some(Target::Module(_)))) {
                    Some(import) => add(&[&import.path[..], &path[1..]].concat()),
                    None => add(&path),
                }
            }
        }
    }

    /// What a path in a module leads to; `None` when it is not of this crate.
    fn resolve<'p>(&self, from: Id, path: &[&'p str], far: u8) -> Option<Target<'p>> {
        let (first, rest) = path.split_first()?;
        let start = match *first {
            "crate" => 0,
            "self" => from,
            "super" => self.modules[from].parent?,
            child => *self.modules[from].children.get(child)?,
        };
        self.walk(start, rest, far)
    }

    fn walk<'p>(&self, module: Id, path: &[&'p str], far: u8) -> Option<Target<'p>> {
        let here = &self.modules[module];
        let Some((name, rest)) = path.split_first() else { return Some(Target::Module(module)) };
        match *name {
            "*" | "self" => Some(Target::Module(module)),
            "super" => self.walk(here.parent?, rest, far),
            name => {
                if let Some(child) = here.children.get(name) {
                    return self.walk(*child, rest, far);
                }
                let Some(named) = here.uses.iter().find(|one| one.name == name) else {
                    return Some(Target::Item(module, name));
                };
                let far = far.checked_sub(1)?;
                match self.resolve(module, &named.path, far)? {
                    Target::Module(module) => self.walk(module, rest, far),
                    Target::Item(module, _) => Some(Target::Item(module, name)),
                }
            }
        }
    }
}

/// Where the module `name` of a file may be.
fn candidates(file: &Path, is_root: bool, name: &str) -> [PathBuf; 2] {
    let folder = if is_root || file.ends_with("mod.rs") { file.with_file_name("") } else { file.with_extension("") };
    [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")]
}

/// The modules that `mod NAME;` declares.
fn declared(tokens: &[Token]) -> impl Iterator<Item = &str> {
    tokens.windows(3).filter_map(|three| match three {
        [word, Token::Word(name), Token::Sign(';')] if word.is_word("mod") => Some(name.as_str()),
        _ => None,
    })
}

/// The `use` items of a file, and all its other tokens.
fn split(tokens: &[Token]) -> (Vec<Use<'_>>, Vec<&Token>) {
    let (mut uses, mut code) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        // `impl Trait + use<'a>` is no item.
        if tokens[at].is_word("use") && tokens.get(at + 1) != Some(&Token::Sign('<')) {
            let end = tokens[at..].iter().position(|token| *token == Token::Sign(';')).map_or(tokens.len(), |n| at + n);
            let is_public = match at.checked_sub(1).map(|before| &tokens[before]) {
                Some(Token::Word(word)) => word == "pub",
                Some(Token::Sign(')')) => true,
                _ => false,
            };
            let reach = if is_public { Reach::Others } else { Reach::Own };
            read_use(&tokens[at + 1..end], &mut Vec::new(), reach, &mut uses);
            at = end;
        } else {
            code.push(&tokens[at]);
            at += 1;
        }
    }
    (uses, code)
}

/// Reads a use tree: `a::{b, c::*, self, d as e}`.
fn read_use<'a>(tokens: &'a [Token], path: &mut Vec<&'a str>, reach: Reach, uses: &mut Vec<Use<'a>>) {
    let length = path.len();
    let mut alias = None;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Sign('{') => {
                let end = group_end(tokens, at) - 1;
                for branch in branches(&tokens[at + 1..end]) {
                    read_use(branch, path, reach, uses);
                }
                path.truncate(length);
                return;
            }
            Token::Sign('*') => path.push("*"),
            Token::Word(word) if word == "as" => {
                alias = tokens.get(at + 1).and_then(Token::word);
                break;
            }
            Token::Word(word) => path.push(word),
            _ => {}
        }
        at += 1;
    }
    if path.len() > 1 && path.last() == Some(&"self") {
        path.pop();
    }
    if let Some(name) = alias.or(path.last().copied()) {
        uses.push(Use { path: path.clone(), name, reach });
    }
    path.truncate(length);
}

/// The parts between commas that stand in no further brackets.
fn branches(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth = 0;
    let parts = tokens.split(move |token| {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => depth -= 1,
            _ => {}
        }
        depth == 0 && *token == Token::Sign(',')
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// The paths in code: words between `::`. The one of `pub(in PATH)` says who may use a name, and uses none.
fn paths<'a>(code: &[&'a Token]) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        if matches!(&code[at..], [word, Token::Sign('('), into, ..] if word.is_word("pub") && into.is_word("in")) {
            at += code[at..].iter().position(|token| **token == Token::Sign(')')).unwrap_or(code.len() - at);
            continue;
        }
        let mut path = Vec::new();
        while let Some(word) = code.get(at).and_then(|token| token.word()) {
            path.push(word);
            at += 1;
            if code.get(at) != Some(&&Token::Colons) || code.get(at + 1).is_none_or(|next| next.word().is_none()) {
                break;
            }
            at += 1;
        }
        if path.is_empty() {
            at += 1;
        } else if path.len() > 1 {
            found.push(path);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::crate_of;
    use std::collections::BTreeSet;

    fn shown(files: &[(&str, &str)]) -> Vec<String> {
        let graph = arrows(&crate_of(files));
        let all: BTreeSet<&Path> = files.iter().map(|(name, _)| Path::new(*name)).collect();
        let lines = graph.within(&all);
        lines
            .map(|(from, to, names)| format!("{} -> {}: {names:?}", from.display(), to.display()).replace('"', ""))
            .collect()
    }

    #[test]
    fn every_form_of_a_path_is_read() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
            (
                "a.rs",
                "use crate::{b::{B1, x::{self as y, B2}}, c}; use super::d::*; fn f() -> c::C { self::g(); $crate::e::E::new() }",
            ),
            ("b.rs", ""),
            ("c.rs", ""),
            ("d.rs", ""),
            ("e.rs", ""),
        ];
        let expected = ["a.rs -> b.rs: {B1, x}", "a.rs -> c.rs: {C, c}", "a.rs -> d.rs: {*}", "a.rs -> e.rs: {E}"];
        assert_eq!(shown(&files), expected);
    }

    #[test]
    fn who_may_use_a_name_is_no_import() {
        let files = [("lib.rs", "mod a; mod b;"), ("a.rs", "pub(in crate::b) fn f() { crate::b::g() }"), ("b.rs", "")];
        assert_eq!(shown(&files), ["a.rs -> b.rs: {g}"]);
    }

    #[test]
    fn a_name_is_traced_through_re_exports_to_its_file() {
        let files = [
            ("lib.rs", "mod a; mod b; pub use a::A; pub use b::deep::D as E;"),
            ("a.rs", "use crate::E;"),
            ("b/mod.rs", "pub(crate) mod deep; pub use super::A;"),
            ("b/deep.rs", "use super::A;"),
        ];
        assert_eq!(shown(&files), ["a.rs -> b/deep.rs: {E}", "b/deep.rs -> a.rs: {A}"]);
    }

    #[test]
    fn a_re_export_counts_in_a_file_that_uses_the_name() {
        let a = ("a.rs", "use crate::Error;");
        assert_eq!(shown(&[("lib.rs", "mod a; pub use a::A; enum Error {}"), a]), ["a.rs -> lib.rs: {Error}"]);
        let both = ["a.rs -> lib.rs: {Error}", "lib.rs -> a.rs: {A}"];
        assert_eq!(shown(&[("lib.rs", "mod a; pub use a::A; enum Error { A(A) }"), a]), both);
    }

    #[test]
    fn folders_programs_and_modules_below_a_module_have_their_places() {
        let files = [
            ("bin/tool.rs", "mod part; fn main() { part::run(); other::run(); }"),
            ("bin/part.rs", ""),
            ("main.rs", "mod a; fn main() { a::b::run() }"),
            ("a.rs", "mod b;"),
            ("a/b.rs", "fn run() { super::super::main() }"),
        ];
        let expected = ["a/b.rs -> main.rs: {main}", "bin/tool.rs -> bin/part.rs: {run}", "main.rs -> a/b.rs: {run}"];
        assert_eq!(shown(&files), expected);
    }

    #[test]
    fn tests_and_other_crates_do_not_count() {
        let files = [
            ("lib.rs", "mod a; #[cfg(test)] mod scratch;"),
            (
                "a.rs",
                "use std::fmt; use lib::X; fn f() { fmt::x(); } #[cfg(test)] mod tests { use crate::scratch::S; }",
            ),
            ("scratch.rs", "use crate::a::A;"),
        ];
        assert_eq!(shown(&files), [""; 0]);
    }
}
