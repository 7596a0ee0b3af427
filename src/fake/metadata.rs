//! The small fixed catalog behind `SHOW`, `DESCRIBE` and the metadata calls, with ODBC's columns
//! (Impala: `MetadataOp.java`).

use super::rows::{Table, Type, Value};

const TEXT: Type = Type::String(0);

/// Databases and what they are for.
pub(super) const DATABASES: [(&str, &str); 3] =
    [("default", "Default Hive database"), ("demo", "Tables to look at"), ("functional", "")];

/// Every database has these tables.
const TABLES: [&str; 2] = ["numbers", "words"];

/// Columns of every table.
const COLUMNS: [(&str, &str, i64); 2] = [("id", "BIGINT", -5), ("name", "STRING", 12)];

/// `SHOW DATABASES`.
pub(super) fn databases() -> Table {
    let rows = DATABASES.iter().map(|(name, comment)| vec![Value::text(name), Value::text(comment)]);
    Table::fixed(&[("name", TEXT), ("comment", TEXT)], rows.collect())
}

/// `SHOW TABLES`.
pub(super) fn table_names(database: &str) -> Table {
    let known = DATABASES.iter().any(|(name, _)| name.eq_ignore_ascii_case(database));
    let rows = TABLES.iter().filter(|_| known).map(|name| vec![Value::text(name)]);
    Table::fixed(&[("name", TEXT)], rows.collect())
}

/// `DESCRIBE` of any table.
pub(super) fn description() -> Table {
    let rows = COLUMNS.iter().map(|(name, kind, _)| {
        vec![Value::text(name), Value::Text(kind.to_ascii_lowercase()), Value::text("")]
    });
    Table::fixed(&[("name", TEXT), ("type", TEXT), ("comment", TEXT)], rows.collect())
}

/// `SHOW STATEMENTS`: what a simulated coordinator understands.
pub(super) fn statements() -> Table {
    let examples = [
        "select 1, 'a' as b, true, null, 1.5",
        "select coordinator(), user(), effective_user(), current_database(), version()",
        "select * from rows(1000)",
        "select * from rows(1000, 14)",
        "select * from rows(1000, 'int, string(200), decimal(9,2)')",
        "select sleep(500)",
        "select fail('some text')",
        "use demo",
        "set all",
        "set mem_limit=1g",
        "unset all",
        "show databases",
        "show tables in demo",
        "show statements",
        "insert into t select * from rows(10)",
        "create table t (id int)",
        "explain select 1",
        "describe numbers",
    ];
    Table::fixed(&[("statement", TEXT)], examples.iter().map(|text| vec![Value::text(text)]).collect())
}

/// `GetCatalogs`: Impala has none.
pub(super) fn catalogs() -> Table {
    Table::fixed(&[("TABLE_CAT", TEXT)], Vec::new())
}

/// `GetTableTypes`.
pub(super) fn table_types() -> Table {
    Table::fixed(&[("TABLE_TYPE", TEXT)], vec![vec![Value::text("TABLE")], vec![Value::text("VIEW")]])
}

/// `GetSchemas`.
pub(super) fn schemas(pattern: Option<&str>) -> Table {
    let rows = DATABASES
        .iter()
        .filter(|(name, _)| matches(pattern, name))
        .map(|(name, _)| vec![Value::text(name), Value::text("")]);
    Table::fixed(&[("TABLE_SCHEM", TEXT), ("TABLE_CATALOG", TEXT)], rows.collect())
}

/// Every database with every table that fits the two patterns.
fn places<'a>(
    schema: Option<&'a str>,
    table: Option<&'a str>,
) -> impl Iterator<Item = (&'static str, &'static str)> + 'a {
    DATABASES
        .iter()
        .filter(move |(name, _)| matches(schema, name))
        .flat_map(|(name, _)| TABLES.iter().map(move |table| (*name, *table)))
        .filter(move |(_, name)| matches(table, name))
}

