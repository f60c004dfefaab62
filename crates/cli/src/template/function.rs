//! The functions of templates: Go's and Docker's, as far as they need no types.

use super::value::Value;
use serde_json::Value as Json;
use zubi_model::visible;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Json,
    Upper,
    Lower,
    Len,
    Join,
    Split,
    Index,
    Eq,
    Ne,
    And,
    Or,
    Not,
    Print,
    Println,
    Printf,
}

/// Every function by its name, with the number of words that it takes.
pub(super) const NAMES: [(&str, Function, std::ops::RangeInclusive<usize>); 15] = [
    ("json", Function::Json, 1..=1),
    ("upper", Function::Upper, 1..=1),
    ("lower", Function::Lower, 1..=1),
    ("len", Function::Len, 1..=1),
    ("join", Function::Join, 2..=2),
    ("split", Function::Split, 2..=2),
    ("index", Function::Index, 2..=usize::MAX),
    ("eq", Function::Eq, 2..=usize::MAX),
    ("ne", Function::Ne, 2..=2),
    ("and", Function::And, 1..=usize::MAX),
    ("or", Function::Or, 1..=usize::MAX),
    ("not", Function::Not, 1..=1),
    ("print", Function::Print, 0..=usize::MAX),
    ("println", Function::Println, 0..=usize::MAX),
    ("printf", Function::Printf, 1..=usize::MAX),
];

/// The function of a name; an error lists all.
pub(super) fn named(name: &str) -> Result<Function, String> {
    let found = NAMES.iter().find(|(known, ..)| *known == name);
    found.map(|(_, function, _)| *function).ok_or_else(|| {
        let all: Vec<&str> = NAMES.iter().map(|(name, ..)| *name).collect();
        format!("`{name}` is not understood; there are: {}; or use --json and jq", all.join(", "))
    })
}

impl Function {
    /// Whether it takes so many words.
    pub(super) fn takes(self, count: usize) -> Result<(), String> {
        let Some((name, _, range)) = NAMES.iter().find(|(_, function, _)| *function == self) else { return Ok(()) };
        if range.contains(&count) {
            return Ok(());
        }
        let plural = if *range.start() == 1 { "" } else { "s" };
        Err(format!("{name} takes {} word{plural}, not {count}", range.start()))
    }

    /// Its value.
    pub(super) fn call<'v>(self, words: &[Value<'v>]) -> Result<Value<'v>, String> {
        let [first, rest @ ..] = words else {
            return Ok(Value::Text(if self == Function::Println { "\n" } else { "" }.to_owned()));
        };
        Ok(match self {
            Function::Json => Value::Text(visible(&first.json().to_string()).into_owned()),
            Function::Upper => Value::Text(first.text().to_uppercase()),
            Function::Lower => Value::Text(first.text().to_lowercase()),
            Function::Len => Value::made(first.len().ok_or("len needs a text, a list or an object")?),
            Function::Join => {
                let elements = match first {
                    Value::Data(json) if json.is_array() => first.elements(),
                    _ => None,
                };
                let texts = elements.ok_or("join needs a list")?.iter().map(|(_, one)| one.text()).collect::<Vec<_>>();
                Value::Text(texts.join(&all(rest)))
            }
            Function::Split => match first.json() {
                Json::String(text) => Value::made(text.split(&all(rest)).collect::<Vec<_>>()),
                _ => return Err("split needs a text".into()),
            },
            Function::Index => rest.iter().try_fold(first.clone(), |value, key| value.at(key))?,
            Function::Eq => Value::made(rest.iter().any(|other| other.json() == first.json())),
            Function::Ne => Value::made(rest.iter().all(|other| other.json() != first.json())),
            Function::And => words.iter().find(|word| !word.is_true()).or(words.last()).unwrap_or(first).clone(),
            Function::Or => words.iter().find(|word| word.is_true()).or(words.last()).unwrap_or(first).clone(),
            Function::Not => Value::made(!first.is_true()),
            Function::Print => Value::Text(all(words)),
            Function::Println => {
                let texts: Vec<String> = words.iter().map(Value::text).collect();
                Value::Text(texts.join(" ") + "\n")
            }
            Function::Printf => Value::Text(printf(&first.text(), rest)?),
        })
    }
}

fn all(words: &[Value<'_>]) -> String {
    words.iter().map(Value::text).collect()
}

/// The parts of a format: text, then the letter of a verb.
fn verbs(format: &str) -> Result<Vec<(&str, Option<char>)>, String> {
    let mut parts = Vec::new();
    let mut rest = format;
    while let Some((before, behind)) = rest.split_once('%') {
        let verb = behind.chars().next();
        match verb {
            Some('%') => parts.push((&rest[..=before.len()], None)),
            Some('s' | 'v' | 'd' | 'q') => parts.push((before, verb)),
            _ => {
                let verb = verb.map_or_else(String::new, String::from);
                return Err(format!("printf: `%{verb}` is not understood; there are: %s, %v, %d, %q, %%"));
            }
        }
        rest = &behind[1..];
    }
    parts.push((rest, None));
    Ok(parts)
}

/// Whether a format has verbs that are understood only.
pub(super) fn check_format(format: &str) -> Result<(), String> {
    verbs(format).map(drop)
}

fn printf(format: &str, words: &[Value<'_>]) -> Result<String, String> {
    let mut text = String::new();
    let mut words = words.iter();
    for (before, verb) in verbs(format)? {
        text.push_str(before);
        let Some(verb) = verb else { continue };
        let word = words.next().ok_or_else(|| format!("printf: there is no value for %{verb}"))?;
        text.push_str(&if verb == 'q' { Json::String(word.text()).to_string() } else { word.text() });
    }
    match words.len() {
        0 => Ok(text),
        more => Err(format!("printf: there are {more} values too many")),
    }
}
