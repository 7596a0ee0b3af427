//! How many sessions each holder may have: no more than there are places left for all. A holder that opens
//! sessions without end gets at most half of the table, two such holders a third each, and there is room for
//! those that have few. (The rule by which switches share a buffer: Choudhury and Hahne, "Dynamic queue
//! length thresholds for shared-memory packet switches".)

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::cluster::turns::Turn;

/// Holders without sessions are forgotten when there are this many holders, and each time that number has
/// doubled.
const LOOK_AT: usize = 64;

/// How many sessions each holder has.
#[derive(Debug)]
pub(super) struct Admissions(Mutex<Holders>);

#[derive(Debug)]
struct Holders {
    held: HashMap<Turn, Arc<AtomicUsize>>,
    look_at: usize,
}

impl Default for Admissions {
    fn default() -> Self {
        Self(Mutex::new(Holders { held: HashMap::new(), look_at: LOOK_AT }))
    }
}

/// A place for a session, from before it is opened until it leaves the table.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Admission(Arc<AtomicUsize>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a session is not opened: there is no place for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// For nobody.
    #[error("the session table is full (session_table_size)")]
    Full,
    /// Others may have one.
    #[error(
        "this user, or this address where nobody logs in, has {held} sessions, as many as the session table has places \
         left (session_table_size)"
    )]
    HoldsMost {
        /// How many sessions it has.
        held: usize,
    },
}

impl Admissions {
    /// A place for a session of this holder, where so many are left for everybody.
    ///
    /// # Errors
    /// None is left, or the holder has as many as are left.
    pub(super) fn admit(&self, holder: &Turn, left: usize) -> Result<Admission, NotAdmitted> {
        if left == 0 {
            return Err(NotAdmitted::Full);
        }
        let held = self.of(holder);
        match held.load(Ordering::Relaxed) {
            // Those that are admitted in the same moment may go beyond by as many as they are.
            many if many >= left => Err(NotAdmitted::HoldsMost { held: many }),
            _ => {
                held.fetch_add(1, Ordering::Relaxed);
                Ok(Admission(held))
            }
        }
    }

    /// What counts the sessions of one.
    fn of(&self, holder: &Turn) -> Arc<AtomicUsize> {
        let Holders { held, look_at } = &mut *self.0.lock();
        if let Some(known) = held.get(holder) {
            return Arc::clone(known);
        }
        if held.len() >= *look_at {
            // A holder that has sessions, or is about to have one, shares its count with them.
            held.retain(|_, count| Arc::strong_count(count) > 1);
            *look_at = LOOK_AT.max(held.len() * 2);
        }
        Arc::clone(held.entry(holder.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::Identity;
    use crate::session::table::{Settings, Table};

    fn user(number: usize) -> Turn {
        Turn::Identity(Identity::Plain(format!("u{number}").into()))
    }

    fn table(capacity: usize) -> Table {
        Table::new(Settings { capacity, detached_for: Duration::from_mins(1) })
    }

    #[test]
    fn who_has_as_many_sessions_as_are_left_gets_no_more_until_one_ends() {
        // Nothing is in the table itself, so that four are left all the time.
        let table = table(4);
        let mut admitted: Vec<_> = (0..4).map(|_| table.admit(&user(1)).unwrap()).collect();
        assert_eq!(table.admit(&user(1)).unwrap_err(), NotAdmitted::HoldsMost { held: 4 });
        drop(table.admit(&user(2)).unwrap());
        drop(admitted.pop());
        drop(table.admit(&user(1)).unwrap());
    }

    #[test]
    fn who_has_no_session_is_forgotten_and_who_has_one_is_not() {
        let table = table(4);
        let kept = table.admit(&user(0)).unwrap();
        for number in 1..10_000 {
            drop(table.admit(&user(number)).unwrap());
            assert!(table.admissions.0.lock().held.len() <= LOOK_AT);
        }
        assert_eq!(table.admissions.of(&user(0)).load(Ordering::Relaxed), 1);
        drop(kept);
        assert_eq!(table.admissions.of(&user(0)).load(Ordering::Relaxed), 0);
    }
}
