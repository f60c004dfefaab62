//! Plain tables: columns as wide as their widest cell, two spaces between.

use zubi_model::visible;

/// Renders rows under a heading, one line each.
pub(crate) fn render(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    // Escape before measuring: an escaped character is wider.
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count());
        cells.chain(head.get(column).map(|h| h.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let body = rows.iter().map(|row| line(row.iter().map(AsRef::as_ref).collect()));
    std::iter::once(line(head.to_vec())).chain(body).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".into(), "10".into()], vec!["longer".into(), "1".into()]];
        assert_eq!(super::render(&["NAME", "N"], &rows), ["NAME    N", "a       10", "longer  1"]);
    }

    #[test]
    fn columns_line_up_beside_characters_that_are_written_out() {
        let rows = [vec!["a\u{1b}b".into(), "1".into()], vec!["longer".into(), "2".into()]];
        assert_eq!(super::render(&["NAME", "N"], &rows), ["NAME    N", "a\\x1bb  1", "longer  2"]);
    }
}
