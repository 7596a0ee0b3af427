//! Simulated Impala coordinators, a small client and faults, for the demo and the tests.
//!
//! Everything here is built on the generated types ([`crate::idl`]) and the thrift crate's blocking
//! protocols, with one thread per connection as in impalad, and never on the router's own parser: a fake that
//! shared that parser would share its mistakes. No impalad can run in a test, so each behaviour names its
//! source in Impala (`impala-hs2-server.cc` and so on).
//!
//! # Statements
//!
//! | statement | what comes back |
//! | --- | --- |
//! | `select 1, 'a' as b, true, null, 1.5` | one row of literals |
//! | `select coordinator()`, `user()`, `effective_user()`, `current_database()`, `version()` | where and who one is |
//! | `select * from rows(n)` | `n` rows of a number and a text |
//! | `select * from rows(n, w)` | `n` rows of `w` columns, going round through all types |
//! | `select * from rows(n, 'int, string(200), decimal(9,2)')` | `n` rows of these types |
//! | `select sleep(ms)`, `sleep(ms)` | one row, not before `ms` milliseconds |
//! | `fail('text')`, `select fail('text')` | an operation that fails with that text after it started |
//! | `use db` | changes the session's database (`default`, `demo`, `functional`) |
//! | `set`, `set all`, `set k=v`, `set k=''`, `unset all` | the query options of the session |
//! | `show databases`, `show tables`, `show statements` | rows |
//! | `insert …`, `upsert …`, `update …`, `delete …` | a DML result: one row modified, or `n` for `insert … rows(n)` |
//! | `create …`, `drop …`, `alter …`, `truncate …`, `refresh …`, `invalidate …`, `compute …` | a summary row, nothing is kept |
//! | `explain …`, `describe …` | a plan, a column list |
//!
//! Anything else is a syntax error in Impala's words. Case and trailing semicolons do not matter; leading
//! comments are skipped.

mod beeswax;
mod calls;
pub mod client;
mod connection;
mod control;
mod coordinator;
mod expiry;
mod faults;
mod hs2;
mod http;
mod ids;
mod manner;
pub mod memory;
mod metadata;
mod operation;
mod options;
mod pool;
mod profile;
mod refusal;
mod rows;
pub mod sasl;
mod sending;
mod state;
mod statement;
mod web;

pub use self::calls::ReceivedCall;
pub use self::coordinator::{Coordinator, Directory, Password, Settings};
pub use self::faults::{Fault, Faults};
pub use self::http::{HttpCounts, ReceivedHead, Tally, ticket};
pub use self::ids::Id;
pub use self::manner::Manner;
pub use self::refusal::Words;
