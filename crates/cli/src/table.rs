//! Plain tables: columns as wide as their widest cell, two spaces between.

use zubi_model::visible;

/// Renders rows under a heading, one line each. `paint` gives the terminal's sequence for a cell's colour, by the
/// column's heading and the cell.
pub(crate) fn render_with(
    head: &[&str],
    rows: &[Vec<String>],
    paint: &dyn Fn(&str, &str) -> Option<&'static str>,
) -> String {
    // Escape before measuring: an escaped character is wider.
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
        cells.chain(head.get(column).map(|h| h.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).zip(head).map(|((cell, width), column)| match paint(column, cell) {
            Some(colour) => format!("{colour}{cell}\x1b[0m{:1$}", "", width - cell.chars().count()),
            None => format!("{cell:width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let body = rows.iter().map(|row| line(row.iter().map(AsRef::as_ref).collect()));
    std::iter::once(line(head.to_vec())).chain(body).collect()
}

#[cfg(test)]
mod tests {
    fn render(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
        super::render_with(head, rows, &|_, _| None).lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".into(), "10".into()], vec!["longer".into(), "1".into()]];
        assert_eq!(render(&["NAME", "N"], &rows), ["NAME    N", "a       10", "longer  1"]);
    }

    #[test]
    fn colour_takes_no_width() {
        let rows = [vec!["up".into(), "1".into()], vec!["down".into(), "2".into()]];
        let paint = |_: &str, cell: &str| ["up", "down"].contains(&cell).then_some("\x1b[32m");
        let lines = super::render_with(&["STATE", "N"], &rows, &paint);
        assert_eq!(lines, "STATE  N\n\x1b[32mup\x1b[0m     1\n\x1b[32mdown\x1b[0m   2\n");
    }

    #[test]
    fn columns_line_up_beside_characters_that_are_written_out() {
        let rows = [vec!["a\u{1b}b".into(), "1".into()], vec!["longer".into(), "2".into()]];
        assert_eq!(render(&["NAME", "N"], &rows), ["NAME    N", "a\\x1bb  1", "longer  2"]);
    }
}
