//! ASCII tables with a title in their first border.
//!
//! ```text
//! + Cluster: main (72776942) ---+
//! | Member | Host     | Role    |
//! +--------+----------+---------+
//! | a      | 10.0.0.1 | Leader  |
//! +--------+----------+---------+
//! ```

use unicode_width::UnicodeWidthStr;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Align {
    Left,
    Right,
}

pub struct Column {
    pub title: String,
    pub align: Align,
}

pub struct Table {
    /// Written over the first border from its second character on, and cut where the border ends.
    pub title: Option<String>,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Without a newline at the end.
    pub fn render(&self) -> String {
        let widths = self.widths();
        let border = border(&widths);
        let head: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
        let mut lines = vec![self.title.as_ref().map_or(border.clone(), |title| with_title(&border, title))];
        lines.extend(self.row_lines(&head, &widths));
        lines.push(border.clone());
        let ruled = self.rows.iter().flatten().any(|cell| cell.contains('\n'));
        for (i, row) in self.rows.iter().enumerate() {
            lines.extend(self.row_lines(row, &widths));
            if ruled && i + 1 < self.rows.len() {
                lines.push(border.clone());
            }
        }
        lines.push(border);
        lines.join("\n")
    }

    fn widths(&self) -> Vec<usize> {
        self.columns.iter().enumerate().map(|(i, column)| self.width(i, column)).collect()
    }

    fn width(&self, i: usize, column: &Column) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(i)).chain([&column.title]);
        cells.flat_map(|cell| cell.lines()).map(UnicodeWidthStr::width).max().unwrap_or(0)
    }

    /// As many lines as the tallest cell has.
    fn row_lines(&self, row: &[String], widths: &[usize]) -> Vec<String> {
        let cells: Vec<Vec<&str>> = row.iter().map(|cell| cell.lines().collect()).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let line = |number: usize| {
            let parts = self.columns.iter().enumerate().map(|(i, column)| {
                let text = cells.get(i).and_then(|lines| lines.get(number)).copied().unwrap_or("");
                pad(text, widths[i], column.align)
            });
            format!("| {} |", parts.collect::<Vec<_>>().join(" | "))
        };
        (0..height).map(line).collect()
    }
}

fn border(widths: &[usize]) -> String {
    let parts: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
    format!("+{}+", parts.join("+"))
}

fn with_title(border: &str, title: &str) -> String {
    let room = border.len().saturating_sub(2);
    let title: String = title.chars().take(room).collect();
    format!("{}{title}{}", &border[..1], &border[1 + title.chars().count()..])
}

fn pad(text: &str, width: usize, align: Align) -> String {
    let blanks = " ".repeat(width.saturating_sub(text.width()));
    match align {
        Align::Left => format!("{text}{blanks}"),
        Align::Right => format!("{blanks}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(title: Option<&str>, rows: &[[&str; 2]], expected: &[&str]) {
        let column = |title: &str, align| Column { title: title.to_owned(), align };
        let table = Table {
            title: title.map(str::to_owned),
            columns: vec![column("Name", Align::Left), column("TL", Align::Right)],
            rows: rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect(),
        };
        assert_eq!(table.render(), expected.join("\n"));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_on_the_screen() {
        let rows = [["a", "5"], ["日本x", "10"]];
        let expected = [
            "+-------+----+",
            "| Name  | TL |",
            "+-------+----+",
            "| a     |  5 |",
            "| 日本x | 10 |",
            "+-------+----+",
        ];
        check(None, &rows, &expected);
    }

    #[test]
    fn a_title_takes_the_place_of_the_border_and_no_more() {
        check(Some(" A "), &[], &["+ A ---+----+", "| Name | TL |", "+------+----+", "+------+----+"]);
        check(Some(" longer than it "), &[], &["+ longer tha+", "| Name | TL |", "+------+----+", "+------+----+"]);
    }

    #[test]
    fn cells_of_several_lines_make_rules_between_all_rows() {
        let rows = [["a\nb", "1"], ["c", "2"]];
        let rule = "+------+----+";
        check(
            None,
            &rows,
            &[rule, "| Name | TL |", rule, "| a    |  1 |", "| b    |    |", rule, "| c    |  2 |", rule],
        );
    }
}
