//! `--format`: the part of Go's templates that people type at Docker.
//!
//! # Limits
//!
//! Fields (`{{.IPAM.Driver}}`), `{{json .Field}}` and `{{index .Options "key"}}`. No range, no if, no pipes: `--json`
//! and jq are for those.

use serde_json::Value;
use std::str::FromStr;
use zubi_model::visible;

/// A template that was understood.
#[derive(Debug, Clone)]
pub(crate) enum Template {
    /// The word `json`: everything, on one line.
    Json,
    /// Text and fields.
    Pieces(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Field { path: Vec<String>, as_json: bool },
}

impl FromStr for Template {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "json" {
            return Ok(Template::Json);
        }
        if text == "table" || text.starts_with("table ") {
            return Err("`table` is not understood; zubi's own table is the answer without --format".into());
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((inside, after)) = after.split_once("}}") else { return Err("`{{` without `}}`".into()) };
            pieces.push(Piece::Text(plain(before)));
            pieces.push(field(inside.trim())?);
            rest = after;
        }
        pieces.push(Piece::Text(plain(rest)));
        if !pieces.iter().any(|piece| matches!(piece, Piece::Field { .. })) {
            return Err("has no field; write json or fields such as '{{.Name}}'".into());
        }
        Ok(Template::Pieces(pieces))
    }
}

/// Docker reads `\t` and `\n`, which a shell passes on as two characters.
fn plain(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

fn field(inside: &str) -> Result<Piece, String> {
    let unknown = || {
        format!(
            "`{{{{{inside}}}}}` is not understood; write {{{{.Field}}}} or {{{{json .Field}}}}, or use --json and jq"
        )
    };
    let dotted = |word: &str| {
        let path = word.strip_prefix('.').ok_or_else(unknown)?;
        let names: Vec<String> = path.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let fits = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if names.iter().all(fits) { Ok(names) } else { Err(unknown()) }
    };
    if let Some(word) = inside.strip_prefix("json ") {
        return Ok(Piece::Field { path: dotted(word.trim())?, as_json: true });
    }
    if let Some(words) = inside.strip_prefix("index ") {
        let (word, key) = words.trim().split_once(' ').ok_or_else(unknown)?;
        let mut path = dotted(word)?;
        path.push(key.trim().trim_matches('"').to_owned());
        return Ok(Piece::Field { path, as_json: false });
    }
    Ok(Piece::Field { path: dotted(inside)?, as_json: false })
}

impl Template {
    /// The line for an object; an error names the field that it does not have.
    pub(crate) fn line(&self, object: &Value) -> Result<String, String> {
        let pieces = match self {
            Template::Json => return Ok(object.to_string()),
            Template::Pieces(pieces) => pieces,
        };
        let mut line = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => line.push_str(text),
                Piece::Field { path, as_json } => {
                    let mut value = object;
                    for name in path {
                        value = value.get(name).ok_or_else(|| no_field(name, value))?;
                    }
                    match value {
                        // A label is anybody's text.
                        Value::String(text) if !as_json => line.push_str(&visible(text)),
                        other => line.push_str(&visible(&other.to_string())),
                    }
                }
            }
        }
        Ok(line)
    }
}

fn no_field(name: &str, value: &Value) -> String {
    let names: Vec<&str> = value.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let there = if names.is_empty() { String::new() } else { format!("; there are: {}", names.join(", ")) };
    format!("has no field {name}{there}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(template: &str) -> Result<String, String> {
        let object = json!({"Name": "blue", "Internal": false, "IPAM": {"Driver": "default"}, "Options": {"a.b": "1"}});
        template.parse::<Template>()?.line(&object)
    }

    #[test]
    fn fields_are_replaced() {
        assert_eq!(line("{{.Name}}\\t{{ .IPAM.Driver }} {{.Internal}}").unwrap(), "blue\tdefault false");
        assert_eq!(line("{{json .Name}} {{json .IPAM}}").unwrap(), r#""blue" {"Driver":"default"}"#);
        assert_eq!(line("{{index .Options \"a.b\"}}").unwrap(), "1");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in ["{{range .Containers}}{{end}}", "{{.Name", "name", "table {{.Name}}", "{{.Name | upper}}"] {
            assert!(bad.parse::<Template>().is_err(), "{bad}");
        }
        assert!(line("{{.Nmae}}").unwrap_err().contains("has no field Nmae; there are: IPAM"));
    }
}