/// `GetTables`.
pub(super) fn tables(schema: Option<&str>, table: Option<&str>) -> Table {
    let rows = places(schema, table).map(|(schema, table)| {
        ["", schema, table, "TABLE", ""].into_iter().map(Value::text).collect::<Vec<_>>()
    });
    let names = ["TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS"];
    Table::fixed(&names.map(|name| (name, TEXT)), rows.collect())
}

/// `GetColumns`.
pub(super) fn columns(schema: Option<&str>, table: Option<&str>, column: Option<&str>) -> Table {
    let mut rows = Vec::new();
    for (schema, table) in places(schema, table) {
        for ((name, kind, code), position) in COLUMNS.iter().zip(1..) {
            if !matches(column, name) {
                continue;
            }
            let mut row: Vec<_> = ["", schema, table, name].into_iter().map(Value::text).collect();
            row.extend([Value::Int(*code), Value::text(kind), Value::Int(19), Value::Null, Value::Int(0)]);
            row.extend([Value::Int(10), Value::Int(1), Value::text(""), Value::Null]);
            row.extend([Value::Null, Value::Null, Value::Null, Value::Int(position), Value::text("YES")]);
            row.extend([Value::Null, Value::Null, Value::Null, Value::Null, Value::text("NO")]);
            rows.push(row);
        }
    }
    let int = Type::Int;
    let columns = [
        ("TABLE_CAT", TEXT),
        ("TABLE_SCHEM", TEXT),
        ("TABLE_NAME", TEXT),
        ("COLUMN_NAME", TEXT),
        ("DATA_TYPE", int),
        ("TYPE_NAME", TEXT),
        ("COLUMN_SIZE", int),
        ("BUFFER_LENGTH", int),
        ("DECIMAL_DIGITS", int),
        ("NUM_PREC_RADIX", int),
        ("NULLABLE", int),
        ("REMARKS", TEXT),
        ("COLUMN_DEF", TEXT),
        ("SQL_DATA_TYPE", int),
        ("SQL_DATETIME_SUB", int),
        ("CHAR_OCTET_LENGTH", int),
        ("ORDINAL_POSITION", int),
        ("IS_NULLABLE", TEXT),
        ("SCOPE_CATALOG", TEXT),
        ("SCOPE_SCHEMA", TEXT),
        ("SCOPE_TABLE", TEXT),
        ("SOURCE_DATA_TYPE", Type::SmallInt),
        ("IS_AUTO_INCREMENT", TEXT),
    ];
    Table::fixed(&columns, rows)
}

/// `GetTypeInfo`.
pub(super) fn type_info() -> Table {
    let (int, small, flag) = (Type::Int, Type::SmallInt, Type::Boolean);
    let types = [
        ("BOOLEAN", 16),
        ("TINYINT", -6),
        ("SMALLINT", 5),
        ("INT", 4),
        ("BIGINT", -5),
        ("FLOAT", 6),
        ("DOUBLE", 8),
        ("STRING", 12),
        ("TIMESTAMP", 93),
        ("DATE", 91),
        ("BINARY", -2),
        ("DECIMAL", 3),
        ("VARCHAR", 12),
        ("CHAR", 1),
    ];
    let rows = types.into_iter().map(|(name, code)| {
        let mut row = vec![Value::text(name), Value::Int(code), Value::Int(19)];
        row.extend([Value::Null, Value::Null, Value::Null, Value::Int(1), Value::Bool(false)]);
        row.extend([Value::Int(3), Value::Bool(false), Value::Bool(false), Value::Bool(false)]);
        row.extend([Value::Null, Value::Int(0), Value::Int(0), Value::Null, Value::Null, Value::Int(10)]);
        row
    });
    let columns = [
        ("TYPE_NAME", TEXT),
        ("DATA_TYPE", int),
        ("PRECISION", int),
        ("LITERAL_PREFIX", TEXT),
        ("LITERAL_SUFFIX", TEXT),
        ("CREATE_PARAMS", TEXT),
        ("NULLABLE", small),
        ("CASE_SENSITIVE", flag),
        ("SEARCHABLE", small),
        ("UNSIGNED_ATTRIBUTE", flag),
        ("FIXED_PREC_SCALE", flag),
        ("AUTO_INCREMENT", flag),
        ("LOCAL_TYPE_NAME", TEXT),
        ("MINIMUM_SCALE", small),
        ("MAXIMUM_SCALE", small),
        ("SQL_DATA_TYPE", int),
        ("SQL_DATETIME_SUB", int),
        ("NUM_PREC_RADIX", int),
    ];
    Table::fixed(&columns, rows.collect())
}

