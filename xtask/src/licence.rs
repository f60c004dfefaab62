//! Licence expressions (SPDX specification, annex "SPDX license expressions") and whether we can accept them.

/// Licences that may be linked into a program under MIT OR Apache-2.0 and ask only for their text to be kept.
const ALLOWED: [&str; 12] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "0BSD",
    "Zlib",
    "Unlicense",
    "Unicode-3.0",
    "Apache-2.0 WITH LLVM-exception",
    "CC0-1.0",
    "BSL-1.0",
];

/// Whether allowed licences alone satisfy the expression. An unreadable expression fails.
pub(crate) fn is_satisfiable(expression: &str) -> bool {
    // Before expressions, cargo used `MIT/Apache-2.0` for a choice.
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words };
    reader.choice() == Some(true) && reader.words.is_empty()
}

/// Parses by falling precedence: WITH binds closest, then AND, then OR.
struct Reader<'a> {
    words: &'a [&'a str],
}

impl<'a> Reader<'a> {
    fn choice(&mut self) -> Option<bool> {
        let mut allowed = self.conjunction()?;
        while self.take("OR") {
            allowed |= self.conjunction()?;
        }
        Some(allowed)
    }

    fn conjunction(&mut self) -> Option<bool> {
        let mut allowed = self.one()?;
        while self.take("AND") {
            allowed &= self.one()?;
        }
        Some(allowed)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let allowed = self.choice()?;
            return self.take(")").then_some(allowed);
        }
        // `+`: this version or a later one, so this version is a valid choice.
        let licence = self.name()?.trim_end_matches('+');
        if self.take("WITH") {
            let exception = self.name()?;
            return Some(ALLOWED.contains(&format!("{licence} WITH {exception}").as_str()));
        }
        Some(ALLOWED.contains(&licence))
    }

    fn name(&mut self) -> Option<&'a str> {
        let (name, rest) = self.words.split_first()?;
        if matches!(*name, "AND" | "OR" | "WITH" | "(" | ")") {
            return None;
        }
        self.words = rest;
        Some(name)
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_needs_one_allowed_licence() {
        for yes in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "LGPL-2.1-or-later/MIT",
            "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
            "Apache-2.0+",
        ] {
            assert!(is_satisfiable(yes), "{yes}");
        }
        for no in ["GPL-3.0-only", "GPL-2.0/GPL-3.0", "mit", "MPL-2.0"] {
            assert!(!is_satisfiable(no), "{no}");
        }
    }

    #[test]
    fn a_conjunction_needs_all_and_binds_closer_than_a_choice() {
        assert!(is_satisfiable("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(is_satisfiable("MIT AND ISC"));
        assert!(is_satisfiable("MIT OR ISC AND GPL-3.0-only"));
        assert!(is_satisfiable("GPL-3.0-only AND ISC OR MIT"));
        assert!(!is_satisfiable("(MIT OR ISC) AND GPL-3.0-only"));
        assert!(!is_satisfiable("MIT AND GPL-3.0-only"));
    }

    #[test]
    fn an_exception_is_judged_with_its_licence() {
        assert!(is_satisfiable("Apache-2.0 WITH LLVM-exception"));
        assert!(is_satisfiable("GPL-2.0-only WITH Classpath-exception-2.0 OR Apache-2.0 WITH LLVM-exception"));
        assert!(!is_satisfiable("GPL-2.0-only WITH LLVM-exception"));
        assert!(!is_satisfiable("MIT WITH some-restriction"));
    }

    #[test]
    fn what_is_no_expression_is_not_satisfied() {
        for bad in ["", "OR", "MIT OR", "MIT Apache-2.0", "(MIT", "MIT)", "MIT WITH", "AND MIT", "()", "MIT / "] {
            assert!(!is_satisfiable(bad), "{bad:?}");
        }
    }
}
