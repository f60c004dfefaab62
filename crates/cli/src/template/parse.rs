//! Reads a template into a tree.

use super::function::{Function, check_format, named};
use super::tree::{Branch, Call, From, Node, Part, Pipe, Word};

/// Reads a template; an error names what is not understood.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut parser = Parser { pieces: pieces(text)?.into_iter(), variables: Vec::new() };
    let (nodes, end) = parser.block(None)?;
    match end {
        Ending::Text => Ok(nodes),
        Ending::Else(action) => Err(format!("`{{{{{action}}}}}` belongs to nothing")),
        Ending::Word => Err("`{{end}}` ends nothing".into()),
    }
}

/// A piece of the text.
enum Piece {
    Text(String),
    /// What stands between `{{` and `}}`.
    Action(String),
}

/// Cuts the text at its actions. Blanks beside `{{-` and `-}}` and comments are left out.
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trims = false;
    let shown = |text: &str, trims: bool| {
        // Docker reads `\t` and `\n`, which a shell passes on as two characters.
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        if trims { text.trim_start().to_owned() } else { text }
    };
    while let Some((before, after)) = rest.split_once("{{") {
        let mut before = shown(before, trims);
        let mut inside = after;
        if let Some(trimming) = after.strip_prefix('-').filter(|after| after.starts_with(char::is_whitespace)) {
            before.truncate(before.trim_end().len());
            inside = trimming;
        }
        pieces.push(Piece::Text(before));
        let length = length_of_action(inside)?;
        rest = &inside[length + "}}".len()..];
        let mut action = &inside[..length];
        let trimming = action.strip_suffix('-').filter(|action| action.ends_with(char::is_whitespace));
        trims = trimming.is_some();
        action = trimming.unwrap_or(action).trim();
        if !action.starts_with("/*") {
            pieces.push(Piece::Action(action.to_owned()));
        }
    }
    pieces.push(Piece::Text(shown(rest, trims)));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    Ok(pieces)
}

/// The length of an action, up to its `}}`. In quotes and comments `}}` is text.
fn length_of_action(inside: &str) -> Result<usize, String> {
    if inside.trim_start().starts_with("/*") {
        let behind = inside.find("*/").map(|at| at + "*/".len());
        let ends = |at: &usize| matches!(inside[*at..].trim_start(), rest if rest.starts_with("}}") || rest.starts_with("-}}"));
        let found = behind.filter(ends).and_then(|at| Some(at + inside[at..].find("}}")?));
        return found.ok_or_else(|| "`{{/*` without `*/}}`".to_owned());
    }
    let mut quote = None;
    let mut is_escaped = false;
    for (at, c) in inside.char_indices() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some('"') if c == '\\' => is_escaped = true,
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '`' => quote = Some(c),
            None if inside[at..].starts_with("}}") => return Ok(at),
            Some(_) | None => {}
        }
    }
    Err("`{{` without `}}`".into())
}

/// What a block ends with.
enum Ending {
    /// The template's own end.
    Text,
    /// `{{else}}` or `{{else if ..}}`, as it stands there.
    Else(String),
    /// `{{end}}`
    Word,
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    /// The variables that are set here, the innermost last.
    variables: Vec<String>,
}

impl Parser {
    /// Reads up to the end of a block; `head` is the action that it begins with.
    fn block(&mut self, head: Option<&str>) -> Result<(Vec<Node>, Ending), String> {
        let outside = self.variables.len();
        let mut nodes = Vec::new();
        let end = loop {
            let action = match self.pieces.next() {
                None if head.is_none() => break Ending::Text,
                None => return Err(format!("`{{{{{}}}}}` has no {{{{end}}}}", head.unwrap_or_default())),
                Some(Piece::Text(text)) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Some(Piece::Action(action)) => action,
            };
            let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((&action, ""));
            match word {
                "end" if rest.is_empty() => break Ending::Word,
                "else" => break Ending::Else(action),
                "if" | "with" | "range" => nodes.push(self.branch(word, rest, &action)?),
                _ => nodes.push(self.simple(&action)?),
            }
        };
        self.variables.truncate(outside);
        Ok((nodes, end))
    }

    /// A branch, up to its `{{end}}`.
    fn branch(&mut self, word: &str, rest: &str, action: &str) -> Result<Node, String> {
        let outside = self.variables.len();
        let mut tokens = Tokens::read(rest, action)?;
        let kind = match word {
            "if" => Branch::If,
            "with" => Branch::With,
            _ => {
                let (key, element) = tokens.variables_of_range()?;
                Branch::Range { key, element }
            }
        };
        let on = tokens.whole_pipe(&self.variables)?;
        if let Branch::Range { key, element } = &kind {
            self.variables.extend(key.iter().chain(element).cloned());
        }
        let (then, end) = self.block(Some(action))?;
        self.variables.truncate(outside);
        let otherwise = match end {
            Ending::Else(other) => self.otherwise(&other, action)?,
            Ending::Word | Ending::Text => Vec::new(),
        };
        Ok(Node::Branch { kind, on, then, otherwise })
    }

