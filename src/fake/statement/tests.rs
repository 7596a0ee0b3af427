use super::*;

fn planned(text: &str) -> Result<Plan, Refusal> {
    let options = BTreeMap::from([("MEM_LIMIT".to_owned(), "1g".to_owned())]);
    let context = Context {
        coordinator: "c1",
        user: "ann",
        effective_user: "bob",
        database: "default",
        options: &options,
    };
    plan(text, &context)
}

fn lines(text: &str) -> Vec<String> {
    let table = planned(text).unwrap().table.unwrap();
    table.lines(0..table.len())
}

#[test]
fn literals_come_back_as_one_row() {
    let row = lines("SELECT 1, -2 as b, 'it\\'s', \"x\\\"y\", true, NULL, 1.50;");
    assert_eq!(row, ["1\t-2\tit's\tx\"y\ttrue\tNULL\t1.50"]);
}

#[test]
fn functions_say_where_and_who_one_is() {
    assert_eq!(
        lines("select coordinator(), user(), effective_user() e, current_database()"),
        ["c1\tann\tbob\tdefault"]
    );
}

#[test]
fn leading_comments_are_skipped() {
    assert_eq!(lines("-- one\n/* two\n * three */ select 1"), ["1"]);
}

#[test]
fn the_row_generator_makes_any_size_width_and_type() {
    let count = |text| {
        let table = planned(text).unwrap().table.unwrap();
        (table.len(), table.columns.len())
    };
    assert_eq!(count("select * from rows(1000000000)"), (1_000_000_000, 2));
    assert_eq!(count("select * from rows(5, 30)"), (5, 30));
    assert_eq!(count("select * from rows(5, 'int, string(100), decimal(9,2)') limit 2"), (2, 3));
    assert_eq!(lines("select * from rows(1, 'string(3)')"), ["0--"]);
}

#[test]
fn set_lists_and_changes_options() {
    assert!(lines("set all").contains(&"MEM_LIMIT\t1g\tREGULAR".to_owned()));
    assert!(lines("set").len() < lines("set all").len());
    let effect = planned("set mem_limit=-1").unwrap().effect;
    assert_eq!(effect, Effect::Set { option: "MEM_LIMIT".to_owned(), value: "-1".to_owned() });
    assert_eq!(planned("unset all").unwrap().effect, Effect::UnsetAll);
    assert!(planned("set nonsense=1").is_err());
}

#[test]
fn dml_counts_its_rows() {
    assert_eq!(planned("insert into t values (1)").unwrap().modified, Some(1));
    assert_eq!(planned("insert into t select * from rows(42)").unwrap().modified, Some(42));
}

#[test]
fn a_syntax_error_points_at_its_place() {
    let text = planned("select 1,\n  from").unwrap_err().to_string();
    assert!(text.starts_with("AnalysisException") || text.contains("ParseException"), "{text}");
    let text = planned("selec 1").unwrap_err().to_string();
    assert!(text.starts_with("ParseException: Syntax error in line 1:\nselec 1\n^\n"), "{text}");
    let text = planned("select 1 2").unwrap_err().to_string();
    assert!(text.contains("\nselect 1 2\n         ^\nEncountered: INTEGER LITERAL"), "{text}");
}

#[test]
fn unknown_names_are_analysis_errors() {
    for text in ["select * from nowhere", "select 1 from t", "use nowhere", "select x", "select f()"] {
        let error = planned(text).unwrap_err().to_string();
        assert!(error.starts_with("AnalysisException: "), "{text}: {error}");
    }
}

#[test]
fn sleep_and_fail_take_effect_later() {
    assert_eq!(planned("select sleep(250)").unwrap().delay, Duration::from_millis(250));
    assert_eq!(planned("fail('gone')").unwrap().failure.unwrap().to_string(), "gone");
}

#[test]
fn every_truncation_of_a_statement_is_answered() {
    let text = "select 'é', -1.5 as x, coordinator(), sleep from rows(3, 'int, string(4)') limit 2;";
    for (end, _) in text.char_indices() {
        if let Err(refusal) = planned(&text[..end]) {
            assert!(!refusal.to_string().is_empty());
        }
    }
}
