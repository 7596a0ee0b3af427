//! Rows, columns and types.

use hs2router::fake::client::{self, Hs2Client};
use hs2router::idl::t_c_l_i_service::{
    TColumn, TGetResultSetMetadataReq, TOpenSessionReq, TOperationHandle, TProtocolVersion,
    TTCLIServiceSyncClient, TTableSchema, TTypeEntry, TTypeId, TTypeQualifierValue,
};

use crate::check::{Flavor, checks};
use crate::driver::{all_rows, close, fetch, run, succeeded};
use crate::statements::TYPES;
use crate::target::Target;

checks![
    ALL, [], "Impala: impala-hs2-server.cc FetchInternal; Hive: SQLOperation getNextRowSet" => an_empty_result_has_its_columns_and_no_rows;
    ALL, [], "Impala: impala-hs2-server.cc FetchResults; measured on Spark 3.5 (hasMoreRows is always false)" => has_more_rows_is_what_the_flavor_makes_of_it;
    ALL, [], "Impala: query-result-set.cc (startRowOffset); Spark: SparkExecuteStatementOperation getNextRowSet; Hive: SQLOperation getNextRowSet, where nobody sets it" => fetches_go_on_where_the_last_one_ended;
    ALL, [], "Impala: impala-hs2-server.cc FetchInternal; measured on Spark 3.5" => a_fetch_after_the_end_is_empty;
    ALL, [], "Impala: hs2-util.cc; Hive: ColumnBasedSet" => every_type_has_its_kind_of_column;
    ALL, [], "Impala: hs2-util.cc (nulls, lowest bit first); Hive: ColumnBuffer toBinary" => nulls_are_bits_and_keep_their_place;
    ALL, [], "Impala: impala-hs2-server.cc TTypeToTTypeDesc; Hive: TypeDescriptor" => sized_types_tell_their_sizes;
    ALL, [], "Impala: impala-hs2-server.cc GetResultSetMetadata (from 0); measured on Spark 3.5 (from 0); Hive: TableSchema (from 1)" => the_schema_names_and_numbers_its_columns;
    ALL, [], "Impala: impala-hs2-server.cc OpenSession (hs2_version); Hive: RowSetFactory" => a_client_below_v6_gets_rows;
    ALL, [], "Impala: impala-hs2-server.cc FetchResults" => a_hundred_thousand_rows_come_whole_and_in_order;
    ALL, [], "Measured on Spark 3.5" => five_hundred_columns_come_whole;
    ALL, [], "Measured on Spark 3.5 (6 MB in one frame); Impala: TSaslTransport.cpp (several frames)" => a_text_of_three_megabytes_comes_whole;
    ALL, [], "Measured on Spark 3.5 (3 MB in one frame)" => a_statement_of_a_megabyte_is_understood;
    IMPALA, [], "Impala: impala-hs2-server.cc GetResultSetMetadata" => a_statement_without_rows_has_no_schema;
];

fn started(target: &Target, sql: &str) -> (Hs2Client, TOperationHandle) {
    let mut client = target.connect();
    let session = client.open(&[]).unwrap();
    let operation = run(&mut client, &session, sql);
    (client, operation)
}

fn schema(client: &mut Hs2Client, operation: &TOperationHandle) -> TTableSchema {
    let request = TGetResultSetMetadataReq::new(operation.clone());
    let response = client.service().get_result_set_metadata(request).unwrap();
    succeeded(&response.status);
    response.schema.unwrap()
}

fn an_empty_result_has_its_columns_and_no_rows(target: &Target) {
    let (mut client, operation) = started(target, target.dialect.empty());
    assert!(operation.has_result_set);
    let columns = schema(&mut client, &operation).columns.len();
    let (set, more) = fetch(&mut client, &operation, 100);
    assert!(!more && client::texts(&set).is_empty() && set.rows.is_empty());
    assert_eq!(set.columns.unwrap().len(), columns);
    succeeded(&close(&mut client, &operation));
}

