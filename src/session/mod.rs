//! What may happen to a call, decided without doing anything: whose session it belongs to, where it must go, what its
//! reply taught.
//!
//! ```text
//! OpenSession ──reply──▶ open ──CloseSession, or its coordinator knows it no more──▶ gone
//!                         │ ▲
//!     last connection that used it ends │ │ any connection uses it
//!                         ▼ │
//!                      detached ──disconnected_session_timeout──▶ gone
//! ```
//!
//! A session that was idle for longer than its `IDLE_SESSION_TIMEOUT` is open no more, but still known ([`table::Expired`]),
//! so that its client can be told why. So is one that is gone and had moved, until it is closed where it was ([`table::Over`]).
//!
//! A session that is not known, because it was opened before the router was started or by another router, becomes known
//! when it is found by [`locate`]; of what it was before, nothing is known then.
//!
//! A session's operations go with it. A closed operation stays known for a while, because impala-shell asks for its
//! profile after it has closed it (Impala keeps 200 in `--query_log_size`).

pub mod activity;
pub mod decide;
mod hashing;
pub mod idle;
pub mod learn;
pub mod locate;
pub mod retry;
pub mod state;
pub mod statement;
pub mod table;

#[cfg(test)]
mod messages;
