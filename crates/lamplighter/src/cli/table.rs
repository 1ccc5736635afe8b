//! Tables as kubectl prints them: no borders, columns aligned by what a terminal shows.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

/// Spaces between columns.
const GAP: usize = 3;

/// A piece of text with an optional style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Plain text. What a terminal would obey instead of show is escaped, because names come from other people.
    pub(crate) fn new(text: &str) -> Self {
        Self::styled(text, Style::new())
    }

    /// Text with a style, used where colours are on.
    pub(crate) fn styled(text: &str, style: Style) -> Self {
        Self { text: printable(text), style }
    }

    fn width(&self) -> usize {
        self.text.width()
    }

    fn write(&self, line: &mut String, colours: bool) {
        if colours && self.style != Style::new() {
            line.push_str(&format!("{}{}{}", self.style.render(), self.text, self.style.render_reset()));
        } else {
            line.push_str(&self.text);
        }
    }
}

/// The table of `rows` under `header`, each line ended. Empty cells of the last columns leave no spaces behind.
pub(crate) fn render(header: &[&str], rows: &[Vec<Cell>], colours: bool) -> String {
    let header: Vec<Cell> = header.iter().map(|title| Cell::styled(title, Style::new().bold())).collect();
    let lines: Vec<&Vec<Cell>> = std::iter::once(&header).chain(rows).collect();
    let columns = header.len();
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(Cell::width).max().unwrap_or(0))
        .collect();
    let mut table = String::new();
    for line in lines {
        let used = line.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
        for (column, (cell, width)) in line.iter().zip(&widths).take(used).enumerate() {
            cell.write(&mut table, colours);
            if column + 1 < used {
                table.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + GAP));
            }
        }
        table.push('\n');
    }
    table
}

/// `text` on one line and without characters that steer a terminal or turn the direction of text.
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// `text` cut to at most `columns` columns of a terminal, with an ellipsis in place of what is missing.
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut shown = String::new();
    for c in text.chars() {
        let next = format!("{shown}{c}");
        if next.width() + 1 > columns {
            break;
        }
        shown = next;
    }
    shown + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstyle::AnsiColor;
    use expect_test::expect;

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec![Cell::new("batch-1"), Cell::new("日本語"), Cell::new("")],
            vec![Cell::new("batch-22"), Cell::styled("é", AnsiColor::Red.on_default()), Cell::new("x")],
        ]
    }

    #[test]
    fn columns_are_aligned_by_display_width() {
        expect![[r"
            ID         NAME     LAST
            batch-1    日本語
            batch-22   é        x
        "]]
        .assert_eq(&render(&["ID", "NAME", "LAST"], &rows(), false));
    }

    #[test]
    fn colours_do_not_move_columns() {
        expect![[r#""\u{1b}[1mID\u{1b}[0m         \u{1b}[1mNAME\u{1b}[0m     \u{1b}[1mLAST\u{1b}[0m\nbatch-1    日本語\nbatch-22   \u{1b}[31mé\u{1b}[0m        x\n""#]]
            .assert_eq(&format!("{:?}", render(&["ID", "NAME", "LAST"], &rows(), true)));
    }

    #[test]
    fn nothing_steers_the_terminal() {
        expect![[r"a\u{1b}[2J\nb\u{202e}"]].assert_eq(&printable("a\x1b[2J\nb\u{202e}"));
    }

    #[test]
    fn long_text_is_cut_by_width() {
        expect!["日本…"].assert_eq(&shorten("日本語日本語", 5));
        expect!["abc"].assert_eq(&shorten("abc", 3));
    }
}