fn has_more_rows_is_what_the_flavor_makes_of_it(target: &Target) {
    let (mut client, operation) = started(target, &target.dialect.rows(2500));
    let seen: Vec<_> = (0..3)
        .map(|_| fetch(&mut client, &operation, 1000))
        .map(|(set, more)| (client::texts(&set).len(), more))
        .collect();
    let expected = match target.flavor {
        Flavor::Impala => [(1000, true), (1000, true), (500, false)],
        _ => [(1000, false), (1000, false), (500, false)],
    };
    assert_eq!(seen, expected);
}

fn fetches_go_on_where_the_last_one_ended(target: &Target) {
    let (mut client, operation) = started(target, &target.dialect.rows(300));
    for first in [0, 100, 200] {
        let (set, _) = fetch(&mut client, &operation, 100);
        assert_eq!(set.start_row_offset, if target.flavor == Flavor::Hive { 0 } else { first });
        assert_eq!(client::texts(&set)[0][0], first.to_string());
    }
}

fn a_fetch_after_the_end_is_empty(target: &Target) {
    let (mut client, operation) = started(target, &target.dialect.rows(3));
    assert_eq!(all_rows(&mut client, &operation).len(), 3);
    for _ in 0..2 {
        let (set, more) = fetch(&mut client, &operation, 100);
        assert!(client::texts(&set).is_empty() && !more);
    }
}

fn type_of(schema: &TTableSchema, place: usize) -> (TTypeId, Vec<(String, i32)>) {
    let TTypeEntry::PrimitiveEntry(entry) = &schema.columns[place].type_desc.types[0] else {
        panic!("column {place} is not primitive")
    };
    let qualifiers = entry.type_qualifiers.iter().flat_map(|it| &it.qualifiers);
    let number = |value: &TTypeQualifierValue| match value {
        TTypeQualifierValue::I32Value(number) => *number,
        TTypeQualifierValue::StringValue(text) => text.parse().unwrap(),
    };
    (entry.type_, qualifiers.map(|(key, value)| (key.clone(), number(value))).collect())
}

fn every_type_has_its_kind_of_column(target: &Target) {
    let (mut client, operation) = started(target, &target.dialect.types());
    let schema = schema(&mut client, &operation);
    let (set, _) = fetch(&mut client, &operation, 1000);
    let columns = set.columns.unwrap();
    assert_eq!((columns.len(), schema.columns.len()), (TYPES.len(), TYPES.len()));
    for (place, column) in columns.iter().enumerate() {
        let (kind, _) = type_of(&schema, place);
        let name = match (TYPES[place].split('(').next().unwrap(), target.flavor) {
            // Spark has no such types in a result, only texts.
            ("varchar" | "char", Flavor::Spark) => "string",
            (name, _) => name,
        };
        let (expected, fits) = match name {
            "bigint" => (TTypeId::BIGINT_TYPE, matches!(column, TColumn::I64Val(_))),
            "boolean" => (TTypeId::BOOLEAN_TYPE, matches!(column, TColumn::BoolVal(_))),
            "tinyint" => (TTypeId::TINYINT_TYPE, matches!(column, TColumn::ByteVal(_))),
            "smallint" => (TTypeId::SMALLINT_TYPE, matches!(column, TColumn::I16Val(_))),
            "int" => (TTypeId::INT_TYPE, matches!(column, TColumn::I32Val(_))),
            "float" => (TTypeId::FLOAT_TYPE, matches!(column, TColumn::DoubleVal(_))),
            "double" => (TTypeId::DOUBLE_TYPE, matches!(column, TColumn::DoubleVal(_))),
            "binary" => (TTypeId::BINARY_TYPE, matches!(column, TColumn::BinaryVal(_))),
            "timestamp" => (TTypeId::TIMESTAMP_TYPE, matches!(column, TColumn::StringVal(_))),
            "date" => (TTypeId::DATE_TYPE, matches!(column, TColumn::StringVal(_))),
            "decimal" => (TTypeId::DECIMAL_TYPE, matches!(column, TColumn::StringVal(_))),
            "varchar" => (TTypeId::VARCHAR_TYPE, matches!(column, TColumn::StringVal(_))),
            "char" => (TTypeId::CHAR_TYPE, matches!(column, TColumn::StringVal(_))),
            _ => (TTypeId::STRING_TYPE, matches!(column, TColumn::StringVal(_))),
        };
        assert!(fits && kind == expected, "{}: {kind:?} {column:?}", TYPES[place]);
    }
}

