// Beeswax, Impala's first client protocol: names, field ids and types. Sources: README.md.
// The session is the connection; an operation is named by its query id as text.

namespace rs idl

// Both from Hive's metastore definitions; only what a result's schema needs.
struct FieldSchema {
  1: string name
  2: string type
  3: string comment
}

struct Schema {
  1: list<FieldSchema> fieldSchemas
  2: map<string, string> properties
}

// There is no field 2. configuration: query options as "key=value".
struct Query {
  1: string query
  3: list<string> configuration
  4: string hadoop_user
}

typedef string LogContextId

enum QueryState {
  CREATED = 0,
  INITIALIZED = 1,
  COMPILED = 2,
  RUNNING = 3,
  FINISHED = 4,
  EXCEPTION = 5
}

struct QueryHandle {
  1: string id
  2: LogContextId log_context
}

struct QueryExplanation {
  1: string textual
}

// ready = false: nothing yet, ask again. data: one string a row, columns parted by the delimiter of the metadata.
struct Results {
  1: bool ready
  2: list<string> columns
  3: list<string> data
  4: i64 start_row
  5: bool has_more
}

struct ResultsMetadata {
  1: Schema schema
  2: string table_dir
  3: string in_tablename
  4: string delim
}

exception BeeswaxException {
  1: string message
  2: LogContextId log_context
  3: QueryHandle handle
  4: optional i32 errorCode = 0
  5: optional string SQLState = "     "
}

// Declared by many methods, thrown by none of Impala's.
exception QueryNotFoundException {
}

enum TQueryOptionLevel {
  REGULAR = 0,
  ADVANCED = 1,
  DEVELOPMENT = 2,
  DEPRECATED = 3,
  REMOVED = 4
}

struct ConfigVariable {
  1: string key
  2: string value
  3: string description
  4: optional TQueryOptionLevel level
}

service BeeswaxService {
  QueryHandle query(1: Query query) throws (1: BeeswaxException error)
  QueryHandle executeAndWait(1: Query query, 2: LogContextId clientCtx) throws (1: BeeswaxException error)
  QueryExplanation explain(1: Query query) throws (1: BeeswaxException error)
  Results fetch(1: QueryHandle query_id, 2: bool start_over, 3: i32 fetch_size = -1)
      throws (1: QueryNotFoundException error, 2: BeeswaxException error2)
  QueryState get_state(1: QueryHandle handle) throws (1: QueryNotFoundException error)
  ResultsMetadata get_results_metadata(1: QueryHandle handle) throws (1: QueryNotFoundException error)
  string echo(1: string s)
  string dump_config()
  string get_log(1: LogContextId context) throws (1: QueryNotFoundException error)
  list<ConfigVariable> get_default_configuration(1: bool include_hadoop)
  void close(1: QueryHandle handle) throws (1: QueryNotFoundException error, 2: BeeswaxException error2)
  void clean(1: LogContextId log_context)
}
