//! Prints an object by a tree.

use super::tree::{Branch, Call, From, Node, Part, Pipe, Word};
use super::value::Value;
use serde_json::Value as Json;
use std::borrow::Cow;

/// The text for an object; an error names what does not fit it.
pub(super) fn evaluate(nodes: &[Node], object: &Json) -> Result<String, String> {
    let root = Value::Data(Cow::Borrowed(object));
    let mut printer = Printer { root: root.clone(), variables: Vec::new(), text: String::new() };
    printer.print(nodes, &root)?;
    Ok(printer.text)
}

struct Printer<'v> {
    root: Value<'v>,
    /// The innermost ones are the last.
    variables: Vec<(String, Value<'v>)>,
    text: String,
}

impl<'v> Printer<'v> {
    /// Prints a block; the variables that are set in it end with it.
    fn print(&mut self, nodes: &[Node], dot: &Value<'v>) -> Result<(), String> {
        let outside = self.variables.len();
        for node in nodes {
            match node {
                Node::Text(text) => self.text.push_str(text),
                Node::Print(pipe) => {
                    let text = self.pipe(pipe, dot)?.text();
                    self.text.push_str(&text);
                }
                Node::Set(name, pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    self.variables.push((name.clone(), value));
                }
                Node::Branch { kind, on, then, otherwise } => {
                    let value = self.pipe(on, dot)?;
                    self.branch(kind, &value, then, otherwise, dot)?;
                }
            }
        }
        self.variables.truncate(outside);
        Ok(())
    }

    fn branch(
        &mut self,
        kind: &Branch,
        value: &Value<'v>,
        then: &[Node],
        otherwise: &[Node],
        dot: &Value<'v>,
    ) -> Result<(), String> {
        match kind {
            Branch::If if value.is_true() => self.print(then, dot),
            Branch::With if value.is_true() => self.print(then, value),
            Branch::If | Branch::With => self.print(otherwise, dot),
            Branch::Range { key, element } => {
                let elements = value.elements().ok_or("range needs a list or an object")?;
                if elements.is_empty() {
                    return self.print(otherwise, dot);
                }
                let outside = self.variables.len();
                for (at, one) in elements {
                    self.variables.extend(key.clone().map(|name| (name, at)));
                    self.variables.extend(element.clone().map(|name| (name, one.clone())));
                    self.print(then, &one)?;
                    self.variables.truncate(outside);
                }
                Ok(())
            }
        }
    }

    fn pipe(&self, pipe: &Pipe, dot: &Value<'v>) -> Result<Value<'v>, String> {
        let mut value = match &pipe.first {
            Part::Word(word) => self.word(word, dot)?,
            Part::Call(call) => self.call(call, None, dot)?,
        };
        for call in &pipe.functions {
            value = self.call(call, Some(value), dot)?;
        }
        Ok(value)
    }

    fn call(&self, call: &Call, piped: Option<Value<'v>>, dot: &Value<'v>) -> Result<Value<'v>, String> {
        let words = call.words.iter().map(|word| self.word(word, dot));
        call.function.call(&words.chain(piped.map(Ok)).collect::<Result<Vec<_>, _>>()?)
    }

    fn word(&self, word: &Word, dot: &Value<'v>) -> Result<Value<'v>, String> {
        let (from, names) = match word {
            Word::Text(text) => return Ok(Value::Text(text.clone())),
            Word::Number(number) => return Ok(Value::made(*number)),
            Word::Bool(is) => return Ok(Value::made(*is)),
            Word::Path(from, names) => (from, names),
        };
        let start = match from {
            From::Dot => dot.clone(),
            From::Root => self.root.clone(),
            From::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone()).ok_or_else(|| format!("variable ${name} is not set"))?
            }
            From::Group(pipe) => self.pipe(pipe, dot)?,
        };
        names.iter().try_fold(start, |value, name| value.field(name))
    }
}
