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
//! A session's operations go with it. A closed operation stays known for a while, because impala-shell asks for its
//! profile after it has closed it (Impala keeps 200 in `--query_log_size`).

pub mod decide;
pub mod learn;
pub mod retry;
pub mod table;

#[cfg(test)]
mod messages;
