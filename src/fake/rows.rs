//! Result sets: fixed rows and generated ones of any size, in the three forms that the protocols carry.

mod types;

use std::fmt::Write as _;
use std::ops::Range;

use thrift::OrderedFloat;

pub(super) use self::types::Type;
use crate::idl::t_c_l_i_service as cli;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A column's name and type.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Type,
}

/// The source of rows.
#[derive(Clone, Debug)]
enum Source {
    Fixed(Vec<Vec<Value>>),
    Generated(u64),
}

/// A result set.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    source: Source,
}

impl Table {
    /// Rows that are already there; each has as many values as there are columns.
    pub(super) fn fixed(columns: &[(&str, Type)], rows: Vec<Vec<Value>>) -> Self {
        let columns =
            columns.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind }).collect();
        Self { columns, source: Source::Fixed(rows) }
    }

    /// `rows` rows of these types; the same arguments give the same rows on every coordinator.
    pub(super) fn generated(rows: u64, types: &[Type]) -> Self {
        let columns = types.iter().enumerate().map(|(index, kind)| {
            let name = match index {
                0 => "id".to_owned(),
                _ => format!("{}_{index}", kind.name()),
            };
            Column { name, kind: *kind }
        });
        Self { columns: columns.collect(), source: Source::Generated(rows) }
    }

    /// Whether every row has as many values as there are columns.
    #[cfg(test)]
    pub(super) fn is_regular(&self) -> bool {
        match &self.source {
            Source::Fixed(rows) => rows.iter().all(|row| row.len() == self.columns.len()),
            Source::Generated(_) => true,
        }
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> u64 {
        match &self.source {
            Source::Fixed(rows) => rows.len() as u64,
            Source::Generated(rows) => *rows,
        }
    }

    /// Keeps the first `rows` rows.
    pub(super) fn truncate(&mut self, rows: u64) {
        match &mut self.source {
            Source::Fixed(all) => all.truncate(usize::try_from(rows).unwrap_or(usize::MAX)),
            Source::Generated(all) => *all = rows.min(*all),
        }
    }

    /// The schema of an HS2 result; positions count from 0 (Impala: `impala-hs2-server.cc`
    /// `GetResultSetMetadata`).
    pub(super) fn schema(&self) -> cli::TTableSchema {
        let columns = self.columns.iter().zip(0..).map(|(column, position)| {
            cli::TColumnDesc::new(column.name.clone(), column.kind.descriptor(), position, None)
        });
        cli::TTableSchema::new(columns.collect())
    }

    /// The rows as columns (protocol V6; Impala: `hs2-util.cc`) or as rows (below it).
    pub(super) fn row_set(&self, range: Range<u64>, protocol: i32) -> cli::TRowSet {
        let start = i64::try_from(range.start).unwrap_or(i64::MAX);
        if protocol < cli::TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6.0 {
            let rows = range.map(|row| self.row(row)).collect();
            return cli::TRowSet::new(start, rows, None, None, None);
        }
        let columns = (0..self.columns.len()).map(|index| self.column(index, &range)).collect::<Vec<_>>();
        cli::TRowSet::new(start, Vec::new(), columns, None, None)
    }

    /// The rows in the form of Beeswax, with tabs between the values (Impala: `impala-beeswax-server.cc`
    /// `FetchInternal`).
    pub(super) fn lines(&self, range: Range<u64>) -> Vec<String> {
        let line = |row| {
            let mut line = String::new();
            for index in 0..self.columns.len() {
                if index > 0 {
                    line.push('\t');
                }
                write_text(&mut line, &self.value(row, index));
            }
            line
        };
        range.map(line).collect()
    }

    fn value(&self, row: u64, index: usize) -> Value {
        match &self.source {
            Source::Fixed(rows) => usize::try_from(row)
                .ok()
                .and_then(|row| rows.get(row)?.get(index))
                .cloned()
                .unwrap_or(Value::Null),
            // So that NULLs occur: every tenth value, but never in the first column.
            Source::Generated(_) if index > 0 && (row + index as u64) % 10 == 9 => Value::Null,
            Source::Generated(_) => {
                self.columns.get(index).map_or(Value::Null, |column| generate(column.kind, row))
            }
        }
    }

    fn column(&self, index: usize, range: &Range<u64>) -> cli::TColumn {
        let kind = self.columns.get(index).map_or(Type::Null, |column| column.kind);
        match kind {
            Type::Null | Type::Boolean => {
                let (values, nulls) = self.gather(index, range, as_bool);
                cli::TColumn::BoolVal(cli::TBoolColumn::new(values, nulls))
            }
            Type::TinyInt => {
                let (values, nulls) = self.gather(index, range, as_int::<i8>);
                cli::TColumn::ByteVal(cli::TByteColumn::new(values, nulls))
            }
            Type::SmallInt => {
                let (values, nulls) = self.gather(index, range, as_int::<i16>);
                cli::TColumn::I16Val(cli::TI16Column::new(values, nulls))
            }
            Type::Int => {
                let (values, nulls) = self.gather(index, range, as_int::<i32>);
                cli::TColumn::I32Val(cli::TI32Column::new(values, nulls))
            }
            Type::BigInt => {
                let (values, nulls) = self.gather(index, range, as_int::<i64>);
                cli::TColumn::I64Val(cli::TI64Column::new(values, nulls))
            }
            Type::Float | Type::Double => {
                let (values, nulls) = self.gather(index, range, as_double);
                cli::TColumn::DoubleVal(cli::TDoubleColumn::new(values, nulls))
            }
            Type::Binary => {
                let (values, nulls) = self.gather(index, range, as_bytes);
                cli::TColumn::BinaryVal(cli::TBinaryColumn::new(values, nulls))
            }
            _ => {
                let (values, nulls) = self.gather(index, range, as_text);
                cli::TColumn::StringVal(cli::TStringColumn::new(values, nulls))
            }
        }
    }

    /// The values of one column and the bits of its NULLs.
    fn gather<T: Default>(
        &self,
        index: usize,
        range: &Range<u64>,
        pick: impl Fn(Value) -> Option<T>,
    ) -> (Vec<T>, Vec<u8>) {
        let mut nulls = Vec::new();
        let mut bits = 0;
        let mut bit = 1u8;
        let values = range.clone().map(|row| {
            let value = pick(self.value(row, index));
            if value.is_none() {
                bits |= bit;
            }
            bit = bit.rotate_left(1);
            if bit == 1 {
                nulls.push(bits);
                bits = 0;
            }
            value.unwrap_or_default()
        });
        let values = values.collect();
        if bit != 1 || nulls.is_empty() {
            nulls.push(bits);
        }
        (values, nulls)
    }

    fn row(&self, row: u64) -> cli::TRow {
        let values = self.columns.iter().enumerate().map(|(index, column)| {
            let value = self.value(row, index);
            match column.kind {
                Type::Null | Type::Boolean => {
                    cli::TColumnValue::BoolVal(cli::TBoolValue::new(as_bool(value)))
                }
                Type::TinyInt => cli::TColumnValue::ByteVal(cli::TByteValue::new(as_int::<i8>(value))),
                Type::SmallInt => cli::TColumnValue::I16Val(cli::TI16Value::new(as_int::<i16>(value))),
                Type::Int => cli::TColumnValue::I32Val(cli::TI32Value::new(as_int::<i32>(value))),
                Type::BigInt => cli::TColumnValue::I64Val(cli::TI64Value::new(as_int::<i64>(value))),
                Type::Float | Type::Double => {
                    cli::TColumnValue::DoubleVal(cli::TDoubleValue::new(as_double(value)))
                }
                _ => cli::TColumnValue::StringVal(cli::TStringValue::new(as_text(value))),
            }
        });
        cli::TRow::new(values.collect())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "all pickers look alike")]
