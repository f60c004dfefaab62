//! A template as a tree.

use super::function::Function;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// Printed as it is.
    Text(String),
    /// `{{.Name | upper}}`
    Print(Pipe),
    /// `{{$n := .Name}}`
    Set(String, Pipe),
    /// `{{if .A}}..{{else}}..{{end}}`, and `with` and `range`.
    Branch {
        /// The word at its head.
        kind: Branch,
        /// The value that decides.
        on: Pipe,
        /// Up to `else` or `end`.
        then: Vec<Node>,
        /// From `else` on.
        otherwise: Vec<Node>,
    },
}

/// How a part is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Branch {
    /// If the value is true.
    If,
    /// If the value is true, which becomes the dot.
    With,
    /// For each element, which becomes the dot. The names of the variables for key and element, if there are any.
    Range {
        /// A list's index, or an object's key.
        key: Option<String>,
        /// The element.
        element: Option<String>,
    },
}

/// `.Name | upper`: each part but the first gets the value before it as its last word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pipe {
    pub(crate) first: Part,
    pub(crate) functions: Vec<Call>,
}

/// The first part of a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// `.Name`
    Word(Word),
    /// `json .Name`
    Call(Call),
}

/// A function and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) function: Function,
    pub(crate) words: Vec<Word>,
}

/// A value in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// `"text"`
    Text(String),
    /// `7`
    Number(i64),
    /// `true`
    Bool(bool),
    /// `.Name.Part`, `$v.Part`, `(index .List 0).Part`
    Path(From, Vec<String>),
}

/// Where a path starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// The value that the template, a `range` or a `with` is about.
    Dot,
    /// `$`: the value that the template is about.
    Root,
    /// `$v`
    Variable(String),
    /// `(..)`
    Group(Box<Pipe>),
}

impl Pipe {
    /// The name of the last field in it.
    pub(crate) fn last_name(&self) -> Option<&str> {
        let words = match &self.first {
            Part::Word(word) => std::slice::from_ref(word),
            Part::Call(call) => &call.words,
        };
        words.iter().rev().find_map(|word| match word {
            Word::Path(from, names) => match (names.last(), from) {
                (Some(name), _) => Some(name.as_str()),
                (None, From::Group(pipe)) => pipe.last_name(),
                (None, _) => None,
            },
            _ => None,
        })
    }
}
