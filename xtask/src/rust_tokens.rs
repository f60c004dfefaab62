//! Rust source as tokens: enough to find items, paths and calls (The Rust Reference, "Lexical structure").

/// A token. Literals, comments and lifetimes are left out; numbers are words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A keyword, a name, a number.
    Word(String),
    /// `::`
    Colons,
    /// `->` or `=>`: its `>` closes nothing.
    Arrow,
    /// Any other sign.
    Sign(char),
}

impl Token {
    /// The text of a word.
    pub(crate) fn word(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(crate) fn is_word(&self, text: &str) -> bool {
        self.word() == Some(text)
    }
}

/// Splits source text.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '/' if rest.starts_with("//") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, block_comment(rest)),
            '"' => (None, string(rest, 0)),
            'r' | 'b' | 'c' if raw_hashes(rest).is_some() => (None, raw_string(rest)),
            'b' | 'c' if rest[1..].starts_with('"') => (None, string(rest, 1)),
            'b' if rest[1..].starts_with('\'') => (None, 1 + character_or_lifetime(&rest[1..])),
            '\'' => (None, character_or_lifetime(rest)),
            ':' if rest.starts_with("::") => (Some(Token::Colons), 2),
            '-' | '=' if rest[1..].starts_with('>') => (Some(Token::Arrow), 2),
            _ if first.is_alphanumeric() || first == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                (Some(Token::Word(rest[..length].to_owned())), length)
            }
            _ if first.is_whitespace() => (None, first.len_utf8()),
            _ => (Some(Token::Sign(first)), first.len_utf8()),
        };
        found.extend(token);
        rest = &rest[length..];
    }
    found
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of a string with escapes, whose quote stands at `start`.
fn string(text: &str, start: usize) -> usize {
    let mut escaped = false;
    for (at, c) in text[start + 1..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return start + 1 + at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The number of `#` of a raw string that begins here.
fn raw_hashes(text: &str) -> Option<usize> {
    let behind = text.strip_prefix(['b', 'c']).unwrap_or(text).strip_prefix('r')?;
    let hashes = behind.len() - behind.trim_start_matches('#').len();
    behind[hashes..].starts_with('"').then_some(hashes)
}

fn raw_string(text: &str) -> usize {
    let end = format!("\"{}", "#".repeat(raw_hashes(text).unwrap_or(0)));
    let Some(start) = text.find('"') else { return text.len() };
    text[start + 1..].find(&end).map_or(text.len(), |at| start + 1 + at + end.len())
}

fn character_or_lifetime(text: &str) -> usize {
    let mut inside = text[1..].chars();
    match inside.next() {
        Some('\\') => {
            let escaped = 2 + inside.next().map_or(0, char::len_utf8);
            text[escaped..].find('\'').map_or(text.len(), |at| escaped + at + 1)
        }
        Some(c) if inside.next() == Some('\'') => 1 + c.len_utf8() + 1,
        _ => 1 + text[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len() - 1),
    }
}

/// Leaves out each item behind `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            while tokens.get(at) == Some(&Token::Sign('#')) {
                at = group_end(tokens, at + 1);
            }
            at = item_end(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn is_test_attribute(tokens: &[Token]) -> bool {
    let Some((head, rest)) = tokens.split_at_checked(4) else { return false };
    let is_cfg = head[0] == Token::Sign('#') && head[1] == Token::Sign('[') && head[2].is_word("cfg");
    let word = |at: usize| rest.get(at).and_then(Token::word);
    is_cfg && (word(0) == Some("test") || word(0) == Some("all") && word(2) == Some("test"))
}

/// Behind the `;` or the body that ends the item at `at`.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    loop {
        match tokens.get(at) {
            None => return at,
            Some(Token::Sign(';')) => return at + 1,
            Some(Token::Sign('{')) => return group_end(tokens, at),
            Some(Token::Sign('(' | '[')) => at = group_end(tokens, at),
            Some(_) => at += 1,
        }
    }
}

/// Behind the bracket that closes the one at `at`.
pub(crate) fn group_end(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (end, token) in tokens.iter().enumerate().skip(at) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return end + 1;
        }
    }
    tokens.len()
}

/// Behind the generic parameters that begin at `at`, if any do.
pub(crate) fn generics_end(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (end, token) in tokens.iter().enumerate().skip(at) {
        match token {
            Token::Sign('<') => depth += 1,
            Token::Sign('>') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return if *token == Token::Sign('>') { end + 1 } else { at };
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tokens: &[Token]) -> String {
        let words = tokens.iter().map(|token| match token {
            Token::Word(word) => word.clone(),
            Token::Colons => "::".into(),
            Token::Arrow => "->".into(),
            Token::Sign(sign) => sign.to_string(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        let text = r##"a /* x /* y */ z */ "b \" c" r#"d " e"# b"f" br"g" 'h' '\'' '\u{1f}' b'i' 'life c"j" k // l"##;
        assert_eq!(shown(&tokens(text)), "a k");
    }

    #[test]
    fn paths_arrows_and_numbers_stay() {
        assert_eq!(shown(&tokens("fn raw(b: r::B) -> u8 { x.0 }")), "fn raw ( b : r :: B ) -> u8 { x . 0 }");
    }

    #[test]
    fn items_of_tests_are_left_out_and_what_follows_them_stays() {
        let text = "#[cfg(test)] mod scratch; a #[cfg(test)] #[allow(x)] fn f() -> [u8; 2] { { } } b \
                    #[cfg(all(test, unix))] mod tests { fn c() {} } d #[cfg(unix)] e";
        assert_eq!(shown(&without_tests(&tokens(text))), "a b d # [ cfg ( unix ) ] e");
    }
}
