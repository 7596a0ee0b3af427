//! Real servers and the router, as the other tests start them.

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/support/certificates.rs"]
pub(crate) mod certificates;
#[allow(dead_code, unused_imports, reason = "the other tests use the rest")]
#[path = "../it/support/clients.rs"]
pub(crate) mod clients;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/support/hive.rs"]
pub(crate) mod hive;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/support/kdc.rs"]
pub(crate) mod kdc;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/support/keeper.rs"]
pub(crate) mod keeper;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/support/logs.rs"]
pub(crate) mod logs;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/support/ports.rs"]
pub(crate) mod ports;
#[allow(dead_code, clippy::disallowed_methods, reason = "the other tests use the rest, and read the clock")]
#[path = "../it/support/router.rs"]
pub(crate) mod router;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/support/slapd.rs"]
pub(crate) mod slapd;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/support/spark.rs"]
pub(crate) mod spark;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/support/ticket_clients.rs"]
pub(crate) mod ticket_clients;
#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "../it/support/tools.rs"]
pub(crate) mod tools;
