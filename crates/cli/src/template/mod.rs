//! `--format`: the part of Go's templates (text/template) that people type at Docker.
//!
//! # How it works
//! `parse` reads the text into a tree and refuses what it does not know by name; `evaluate` prints one object by the
//! tree, with the functions in `function`. A value of the object is printed without control characters; the
//! template's own text is printed as it is.
//!
//! # Limits
//! Fields, variables, `if`, `with`, `range`, pipes and the functions that [`function::NAMES`] lists. No `define`, no
//! `template`, no assignment to a variable that exists, no methods. An object or a list as a whole is printed as JSON.

mod evaluate;
mod function;
mod parse;
mod tree;
mod value;

use serde_json::Value as Json;
use std::str::FromStr;
use tree::Node;

/// A template that was understood.
#[derive(Debug, Clone)]
pub(crate) enum Template {
    /// The word `json`: everything, on one line.
    Json,
    /// A line for each object.
    Line(Vec<Node>),
    /// `table` before a line: its cells are separated by tabs.
    Table(Vec<Node>),
}

impl FromStr for Template {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "json" {
            return Ok(Template::Json);
        }
        let (is_table, line) = match text.strip_prefix("table") {
            Some(line) if line.is_empty() || line.starts_with(' ') => (true, line.trim_start()),
            _ => (false, text),
        };
        let nodes = parse::parse(line)?;
        if nodes.iter().all(|node| matches!(node, Node::Text(_))) {
            return Err("has no field; write json or fields such as '{{.Name}}'".into());
        }
        Ok(if is_table { Template::Table(nodes) } else { Template::Line(nodes) })
    }
}

impl Template {
    /// A template for objects that are shown one by one.
    pub(crate) fn of_one(text: &str) -> Result<Self, String> {
        match text.parse()? {
            Template::Table(_) => Err("`table` is for lists".into()),
            template => Ok(template),
        }
    }

    /// The line for an object; an error names what the object does not have.
    pub(crate) fn line(&self, object: &Json) -> Result<String, String> {
        match self {
            Template::Json => Ok(object.to_string()),
            Template::Line(nodes) | Template::Table(nodes) => evaluate::evaluate(nodes, object),
        }
    }

    /// The headings of a table.
    pub(crate) fn head(&self) -> Option<Vec<String>> {
        let Template::Table(nodes) = self else { return None };
        let line: String = nodes.iter().map(heading).collect();
        Some(line.split('\t').map(str::to_owned).collect())
    }
}

/// What stands above a part of a line: text as it is, a field by its name.
fn heading(node: &Node) -> String {
    match node {
        Node::Text(text) => text.clone(),
        Node::Print(pipe) | Node::Branch { on: pipe, .. } => pipe.last_name().map(spaced).unwrap_or_default(),
        Node::Set(..) => String::new(),
    }
}