    /// What follows `{{else}}`; `{{else if ..}}` is a branch that ends with the whole.
    fn otherwise(&mut self, action: &str, head: &str) -> Result<Vec<Node>, String> {
        let rest = action.strip_prefix("else").unwrap_or_default().trim_start();
        if rest.is_empty() {
            return match self.block(Some(head))? {
                (nodes, Ending::Word | Ending::Text) => Ok(nodes),
                (_, Ending::Else(_)) => Err(format!("`{{{{{head}}}}}` has a second {{{{else}}}}")),
            };
        }
        match rest.split_once(char::is_whitespace) {
            Some((word @ ("if" | "with"), on)) => Ok(vec![self.branch(word, on, rest)?]),
            _ => Err(format!("`{{{{{action}}}}}` is not understood")),
        }
    }

    /// A value to print, or a variable to set.
    fn simple(&mut self, action: &str) -> Result<Node, String> {
        let mut tokens = Tokens::read(action, action)?;
        if let [Token::Path(From::Variable(name), path), Token::Declare, ..] = tokens.left()
            && path.is_empty()
        {
            let name = name.clone();
            tokens.skip(2);
            let pipe = tokens.whole_pipe(&self.variables)?;
            self.variables.push(name.clone());
            return Ok(Node::Set(name, pipe));
        }
        Ok(Node::Print(tokens.whole_pipe(&self.variables)?))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    Number(i64),
    Path(From, Vec<String>),
    Bar,
    Open,
    /// `)`, and the path behind it.
    Close(Vec<String>),
    Comma,
    Declare,
}

/// The tokens of one action.
struct Tokens<'a> {
    all: Vec<Token>,
    at: usize,
    action: &'a str,
}

impl<'a> Tokens<'a> {
    fn read(mut text: &str, action: &'a str) -> Result<Self, String> {
        let mut all = Vec::new();
        loop {
            text = text.trim_start();
            let Some(c) = text.chars().next() else { return Ok(Tokens { all, at: 0, action }) };
            let (token, length) = match c {
                '|' => (Token::Bar, 1),
                '(' => (Token::Open, 1),
                ',' => (Token::Comma, 1),
                ':' if text.starts_with(":=") => (Token::Declare, 2),
                ')' => {
                    let (names, length) = names(&text[1..]);
                    (Token::Close(names), 1 + length)
                }
                '.' => {
                    let (names, length) = names(text);
                    // A dot alone is the value itself.
                    (Token::Path(From::Dot, names), length.max(1))
                }
                '$' => {
                    let name = word(&text[1..]);
                    let (names, length) = names(&text[1 + name.len()..]);
                    let from = if name.is_empty() { From::Root } else { From::Variable(name.to_owned()) };
                    (Token::Path(from, names), 1 + name.len() + length)
                }
                '"' | '`' => {
                    let (content, length) = quoted(text)?;
                    (Token::Text(content), length)
                }
                _ => {
                    let length = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
                    let name = &text[..length.unwrap_or(text.len())];
                    match (name.parse(), word(name)) {
                        (Ok(number), _) => (Token::Number(number), name.len()),
                        (_, whole) if !whole.is_empty() && whole == name => (Token::Name(name.to_owned()), name.len()),
                        _ => {
                            let unknown = if name.is_empty() { c.to_string() } else { name.to_owned() };
                            return Err(format!("`{unknown}` in `{{{{{action}}}}}` is not understood"));
                        }
                    }
                }
            };
            all.push(token);
            text = &text[length..];
        }
    }

    fn left(&self) -> &[Token] {
        &self.all[self.at..]
    }

    fn skip(&mut self, count: usize) {
        self.at += count;
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.left().first().cloned();
        self.at += usize::from(token.is_some());
        token
    }

    fn unknown(&self) -> String {
        format!("`{{{{{}}}}}` is not understood; use --json and jq", self.action)
    }

    /// `$key, $element :=` or `$element :=` at the head of a range.
    fn variables_of_range(&mut self) -> Result<(Option<String>, Option<String>), String> {
        if !self.left().contains(&Token::Declare) {
            return Ok((None, None));
        }
        let is_bare = |path: &[String]| path.is_empty();
        let (found, count) = match self.left() {
            [Token::Path(From::Variable(element), path), Token::Declare, ..] if is_bare(path) => {
                ((None, Some(element.clone())), 2)
            }
            [
                Token::Path(From::Variable(key), of_key),
                Token::Comma,
                Token::Path(From::Variable(element), path),
                Token::Declare,
                ..,
            ] if is_bare(of_key) && is_bare(path) => ((Some(key.clone()), Some(element.clone())), 4),
            _ => return Err(self.unknown()),
        };
        self.skip(count);
        Ok(found)
    }

