//! A session that ends with its link.

use std::sync::Arc;

use rand::Rng;

use crate::chance::Chance;
use crate::clock;
use crate::cluster::SessionCount;
use crate::ids::Access;
use crate::session::idle::IdleTimeout;
use crate::session::table::{NewSession, NotKept, Table};
use crate::wire::facts::Guid;

/// A session that its coordinator ends when the link closes: a Beeswax session or, where sessions end with
/// their connections, the session that was opened last on the link (Hive: `ThriftBinaryCLIService`
/// `deleteContext`). Dropping this removes the session from the table.
#[derive(Debug)]
pub(crate) struct LinkSession {
    table: Arc<Table>,
    /// The session's key in the table.
    pub guid: Guid,
}

impl LinkSession {
    fn new(table: &Arc<Table>, guid: Guid) -> Self {
        Self { table: Arc::clone(table), guid }
    }

    /// Takes a session into the table, as long as the link lives.
    ///
    /// # Errors
    /// [`NotKept`], when the table does not take it.
    pub(crate) fn begin(table: &Arc<Table>, session: NewSession) -> Result<Self, NotKept> {
        let guid = session.guid;
        table.insert_session(session)?;
        drop(table.attach(&guid));
        Ok(Self::new(table, guid))
    }

    /// Notes a session that was opened on the link, where sessions end with links. The one before it stays
    /// open when the link closes: its coordinator remembers only the last one.
    pub(crate) fn follow(former: &mut Option<Self>, table: &Arc<Table>, guid: Guid) {
        if let Some(former) = former.replace(Self::new(table, guid)) {
            former.forget();
        }
    }

    /// Keeps the session in the table when the link ends.
    fn forget(mut self) {
        // No session has this guid, so dropping it removes nothing.
        self.guid = [0; 16];
    }
}

impl Drop for LinkSession {
    fn drop(&mut self) {
        self.table.end_with_link(&self.guid);
    }
}

/// The session of a Beeswax connection; `count` counts it as load.
pub(crate) fn beeswax_session(access: Access, count: SessionCount, chance: &Chance) -> NewSession {
    NewSession {
        guid: chance.draw(beeswax_guid),
        secret: None,
        coordinator: count.coordinator().id,
        access,
        count,
        tenancy: None,
        idle_timeout: IdleTimeout::default(),
        now: clock::now(),
    }
}

/// Draws a guid for a Beeswax session, which has none of its own. It is random, so that no coordinator mints
/// the same guid for an HS2 session and no client can guess it.
fn beeswax_guid(rng: &mut impl Rng) -> Guid {
    let mut guid = Guid::default();
    rng.fill_bytes(&mut guid);
    guid
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn guids_of_beeswax_sessions_differ_and_do_not_foretell_each_other() {
        let name = |seed| beeswax_guid(&mut StdRng::seed_from_u64(seed));
        assert_ne!(name(1), name(2));
        let mut rng = StdRng::seed_from_u64(1);
        let (one, next) = (beeswax_guid(&mut rng), beeswax_guid(&mut rng));
        assert!(one.iter().zip(next).filter(|(a, b)| **a != *b).count() > 8, "{one:?} tells {next:?}");
    }
}