/// `GetFunctions`.
pub(super) fn functions(pattern: Option<&str>) -> Table {
    let names = ["coordinator", "current_database", "effective_user", "fail", "sleep", "user", "version"];
    let rows = names.into_iter().filter(|name| matches(pattern, name)).map(|name| {
        let mut row: Vec<_> = ["", "_impala_builtins", name, ""].into_iter().map(Value::text).collect();
        row.extend([Value::Int(1), Value::text(name)]);
        row
    });
    let columns = [
        ("FUNCTION_CAT", TEXT),
        ("FUNCTION_SCHEM", TEXT),
        ("FUNCTION_NAME", TEXT),
        ("REMARKS", TEXT),
        ("FUNCTION_TYPE", Type::Int),
        ("SPECIFIC_NAME", TEXT),
    ];
    Table::fixed(&columns, rows.collect())
}

/// `GetPrimaryKeys`: there are none.
pub(super) fn primary_keys() -> Table {
    let names = ["TABLE_CAT", "TABLE_SCHEM", "TABLE_NAME", "COLUMN_NAME", "KEQ_SEQ", "PK_NAME"];
    Table::fixed(&names.map(|name| (name, TEXT)), Vec::new())
}

/// `GetCrossReference`: there are none.
pub(super) fn cross_reference() -> Table {
    let names = ["PKTABLE_CAT", "PKTABLE_SCHEM", "PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME"];
    Table::fixed(&names.map(|name| (name, TEXT)), Vec::new())
}

/// ODBC's pattern: `%` any number of characters, `_` one, and case does not matter. No pattern fits
/// everything.
fn matches(pattern: Option<&str>, name: &str) -> bool {
    let Some(pattern) = pattern else { return true };
    let pattern = pattern.to_ascii_lowercase();
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    // The set of places in the pattern that could be reached so far.
    let mut reached = vec![true];
    reached.extend(pattern.iter().scan(true, |open, byte| {
        *open &= *byte == b'%';
        Some(*open)
    }));
    for byte in name {
        let mut next = vec![false; reached.len()];
        for (place, wanted) in pattern.iter().enumerate() {
            let here = reached.get(place).copied().unwrap_or(false);
            let after = match wanted {
                b'%' => {
                    here || reached.get(place + 1).copied().unwrap_or(false)
                        || next.get(place).copied().unwrap_or(false)
                }
                b'_' => here,
                _ => here && wanted == byte,
            };
            if let Some(slot) = next.get_mut(place + 1) {
                *slot = after;
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_odbc_says() {
        for (pattern, fits) in [
            ("%", true),
            ("num%", true),
            ("NUMBERS", true),
            ("n_mbers", true),
            ("num", false),
            ("%er%", true),
            ("", false),
            ("numbers%", true),
        ] {
            assert_eq!(matches(Some(pattern), "numbers"), fits, "{pattern}");
        }
        assert!(matches(None, "numbers"));
    }

    #[test]
    fn the_columns_of_a_metadata_answer_are_as_many_as_its_values() {
        for table in [columns(None, None, None), type_info(), functions(None), tables(None, None)] {
            assert!(table.len() > 0);
            assert!(table.is_regular());
        }
    }
}