fn as_bool(value: Value) -> Option<bool> {
    if let Value::Bool(value) = value { Some(value) } else { None }
}

#[expect(clippy::needless_pass_by_value, reason = "all pickers look alike")]
fn as_int<T: TryFrom<i64>>(value: Value) -> Option<T> {
    if let Value::Int(value) = value { T::try_from(value).ok() } else { None }
}

#[expect(clippy::needless_pass_by_value, reason = "all pickers look alike")]
fn as_double(value: Value) -> Option<OrderedFloat<f64>> {
    if let Value::Double(value) = value { Some(OrderedFloat(value)) } else { None }
}

fn as_bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::Text(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        _ => None,
    }
}

fn write_text(line: &mut String, value: &Value) {
    let written = match value {
        Value::Null => line.write_str("NULL"),
        Value::Bool(value) => write!(line, "{value}"),
        Value::Int(value) => write!(line, "{value}"),
        Value::Double(value) => write!(line, "{value}"),
        Value::Text(text) => line.write_str(text),
        Value::Bytes(bytes) => line.write_str(&String::from_utf8_lossy(bytes)),
    };
    debug_assert!(written.is_ok(), "a string takes whatever is written");
}

#[expect(clippy::cast_precision_loss, reason = "a generated number is any number")]
fn generate(kind: Type, row: u64) -> Value {
    let below = |limit: u64| i64::try_from(row % limit).unwrap_or(0);
    match kind {
        Type::Null => Value::Null,
        Type::Boolean => Value::Bool(row.is_multiple_of(2)),
        Type::TinyInt => Value::Int(below(128)),
        Type::SmallInt => Value::Int(below(1 << 15)),
        Type::Int => Value::Int(below(1 << 31)),
        Type::BigInt => Value::Int(below(1 << 63)),
        Type::Float | Type::Double => Value::Double(row as f64 / 4.0),
        Type::String(length) | Type::Char(length) => {
            let mut text = row.to_string();
            let filler = length.saturating_sub(text.len());
            text.push_str(&"-".repeat(filler));
            text.truncate(length);
            Value::Text(text)
        }
        Type::Varchar(length) => {
            let mut text = format!("v{row}");
            text.truncate(length);
            Value::Text(text)
        }
        Type::Timestamp => {
            let (hour, minute, second) = (row / 3600 % 24, row / 60 % 60, row % 60);
            Value::Text(format!("2026-01-{:02} {hour:02}:{minute:02}:{second:02}", 1 + row / 86_400 % 28))
        }
        Type::Date => Value::Text(format!("2026-{:02}-{:02}", 1 + row / 28 % 12, 1 + row % 28)),
        Type::Binary => Value::Bytes(format!("b{row}").into_bytes()),
        Type::Decimal { precision, scale: 0 } => {
            Value::Text((row % 10u64.pow(u32::from(precision.min(18)))).to_string())
        }
        Type::Decimal { precision, scale } => {
            let whole = row % 10u64.pow(u32::from(precision.saturating_sub(scale).min(18)));
            let scale = usize::from(scale);
            Value::Text(format!(
                "{whole}.{:0scale$}",
                row % 10u64.pow(u32::try_from(scale.min(18)).unwrap_or(18))
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_row_has_a_value_for_every_type() {
        let table = Table::generated(20, &Type::ALL);
        for (index, column) in table.columns.iter().enumerate() {
            let null = |row| table.value(row, index) == Value::Null;
            assert!(!(0..20).all(null), "{}", column.name);
            assert_eq!((0..20).any(null), index > 0, "{}", column.name);
        }
        assert_eq!(table.lines(0..20).len(), 20);
    }

    #[test]
    fn the_bits_of_nulls_count_from_the_lowest() {
        let rows = (0..10).map(|row| vec![if row == 9 { Value::Null } else { Value::Int(row) }]).collect();
        let table = Table::fixed(&[("n", Type::Int)], rows);
        let (values, nulls) = table.gather(0, &(0..10), as_int::<i32>);
        assert_eq!(values.len(), 10);
        assert_eq!(nulls, [0, 2]);
    }

    #[test]
    fn old_protocols_get_rows_and_new_ones_columns() {
        let table = Table::generated(3, &Type::ALL);
        let rows = table.row_set(0..3, 0);
        assert_eq!((rows.rows.len(), rows.columns), (3, None));
        let columns = table.row_set(0..3, 5);
        assert_eq!(columns.columns.map(|columns| columns.len()), Some(Type::ALL.len()));
    }

    #[test]
    fn texts_have_the_length_that_was_asked_for() {
        assert_eq!(generate(Type::String(5), 12), Value::text("12---"));
        assert_eq!(generate(Type::Char(3), 123_456), Value::text("123"));
        assert_eq!(generate(Type::Decimal { precision: 9, scale: 2 }, 1234), Value::text("1234.34"));
    }
}
