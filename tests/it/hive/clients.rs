//! Real clients get the same through the router as from each server.

use super::{WAYS, everywhere};
use crate::support::clients::{self, Cursors, Dialect, Login, Shown, Target};

/// Statements that need their session (a variable, a temporary table, a database), values of many types, more
/// rows than a client fetches at once, and errors.
const STATEMENTS: [&str; 11] = [
    "SELECT 1 AS i, 'x' AS s, CAST(1.5 AS DECIMAL(3, 1)) AS d, CAST(NULL AS STRING) AS n, \
     TIMESTAMP '2020-01-01 00:00:00' AS t, TRUE AS b, DATE '2020-02-29' AS day, 0.5D AS f, ARRAY(1, 2) AS a, MAP('k', 'v') AS m",
    "SET hivevar:remembered=42",
    "SELECT ${hivevar:remembered} AS answer",
    "CREATE TEMPORARY TABLE mine (id INT, name STRING)",
    "INSERT INTO mine VALUES (7, 'seven')",
    "SELECT id, name FROM mine",
    "USE nowhere",
    "SELECT nothing",
    "USE default",
    "SELECT current_database() AS here",
    "SELECT pos FROM (SELECT posexplode(split(space(1499), ' '))) t",
];
/// Where in [`STATEMENTS`] the clients' own ways to show a value are looked at.
const VALUES: usize = 0;

/// beeline's commands that make calls for metadata, about a table that only this session has.
const METADATA: [&str; 10] = [
    "CREATE TEMPORARY TABLE mine (id INT)",
    "!tables",
    "!columns mine",
    "!primarykeys mine",
    "!typeinfo",
    "!dbinfo",
    "!metadata getSchemas",
    "!metadata getCatalogs",
    "!metadata getTableTypes",
    "!metadata getFunctions null null array_cont%",
];

/// How a client that prints text separated by tabs is run.
type Beeline = fn(&Target, Login, &[&str]) -> Shown;

fn beeline_gets_rows_and_errors(beeline: Beeline) {
    for (login, by) in WAYS {
        let Some(shown) = everywhere(login, by, |target| beeline(target, login, &STATEMENTS)) else { return };
        let values = "1\tx\t1.5\tNULL\t2020-01-01 00:00:00.0\ttrue\t2020-02-29\t0.5\t[1,2]\t{\"k\":\"v\"}";
        let first = ["i\ts\td\tn\tt\tb\tday\tf\ta\tm", values, "answer", "42", "id\tname", "7\tseven"];
        assert!(
            shown.output.starts_with(&first.map(str::to_owned)),
            "{login:?} {by:?}: {:?}",
            &shown.output[..12]
        );
        let rest = &shown.output[first.len()..];
        let rows: Vec<_> = (0..1500).map(|row| row.to_string()).collect();
        assert_eq!(rest[..3], ["here", "default", "pos"], "{login:?} {by:?}");
        assert_eq!(rest[3..], rows, "{login:?} {by:?}");
        assert_eq!(shown.code, Some(2), "two statements failed: {:?}", shown.complaints);
        let says = |place: usize, words: &str| shown.complaints[place].contains(words);
        assert!(
            says(0, "Database does not exist: nowhere (state=42000,code=10072)"),
            "{:?}",
            shown.complaints
        );
        assert!(says(1, "column reference 'nothing'"), "{:?}", shown.complaints);
    }
}

#[test]
fn beeline_gets_rows_and_errors_from_hive() {
    beeline_gets_rows_and_errors(clients::beeline);
}

#[test]
fn the_newest_jdbc_driver_gets_rows_and_errors_from_hive() {
    beeline_gets_rows_and_errors(clients::beeline_with_newest_driver);
}

