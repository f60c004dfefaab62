//! The printed report: one markdown table for each topic, and the goals.

use crate::sample::Sample;
use std::fmt;

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new(title: &str, head: &[&str]) -> Self {
        let head = head.iter().map(|word| (*word).to_owned()).collect();
        Table { title: title.into(), head, rows: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// A sentence below the table.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## {}\n", self.title)?;
        writeln!(f, "| {} |", self.head.join(" | "))?;
        let rule: Vec<&str> =
            self.head.iter().enumerate().map(|(at, _)| if at == 0 { "---" } else { "---:" }).collect();
        writeln!(f, "|{}|", rule.join("|"))?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// Whether a goal is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Held,
    Missed,
    /// Missed, while the raw kernel's own rounds were unsteady.
    Busy,
    /// A number without a limit, or one that could not be measured here.
    Open,
}

impl Verdict {
    /// Met when the value exists and is within the limit.
    pub(crate) fn at_most(value: Option<f64>, limit: Option<f64>) -> Self {
        match (value, limit) {
            (Some(value), Some(limit)) if value <= limit => Verdict::Held,
            (Some(_), Some(_)) => Verdict::Missed,
            _ => Verdict::Open,
        }
    }

    /// For a time: a miss says nothing while the raw kernel's own rounds are unsteady.
    pub(crate) fn unless_busy(self, raw: &Sample) -> Self {
        if self == Verdict::Missed && raw.is_unsteady() { Verdict::Busy } else { self }
    }
}

/// A goal and its measurement.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) words: String,
    pub(crate) measured: String,
    pub(crate) verdict: Verdict,
}

/// The results of one topic.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) tables: Vec<Table>,
    pub(crate) goals: Vec<Goal>,
}

impl Findings {
    pub(crate) fn goal(&mut self, goal: impl Into<String>, measured: impl Into<String>, verdict: Verdict) {
        self.goals.push(Goal { words: goal.into(), measured: measured.into(), verdict });
    }
}

/// The table of goals.
pub(crate) fn goals(goals: &[Goal]) -> Table {
    let mut table = Table::new("Goals", &["goal", "measured", ""]);
    for goal in goals {
        let verdict = match goal.verdict {
            Verdict::Held => "held",
            Verdict::Missed => "**missed**",
            Verdict::Busy => "too busy to judge",
            Verdict::Open => "-",
        };
        table.row(vec![goal.words.clone(), goal.measured.clone(), verdict.into()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown_with_numbers_to_the_right() {
        let mut table = Table::new("Times", &["who", "ms"]);
        table.row(vec!["raw kernel".into(), "0.44".into()]);
        table.note("In turns.");
        let shown = table.to_string();
        assert_eq!(shown, "\n## Times\n\n| who | ms |\n|---|---:|\n| raw kernel | 0.44 |\n\nIn turns.\n");
    }

    #[test]
    fn a_goal_without_a_number_is_neither_held_nor_missed() {
        assert_eq!(Verdict::at_most(None, Some(4.0)), Verdict::Open);
        assert_eq!(Verdict::at_most(Some(4.0), Some(4.0)), Verdict::Held);
        assert_eq!(Verdict::at_most(Some(4.1), Some(4.0)), Verdict::Missed);
    }
    #[test]
    fn a_goal_is_not_missed_while_the_raw_kernel_is_unsteady() {
        let mut raw = Sample::new();
        for ms in [1.0, 1.0, 1.0, 1.0, 3.0, 3.0] {
            raw.push(ms);
        }
        let missed = Verdict::at_most(Some(5.0), Some(4.0));
        assert_eq!(missed.unless_busy(&raw), Verdict::Busy);
        assert_eq!(missed.unless_busy(&Sample::new()), Verdict::Missed);
        assert_eq!(Verdict::at_most(Some(3.0), Some(4.0)).unless_busy(&raw), Verdict::Held);
    }
}
