//! What may happen to a call, decided without doing anything: whose session it belongs to, where it must go,
//! what its reply taught.
//!
//! ```text
//! OpenSession ──reply──▶ open ──CloseSession, or its coordinator knows it no more──▶ gone
//!                         │ ▲
//!     last connection that used it ends │ │ any connection uses it
//!                         ▼ │
//!                      detached ──disconnected_session_timeout──▶ gone
//! ```
//!
//! The table remembers a session for a while after its end ([`table::NotLive`]): one that was idle for longer
//! than its `IDLE_SESSION_TIMEOUT`, so that its client can be told why it ended, and one that had moved,
//! until its leftovers are closed, too.
//!
//! A session that was opened before the router was started, or by another router, becomes known when it is
//! located ([`locate`]). What it was opened with, and what was set in it since, stays unknown.
//!
//! A session's operations go with it. A closed operation stays known for a while, because impala-shell asks
//! for its profile after it has closed it (Impala keeps 200 in `--query_log_size`).

pub mod activity;
pub mod decide;
pub mod delegation;
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
