//! The sessions and operations that are known, and which coordinator owns each: affinity is a look-up here.
//!
//! One table a cluster ([`Table`]). Look-ups happen on every call, so an entry has in place only what a
//! look-up reads, owner and secret: the less memory a large table walks over, the fewer misses of the
//! processor's caches a look-up costs. Guards of [`crate::cluster`] live in the entries: what leaves the
//! table stops counting as load.
//!
//! From the bottom to the top: `secret`, `admission`, `end`, `operation`, `mobile`, `life`, `session` (an entry),
//! `history` (what is told of ends), `store` (the maps), `ended` (tells), and then what happens to them, each by
//! itself: `sessions`, `operations`, `located`, `lost`, `moves`, `reap`, `remaining`, `seen`.

mod admission;
mod delegated;
mod end;
mod ended;
mod history;
mod life;
mod located;
mod lost;
mod mobile;
mod moves;
mod operation;
mod operations;
mod reap;
mod remaining;
mod secret;
mod seen;
mod session;
mod sessions;
mod store;

pub use self::admission::{Admission, NotAdmitted};
pub use self::end::{OperationEnd, SessionEnd};
pub use self::history::{EndedOperation, EndedSession, History, Whose};
pub use self::life::{Arrival, Expired, NotLive, NotReaped};
pub use self::mobile::{Cause, Done, Leftover, Movable, Pinned};
pub use self::moves::{Departure, Holding};
pub use self::operation::{LocatedOperation, NewOperation, OpenCount, OpenOperations, OperationKind};
pub use self::reap::Reaping;
pub use self::remaining::{Named, NotNamed, OpenOf, Remaining, Running};
pub use self::seen::{Progress, SeenOperation, SeenSession};
pub use self::session::{NewSession, Origin, Target};
pub use self::sessions::NotKept;
pub use self::store::{Settings, Table};

#[cfg(test)]
mod tests;
