//! Rows of the API as lines of text.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde_json::Value;

use crate::session::delegation::is_unseen;

/// A column, with the name that the API has for it.
pub(super) struct Column {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Seconds,
    Of(fn(&Value) -> String),
}

impl Column {
    pub(super) const fn text(name: &'static str) -> Self {
        Self { name, kind: Kind::Text }
    }

    /// To the right.
    pub(super) const fn number(name: &'static str) -> Self {
        Self { name, kind: Kind::Number }
    }

    /// A number of seconds, as people read it.
    pub(super) const fn seconds(name: &'static str) -> Self {
        Self { name, kind: Kind::Seconds }
    }

    /// What this function makes of a row.
    pub(super) const fn of(name: &'static str, make: fn(&Value) -> String) -> Self {
        Self { name, kind: Kind::Of(make) }
    }

    fn cell(&self, row: &Value) -> String {
        let text = match (self.kind, row.get(self.name)) {
            (Kind::Of(make), _) => make(row),
            (Kind::Seconds, Some(Value::Number(seconds))) => span(seconds.as_f64().unwrap_or_default()),
            (_, Some(Value::String(text))) => text.clone(),
            (_, None | Some(Value::Null)) => String::new(),
            (_, Some(other)) => other.to_string(),
        };
        // Users' names are whatever a client sent.
        let shown: String = text.chars().flat_map(printable).collect();
        if shown.is_empty() { "-".to_owned() } else { shown }
    }
}

/// A character as a terminal may have it: what could move its cursor, or hide, is written as an escape.
fn printable(character: char) -> impl Iterator<Item = char> {
    let is_plain = !is_unseen(character);
    let escaped = (!is_plain).then(|| character.escape_unicode()).into_iter().flatten();
    is_plain.then_some(character).into_iter().chain(escaped)
}

/// A duration in the largest unit of which it has ten.
fn span(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX).as_secs();
    let units = [(3600, "h"), (60, "m")];
    let (unit, name) = units.into_iter().find(|(unit, _)| whole >= 10 * unit).unwrap_or((1, "s"));
    format!("{}{name}", whole / unit)
}

/// A head line with the names, and a line for each row.
pub(super) struct Table<'a> {
    pub(super) columns: &'a [Column],
    pub(super) rows: &'a [Value],
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = |row| self.columns.iter().map(|column| column.cell(row)).collect::<Vec<_>>();
        let names = self.columns.iter().map(|column| column.name.to_owned()).collect();
        let lines: Vec<Vec<String>> = std::iter::once(names).chain(self.rows.iter().map(cells)).collect();
        for line in &lines {
            let mut text = String::new();
            for (place, (cell, column)) in line.iter().zip(self.columns).enumerate() {
                let all = lines.iter().filter_map(|line| line.get(place));
                let width = all.map(|cell| cell.chars().count()).max().unwrap_or_default();
                match column.kind {
                    Kind::Number | Kind::Seconds => write!(text, "{cell:>width$}  ")?,
                    Kind::Text | Kind::Of(_) => write!(text, "{cell:<width$}  ")?,
                }
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_stand_below_their_names() {
        let columns = [Column::text("user"), Column::number("open_operations"), Column::seconds("age")];
        let rows = [
            json!({"user": "ann", "open_operations": 2, "age": 61.5}),
            json!({"user": null, "open_operations": 12, "age": 7200.9}),
        ];
        let table = Table { columns: &columns, rows: &rows }.to_string();
        assert_eq!(
            table,
            "user  open_operations   age\n\
             ann                 2   61s\n\
             -                  12  120m\n"
        );
    }

    #[test]
    fn what_a_client_called_itself_moves_no_cursor() {
        let rows = [json!({"user": "a\u{1b}[2Jb\nc\u{202e}d\u{200b}"})];
        let table = Table { columns: &[Column::text("user")], rows: &rows }.to_string();
        assert_eq!(table, "user\na\\u{1b}[2Jb\\u{a}c\\u{202e}d\\u{200b}\n");
    }
}