fn nulls_are_bits_and_keep_their_place(target: &Target) {
    let (mut client, operation) = started(target, &target.dialect.types());
    let rows = all_rows(&mut client, &operation);
    assert!(rows.len() >= 2);
    for place in 0..TYPES.len() {
        let nulls = rows.iter().filter(|row| row[place] == "NULL").count();
        assert_eq!(nulls > 0, place > 0, "{}", TYPES[place]);
        assert!(nulls < rows.len(), "{}", TYPES[place]);
    }
}

fn sized_types_tell_their_sizes(target: &Target) {
    let (mut client, operation) = started(target, &target.dialect.types());
    let schema = schema(&mut client, &operation);
    let place = |name: &str| TYPES.iter().position(|kind| kind.starts_with(name)).unwrap();
    let pair = |key: &str, value| (key.to_owned(), value);
    let (_, sizes) = type_of(&schema, place("decimal"));
    assert_eq!(sizes, [pair("precision", 18), pair("scale", 4)]);
    if target.flavor != Flavor::Spark {
        let (_, sizes) = type_of(&schema, place("varchar"));
        assert_eq!(sizes, [pair("characterMaximumLength", 20)]);
        let (_, sizes) = type_of(&schema, place("char("));
        assert_eq!(sizes, [pair("characterMaximumLength", 5)]);
    }
}

fn the_schema_names_and_numbers_its_columns(target: &Target) {
    let (mut client, operation) = started(target, "select 1 as one, 'x' as letter, true as truth");
    let schema = schema(&mut client, &operation);
    let seen: Vec<_> = schema.columns.iter().map(|it| (it.column_name.as_str(), it.position)).collect();
    let first = i32::from(target.flavor == Flavor::Hive);
    assert_eq!(seen, [("one", first), ("letter", first + 1), ("truth", first + 2)]);
}

fn a_client_below_v6_gets_rows(target: &Target) {
    let mut client = target.connect();
    let request = TOpenSessionReq::new(TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V1, None, None, None);
    let session = client.service().open_session(request).unwrap().session_handle.unwrap();
    let operation = run(&mut client, &session, &target.dialect.rows(3));
    let (set, _) = fetch(&mut client, &operation, 100);
    assert_eq!((set.rows.len(), set.columns.unwrap_or_default().len()), (3, 0));
    assert!(set.rows.iter().all(|row| row.col_vals.len() == 2));
}

fn a_hundred_thousand_rows_come_whole_and_in_order(target: &Target) {
    let (mut client, operation) = started(target, &target.dialect.rows(100_000));
    let rows = all_rows(&mut client, &operation);
    assert_eq!(rows.len(), 100_000);
    assert!(rows.iter().enumerate().all(|(number, row)| row[0] == number.to_string()));
}

fn five_hundred_columns_come_whole(target: &Target) {
    let columns: Vec<_> = (0..500).map(|number| format!("{number} as c{number}")).collect();
    let (mut client, operation) = started(target, &format!("select {}", columns.join(", ")));
    assert_eq!(schema(&mut client, &operation).columns.len(), 500);
    let rows = all_rows(&mut client, &operation);
    assert_eq!(rows, [(0..500).map(|number| number.to_string()).collect::<Vec<_>>()]);
}

fn a_text_of_three_megabytes_comes_whole(target: &Target) {
    let (mut client, operation) = started(target, &target.dialect.long_text(3_000_000));
    assert_eq!(all_rows(&mut client, &operation)[0][0].len(), 3_000_000);
}

fn a_statement_of_a_megabyte_is_understood(target: &Target) {
    let text = "y".repeat(1_000_000);
    let (mut client, operation) = started(target, &format!("select '{text}' as t"));
    assert_eq!(all_rows(&mut client, &operation), [[text]]);
}

fn a_statement_without_rows_has_no_schema(target: &Target) {
    let (mut client, operation) = started(target, "use `default`");
    assert!(!operation.has_result_set);
    let request = TGetResultSetMetadataReq::new(operation);
    let response = client.service().get_result_set_metadata(request).unwrap();
    succeeded(&response.status);
    assert!(response.schema.is_none());
}