#[test]
fn the_newest_jdbc_driver_gets_metadata_from_hive() {
    for (login, by) in WAYS {
        let run = |target: &Target| clients::beeline_with_newest_driver(target, login, &METADATA);
        let Some(shown) = everywhere(login, by, run) else { return };
        // `!dbinfo` leaves its last line open.
        let has = |text: &str| shown.output.iter().any(|line| line.contains(text));
        for line in [
            "NULL\tdefault\tmine\tid\t4\tINT\t10\t",
            "TIMESTAMP WITH LOCAL TIME ZONE\t1111\t",
            "getDatabaseProductVersion                         4.0.1",
            "TABLE_SCHEM\tTABLE_CATALOG",
            "default",
            "TABLE_CAT",
            "MATERIALIZED_VIEW",
            "NULL\tNULL\tarray_contains\t",
        ] {
            assert!(has(line), "{login:?} {by:?}: {line:?} is not in {shown:#?}");
        }
    }
}

/// What the clients in Python make of [`STATEMENTS`], whatever the form in which they show an array or a map.
fn assert_rows_and_errors(shown: &Shown, error: &str) {
    let rows = shown.rows();
    assert_eq!(rows.len(), STATEMENTS.len(), "{rows:?}");
    let values = r#""rows": [[1, "x", "1.5", null, "2020-01-01 00:00:00"#;
    assert!(rows[VALUES].contains(values) && rows[VALUES].contains("2020-02-29"), "{}", rows[VALUES]);
    let nothing = r#"{"columns": [], "rows": []}"#;
    let numbers: Vec<_> = (0..1500).map(|row| format!("[{row}]")).collect();
    let numbers = format!(r#"{{"columns": ["pos"], "rows": [{}]}}"#, numbers.join(", "));
    let expected = [
        nothing,
        r#"{"columns": ["answer"], "rows": [[42]]}"#,
        nothing,
        nothing,
        r#"{"columns": ["id", "name"], "rows": [[7, "seven"]]}"#,
        &rows[6],
        &rows[7],
        nothing,
        r#"{"columns": ["here"], "rows": [["default"]]}"#,
        &numbers,
    ];
    assert_eq!(rows[1..], expected);
    assert!(rows[6].contains(error) && rows[6].contains("Database does not exist: nowhere"), "{}", rows[6]);
    assert!(rows[7].contains(error) && rows[7].contains("column reference 'nothing'"), "{}", rows[7]);
}

#[test]
fn pyhive_gets_rows_and_errors_from_hive() {
    for (login, by) in WAYS {
        let Some(shown) = everywhere(login, by, |target| clients::pyhive(target, login, &STATEMENTS)) else {
            return;
        };
        assert_rows_and_errors(&shown, r#"{"error": "OperationalError""#);
    }
}

#[test]
fn impyla_gets_rows_and_errors_from_hive() {
    for (login, by) in WAYS {
        let run = |target: &Target| clients::impyla(target, login, Cursors::One, &STATEMENTS);
        let Some(shown) = everywhere(login, by, run) else { return };
        assert_rows_and_errors(&shown, r#"{"error": "HiveServer2Error""#);
    }
}

#[test]
fn impyla_has_a_session_for_each_cursor_on_one_connection_to_hive() {
    let statements = ["SET hivevar:whose=first", "SELECT '${hivevar:whose}' AS a", "SELECT 'third' AS c"];
    for (login, by) in WAYS {
        let run = |target: &Target| clients::impyla(target, login, Cursors::Each, &statements);
        let Some(shown) = everywhere(login, by, run) else { return };
        let rows = shown.rows();
        assert_eq!(
            rows[1], r#"{"columns": ["a"], "rows": [["${hivevar:whose}"]]}"#,
            "the second session must not see the first one's"
        );
        assert_eq!(rows[2], r#"{"columns": ["c"], "rows": [["third"]]}"#);
    }
}

#[test]
fn impala_shell_in_strict_mode_reads_from_hive() {
    let statements = "SELECT 'a' UNION ALL SELECT 'b'; SHOW DATABASES; SELECT CONCAT('c', 'd')";
    for (login, by) in WAYS.into_iter().filter(|(login, _)| *login != Login::NoSasl) {
        let run = |target: &Target| clients::impala_shell(target, Dialect::StrictHs2(login), statements);
        let Some(shown) = everywhere(login, by, run) else { return };
        assert_eq!(shown.rows(), ["a", "b", "default", "cd"]);
    }
}
