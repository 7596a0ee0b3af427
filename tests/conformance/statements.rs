//! The same questions in the SQL of each server.

use std::net::SocketAddr;

use hs2router::fake::client::{Hs2Client, Login};

use crate::check::Flavor;

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The simulated coordinator's few statements.
    Simulated,
    Impala,
    Spark,
    Hive,
}

/// The types of [`Dialect::types`], in the order of their columns.
pub(crate) const TYPES: [&str; 14] = [
    "bigint",
    "string",
    "boolean",
    "tinyint",
    "smallint",
    "int",
    "float",
    "double",
    "timestamp",
    "date",
    "binary",
    "decimal(18,4)",
    "varchar(20)",
    "char(5)",
];

impl Dialect {
    /// What a server of this flavor speaks; Impala's are asked, because one may be simulated.
    pub(crate) fn of(flavor: Flavor, address: SocketAddr, login: &Login) -> Self {
        match flavor {
            Flavor::Spark => Self::Spark,
            Flavor::Hive => Self::Hive,
            Flavor::Impala => {
                let mut client = Hs2Client::connect(address, login).expect("the server is there");
                let session = client.open(&[]).expect("a session");
                let version = client.query(&session, "select version()").expect("a version");
                client.close_session(&session).expect("the session closes");
                if version[0][0].contains("simulated") { Self::Simulated } else { Self::Impala }
            }
        }
    }

    /// `count` rows of a number, counted from 0, and the same as text.
    pub(crate) fn rows(self, count: usize) -> String {
        match self {
            Self::Simulated => format!("select * from rows({count}, 'bigint, string(1)')"),
            Self::Impala => {
                let digits = "(select 0 n union all select 1 union all select 2 union all select 3 \
                              union all select 4 union all select 5 union all select 6 union all select 7 \
                              union all select 8 union all select 9)";
                let number = "a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n";
                format!(
                    "with d as {digits} select {number} as id, cast({number} as string) as s \
                     from d a, d b, d c, d d, d e where {number} < {count} order by 1 limit {count}"
                )
            }
            Self::Spark => format!("select id, cast(id as string) as s from range({count})"),
            Self::Hive => format!(
                "select pos as id, cast(pos as string) as s from (select posexplode(split(space({count} - 1), ' '))) t"
            ),
        }
    }

    /// No rows of one column.
    pub(crate) fn empty(self) -> &'static str {
        if self == Self::Simulated { "select * from rows(0)" } else { "select 1 as id limit 0" }
    }

    /// One row with one text of this many bytes.
    pub(crate) fn long_text(self, bytes: usize) -> String {
        match self {
            Self::Simulated => format!("select * from rows(1, 'string({bytes})')"),
            _ => format!("select repeat('x', {bytes}) as text"),
        }
    }

    /// Two or more rows of all [`TYPES`], with a NULL in every column but the first.
    pub(crate) fn types(self) -> String {
        if self == Self::Simulated {
            return format!("select * from rows(20, '{}')", TYPES.join(", "));
        }
        let value = |kind: &str| match kind {
            "boolean" => "true",
            "string" | "varchar(20)" | "char(5)" | "binary" => "'abc'",
            "timestamp" => "'2026-01-02 03:04:05'",
            "date" => "'2026-01-02'",
            _ => "7",
        };
        let columns = TYPES.map(|kind| format!("cast({} as {kind})", value(kind)));
        let mut nulls = TYPES.map(|kind| format!("cast(null as {kind})"));
        "cast(8 as bigint)".clone_into(&mut nulls[0]);
        format!("select {} union all select {}", columns.join(", "), nulls.join(", "))
    }

    /// A statement that runs for a minute.
    pub(crate) fn slow(self) -> &'static str {
        match self {
            Self::Simulated | Self::Impala => "select sleep(60000)",
            Self::Spark => "select java_method('java.lang.Thread', 'sleep', 60000L)",
            Self::Hive => "select reflect('java.lang.Thread', 'sleep', 60000L)",
        }
    }

    /// A statement that fails once it runs, with `out of luck` in its message where the text can be chosen.
    pub(crate) fn failing(self) -> &'static str {
        match self {
            Self::Simulated => "select fail('out of luck')",
            // Impala folds what is constant while it plans.
            Self::Impala => "select cast(repeat('9', 60 + cast(rand() as int)) as decimal(38,0))",
            Self::Spark => "select raise_error('out of luck')",
            Self::Hive => "select assert_true(rand() > 2)",
        }
    }

    /// The session's user.
    pub(crate) fn user(self) -> &'static str {
        match self {
            Self::Simulated | Self::Impala => "select user()",
            Self::Spark => "select current_user()",
            // Its `current_user()` is the user that the server runs as, unless that is told otherwise.
            Self::Hive => "select logged_in_user()",
        }
    }
}
