//! Snapshots of what the router knows, one type for each thing. Whatever shows them has the same fields under
//! the same names.

mod connections;
mod events;
mod history;
mod operations;
mod readiness;
mod record;
mod rows;
mod sessions;
mod user;
mod waiting;

pub use self::connections::{ConnectionRow, Connections};
pub use self::events::{EventRow, Events};
pub use self::history::{History, HistoryOrder};
pub use self::operations::{OperationRow, Operations};
pub use self::readiness::Readiness;
pub use self::record::{Period, Record, RecordKind, VerbDone};
pub use self::rows::{Ask, MOST_ROWS};
pub use self::sessions::{Order, SessionRow, Sessions};
pub use self::waiting::{Waiting, WaitingRow};