    /// A pipe up to the end of the action.
    fn whole_pipe(&mut self, variables: &[String]) -> Result<Pipe, String> {
        if self.left().is_empty() {
            return Err(format!("`{{{{{}}}}}` has no value", self.action));
        }
        let pipe = self.pipe(variables)?;
        if self.left().is_empty() { Ok(pipe) } else { Err(self.unknown()) }
    }

    fn pipe(&mut self, variables: &[String]) -> Result<Pipe, String> {
        let first = if let Some(call) = self.function(variables, 0)? {
            Part::Call(call)
        } else {
            match <[Word; 1]>::try_from(self.words(variables)?) {
                Ok([word]) => Part::Word(word),
                Err(words) if words.is_empty() => return Err(self.unknown()),
                Err(_) => {
                    let name = self.action.split_whitespace().next().unwrap_or_default();
                    return Err(format!("`{name}` takes no words; use --json and jq"));
                }
            }
        };
        let mut functions = Vec::new();
        while self.left().first() == Some(&Token::Bar) {
            self.skip(1);
            if self.left().is_empty() {
                return Err(format!("`{{{{{}}}}}` has nothing behind `|`", self.action));
            }
            let call = self.function(variables, 1)?;
            functions.push(call.ok_or_else(|| format!("`{{{{{}}}}}`: only a function takes a pipe", self.action))?);
        }
        Ok(Pipe { first, functions })
    }

    /// A function with its words, if the next token is the name of one. `piped`: the words that come from a pipe.
    fn function(&mut self, variables: &[String], piped: usize) -> Result<Option<Call>, String> {
        let Some(Token::Name(name)) = self.left().first().filter(|token| !is_bool(token)) else { return Ok(None) };
        let function = named(name)?;
        self.skip(1);
        let words = self.words(variables)?;
        function.takes(words.len() + piped)?;
        if let (Function::Printf, Some(Word::Text(format))) = (function, words.first()) {
            check_format(format)?;
        }
        Ok(Some(Call { function, words }))
    }

    fn words(&mut self, variables: &[String]) -> Result<Vec<Word>, String> {
        let mut words = Vec::new();
        loop {
            let word = match self.left().first() {
                Some(Token::Text(text)) => Word::Text(text.clone()),
                Some(Token::Number(number)) => Word::Number(*number),
                Some(token @ Token::Name(name)) if is_bool(token) => Word::Bool(name == "true"),
                Some(Token::Name(name)) => {
                    // A function among the words stands in brackets.
                    named(name)?;
                    return Err(self.unknown());
                }
                Some(Token::Path(From::Variable(name), _)) if !variables.contains(name) => {
                    return Err(format!("variable ${name} is not set"));
                }
                Some(Token::Path(from, names)) => Word::Path(from.clone(), names.clone()),
                Some(Token::Open) => {
                    self.skip(1);
                    let pipe = self.pipe(variables)?;
                    match self.next() {
                        Some(Token::Close(names)) => words.push(Word::Path(From::Group(Box::new(pipe)), names)),
                        _ => return Err(format!("`{{{{{}}}}}` has `(` without `)`", self.action)),
                    }
                    continue;
                }
                Some(Token::Bar | Token::Close(_) | Token::Comma | Token::Declare) | None => return Ok(words),
            };
            self.skip(1);
            words.push(word);
        }
    }
}

fn is_bool(token: &Token) -> bool {
    matches!(token, Token::Name(name) if name == "true" || name == "false")
}

/// The letters, digits and `_` at the start of a text.
fn word(text: &str) -> &str {
    let length = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    &text[..length.unwrap_or(text.len())]
}

/// The names of `.Name.Part` at the start of a text, and their length.
fn names(text: &str) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    let mut length = 0;
    while let Some(name) = text[length..].strip_prefix('.').map(word).filter(|name| !name.is_empty()) {
        names.push(name.to_owned());
        length += 1 + name.len();
    }
    (names, length)
}

/// The content of the quotes at the start of a text, and the length of both.
fn quoted(text: &str) -> Result<(String, usize), String> {
    let mut content = String::new();
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    while let Some((at, c)) = chars.next() {
        match c {
            _ if Some(c) == quote => return Ok((content, at + 1)),
            '\\' if quote == Some('"') => match chars.next() {
                Some((_, 'n')) => content.push('\n'),
                Some((_, 't')) => content.push('\t'),
                Some((_, c @ ('"' | '\\'))) => content.push(c),
                other => {
                    let escape = other.map_or_else(String::new, |(_, c)| c.to_string());
                    return Err(format!("`\\{escape}` is not understood; there are: \\n, \\t, \\\", \\\\"));
                }
            },
            _ => content.push(c),
        }
    }
    Err("a quote has no end".into())
}