/// `CreatedAt` as `CREATED AT`.
fn spaced(name: &str) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        words.extend(c.to_uppercase());
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line(template: &str) -> Result<String, String> {
        let object = json!({
            "Name": "blue",
            "Internal": false,
            "Attachable": true,
            "Ugly": "a\u{1b}b",
            "Tags": ["x", "y"],
            "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.1.0.0/24"}, {"Subnet": "fd00::/64"}]},
            "Options": {"a.b": "1"},
            "Containers": {"k1": {"Name": "c1"}, "k2": {"Name": "c2"}},
            "Labels": {},
        });
        template.parse::<Template>()?.line(&object)
    }

    /// Each template prints what stands beside it.
    fn prints(all: &[(&str, &str)]) {
        for (template, wanted) in all {
            assert_eq!(line(template).as_deref(), Ok(*wanted), "{template}");
        }
    }

    /// Each template is refused, in the named words, before there is an object.
    fn refused(all: &[(&str, &str)]) {
        for (template, words) in all {
            let why = template.parse::<Template>().expect_err(template);
            assert!(why.contains(words), "{template}: {why}");
        }
    }

    /// Each template is understood, and does not fit the object.
    fn does_not_fit(all: &[(&str, &str)]) {
        for (template, words) in all {
            let why = template.parse::<Template>().unwrap().line(&json!({"Name": "blue", "N": [1]})).unwrap_err();
            assert!(why.contains(words), "{template}: {why}");
        }
    }

    #[test]
    fn fields_are_replaced() {
        prints(&[
            ("{{.Name}}", "blue"),
            ("<{{ .IPAM.Driver }}> {{.Internal}}", "<default> false"),
            ("{{$.Name}}", "blue"),
            ("{{.Tags}} {{.Options}}", r#"["x","y"] {"a.b":"1"}"#),
        ]);
        does_not_fit(&[("{{.Nmae}}", "has no field Nmae; there are: N, Name"), ("{{.Name.X}}", "has no field X")]);
    }

    #[test]
    fn escapes_are_docker_s_in_text_and_go_s_in_quotes() {
        prints(&[
            ("{{.Name}}\\t{{.Name}}\\n", "blue\tblue\n"),
            (r#"{{"a\"b\n"}}{{.Name}}"#, "a\"b\nblue"),
            ("{{`a\\n`}}{{.Name}}", "a\\nblue"),
            (r#"{{"}}"}}{{.Name}}"#, "}}blue"),
        ]);
        refused(&[(r#"{{"a"#, "`{{` without `}}`"), (r#"{{"\q"}}"#, "`\\q`")]);
    }

    #[test]
    fn control_characters_of_a_value_are_shown_and_those_of_the_template_are_printed() {
        prints(&[
            ("{{.Ugly}}", "a\\x1bb"),
            ("{{upper .Ugly}}\\n", "A\\X1BB\n"),
            ("{{json .Ugly}}", r#""a\u001bb""#),
            (r#"{{join .Tags "\n"}}"#, "x\ny"),
        ]);
    }

    #[test]
    fn range_goes_through_lists_and_objects() {
        prints(&[
            ("{{range .IPAM.Config}}{{.Subnet}} {{end}}", "10.1.0.0/24 fd00::/64 "),
            ("{{range .Containers}}{{.Name}},{{end}}", "c1,c2,"),
            ("{{range $k, $v := .Containers}}{{$k}}={{$v.Name}} {{end}}", "k1=c1 k2=c2 "),
            ("{{range $v := .Tags}}{{$v}}{{$.Name}}{{end}}", "xblueyblue"),
            ("{{range $at, $v := .Tags}}{{$at}}{{end}}", "01"),
            ("{{range .Labels}}x{{else}}none{{end}}", "none"),
            ("{{range .Containers}}{{range $.Tags}}{{.}}{{end}};{{end}}", "xy;xy;"),
            ("{{range .IPAM.Config}}{{println .Subnet}}{{end}}", "10.1.0.0/24\nfd00::/64\n"),
        ]);
        refused(&[
            ("{{range .Tags}}x", "`{{range .Tags}}` has no {{end}}"),
            ("{{range $a b := .Tags}}{{end}}", "range $a b := .Tags"),
            ("{{range $v := .Tags}}{{end}}{{$v}}", "variable $v is not set"),
        ]);
        does_not_fit(&[("{{range .Name}}{{end}}", "range needs a list or an object")]);
    }

    #[test]
    fn if_and_with_choose() {
        prints(&[
            ("{{if .Internal}}in{{else}}out{{end}}", "out"),
            ("{{if .Attachable}}yes{{end}}", "yes"),
            ("{{if .Internal}}a{{else if .Attachable}}b{{else}}c{{end}}", "b"),
            (r#"{{if eq .Name "red" "blue"}}b{{end}}{{if ne .Name "blue"}}x{{end}}"#, "b"),
            ("{{if and .Attachable (not .Internal) (eq (len .Tags) 2)}}b{{end}}", "b"),
            ("{{if or .Internal .Labels}}x{{else}}none{{end}}", "none"),
            ("{{with .IPAM}}{{.Driver}}{{end}}{{with .Labels}}x{{else}}none{{end}}", "defaultnone"),
        ]);
        refused(&[
            ("{{if .A}}x", "has no {{end}}"),
            ("{{.A}}{{end}}", "`{{end}}` ends nothing"),
            ("{{else}}{{.A}}", "`{{else}}` belongs to nothing"),
            ("{{if .A}}{{else}}{{else}}{{end}}", "a second {{else}}"),
            ("{{if}}x{{end}}", "`{{if}}` has no value"),
        ]);
    }

    #[test]
    fn functions_take_words_and_pipes() {
        prints(&[
            ("{{json .Name}} {{json .IPAM.Driver}}", r#""blue" "default""#),
            ("{{.Tags | json}}", r#"["x","y"]"#),
            ("{{upper .Name}}{{.Name | upper | lower}}", "BLUEblue"),
            ("{{len .Containers}} {{len .Tags}} {{len .Name}}", "2 2 4"),
            (r#"{{join .Tags ","}} {{.Name | printf "%s!"}}"#, "x,y blue!"),
            (r#"{{printf "%s %v %q %d%%" .Name .Internal .Name (len .Tags)}}"#, r#"blue false "blue" 2%"#),
            (r#"{{index .Options "a.b"}}{{index .Options "none"}}"#, "1"),
            ("{{(index .IPAM.Config 1).Subnet}} {{index .Tags 0}}", "fd00::/64 x"),
            (r#"{{index (split .Name "l") 1}}"#, "ue"),
            ("{{with index .IPAM.Config 0}}{{.Subnet}}{{end}}", "10.1.0.0/24"),
            (r#"{{print .Name "-" 1 true}}"#, "blue-1true"),
            ("{{$n := .Name}}{{range .Tags}}{{$n}}{{end}}", "blueblue"),
        ]);
        refused(&[
            ("{{foo .Name}}", "`foo` is not understood; there are: json, "),
            ("{{.Name | truncate 3}}", "`truncate` is not understood"),
            ("{{.Name | .Id}}", "only a function takes a pipe"),
            ("{{.Label \"a\"}}", "`.Label` takes no words"),
            ("{{upper}}", "upper takes 1 word, not 0"),
            ("{{join .A}}", "join takes 2 words, not 1"),
            ("{{printf \"%5s\" .A}}", "`%5`"),
            ("{{template \"x\"}}", "`template` is not understood"),
            ("{{.A | }}", "nothing behind `|`"),
            ("{{(.A}}", "`(` without `)`"),
            ("{{.a-b}}", "`-b`"),
            ("{{}}", "`{{}}` has no value"),
            ("{{$x}}", "variable $x is not set"),
        ]);
        does_not_fit(&[
            ("{{len true}}", "len needs"),
            ("{{join .Name \",\"}}", "join needs a list"),
            ("{{index .N 7}}", "index 7: the list has 1"),
            ("{{index .Name 0}}", "index needs a list or an object"),
            ("{{printf \"%s\"}}", "printf: there is no value for %s"),
        ]);
    }

    #[test]
    fn blanks_are_trimmed_and_comments_print_nothing() {
        prints(&[
            ("a  {{- .Name -}}  \\n b", "ablueb"),
            ("a {{/* {{.X}} }} */}}{{.Name}}", "a blue"),
            ("a {{- /* c */ -}} {{.Name}}", "ablue"),
            ("{{range .Tags -}} {{.}} {{- end}}", "xy"),
        ]);
        refused(&[("{{/* a}}{{.Name}}", "`{{/*` without `*/}}`"), ("{{.Name -3}}", "takes no words")]);
    }

    #[test]
    fn a_table_has_headings() {
        let table = |text: &str| text.parse::<Template>().unwrap().head();
        let wanted = ["NAME", "CREATED AT", "ID"].map(str::to_owned);
        assert_eq!(table("table {{.Name}}\\t{{.CreatedAt | upper}}\\t{{.ID}}"), Some(wanted.to_vec()));
        assert_eq!(table("table {{.IPAM.Driver}}: {{json .X}}"), Some(vec!["DRIVER: X".to_owned()]));
        assert_eq!(table("{{.Name}}"), None);
        assert!(Template::of_one("table {{.Name}}").is_err());
        refused(&[("table", "has no field"), ("name", "has no field")]);
    }
}
