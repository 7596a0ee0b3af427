//! Limits on the connections that each client address has, and on those that it opens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::ids::ClientAddress;

/// So many addresses are told apart. When more have connections, or have opened one within the last second,
/// those that come last are not limited: a crowd of that size is not stopped by a limit on each of it.
const ADDRESSES: usize = 1 << 16;
/// A burst is what an address may open in this time.
const BURST: Duration = Duration::from_secs(1);

/// The limits of each address; none where there is no limit. A limit of 0 lets nobody in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressLimits {
    /// How many connections it may have at the same time.
    pub connections: Option<u32>,
    /// How many connections it may open in a second, and at once after a pause.
    pub per_second: Option<u32>,
}

/// Why an address may not open a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    /// It has as many as it may have.
    #[error(
        "the client's address has {0} connections, and no more are allowed (maximum_connections_per_address)"
    )]
    Connections(u32),
    /// It opens them too fast.
    #[error("the client's address opens more than {0} connections a second (new_connections_per_second)")]
    PerSecond(u32),
}

/// The connections of all addresses, and how fast they came.
#[derive(Debug, Default)]
pub struct PerAddress {
    limits: AddressLimits,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    rows: HashMap<ClientAddress, Row>,
    swept: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    open: u32,
    /// When the burst is whole again. Each new connection moves this into the future, by the time that it
    /// takes to be allowed another, and [`BURST`] is as far as it may go.
    whole_at: Instant,
}

impl Row {
    fn is_of_use(&self, now: Instant) -> bool {
        self.open > 0 || self.whole_at > now
    }
}

impl Table {
    /// Whether there is a row for this address, or place for one.
    fn has_place(&mut self, address: ClientAddress, now: Instant) -> bool {
        if self.rows.len() < ADDRESSES || self.rows.contains_key(&address) {
            return true;
        }
        // Sooner, few of them would have become useless since.
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= BURST) {
            self.swept = Some(now);
            self.rows.retain(|_, row| row.is_of_use(now));
        }
        self.rows.len() < ADDRESSES
    }
}

/// Counts a connection among those of its address, until it is dropped.
#[derive(Debug, Default)]
pub struct Admitted {
    _counted: Option<Box<Counted>>,
}

#[derive(Debug)]
struct Counted {
    address: ClientAddress,
    among: Arc<PerAddress>,
}

impl PerAddress {
    /// Starts with no connections.
    pub fn new(limits: AddressLimits) -> Self {
        Self { limits, table: Mutex::default() }
    }

    /// Counts a new connection of this address.
    ///
    /// # Errors
    /// [`OverLimit`], when it exceeds one of the limits; it is then not counted.
    pub fn admit(self: &Arc<Self>, address: ClientAddress, now: Instant) -> Result<Admitted, OverLimit> {
        let AddressLimits { connections, per_second } = self.limits;
        if connections.is_none() && per_second.is_none() {
            return Ok(Admitted::default());
        }
        let mut table = self.table.lock();
        if !table.has_place(address, now) {
            return Ok(Admitted::default());
        }
        let row = table.rows.entry(address).or_insert(Row { open: 0, whole_at: now });
        if let Some(most) = connections.filter(|most| row.open >= *most) {
            return Err(OverLimit::Connections(most));
        }
        if let Some(rate) = per_second {
            let each = BURST.checked_div(rate).unwrap_or(Duration::MAX);
            let whole_at = row.whole_at.max(now).checked_add(each);
            let within = whole_at.filter(|at| at.saturating_duration_since(now) <= BURST);
            row.whole_at = within.ok_or(OverLimit::PerSecond(rate))?;
        }
        row.open += 1;
        Ok(Admitted { _counted: Some(Box::new(Counted { address, among: Arc::clone(self) })) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut table = self.among.table.lock();
        let Some(row) = table.rows.get_mut(&self.address) else { return };
        row.open = row.open.saturating_sub(1);
        // With a limit on new ones, the row is still needed for a moment.
        if row.open == 0 && self.among.limits.per_second.is_none() {
            table.rows.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::clock;

    const FIRST: u32 = 0xc000_0201;

    fn address(bits: u32) -> ClientAddress {
        IpAddr::from(Ipv4Addr::from_bits(bits)).into()
    }

    fn limited(connections: Option<u32>, per_second: Option<u32>) -> Arc<PerAddress> {
        Arc::new(PerAddress::new(AddressLimits { connections, per_second }))
    }

    fn rows(limits: &PerAddress) -> usize {
        limits.table.lock().rows.len()
    }

    #[test]
    fn an_address_has_no_more_connections_than_allowed_and_others_do_not_count() {
        let (limits, now) = (limited(Some(2), None), clock::now());
        let admit = |bits| limits.admit(address(bits), now);
        let (first, second) = (admit(FIRST).unwrap(), admit(FIRST).unwrap());
        assert_eq!(admit(FIRST).unwrap_err(), OverLimit::Connections(2));
        let _other = admit(FIRST + 1).unwrap();
        drop(first);
        let third = admit(FIRST).unwrap();
        assert_eq!(admit(FIRST).unwrap_err(), OverLimit::Connections(2));
        drop((second, third));
        assert_eq!(rows(&limits), 1, "the other's");
    }

    #[test]
    fn a_burst_is_allowed_and_then_so_many_a_second() {
        let (limits, start) = (limited(None, Some(4)), clock::now());
        let admit = |millis| limits.admit(address(FIRST), start + Duration::from_millis(millis));
        let admitted = |millis| (0..100).filter(|_| admit(millis).is_ok()).count();
        assert_eq!(admitted(0), 4);
        assert_eq!(admit(0).unwrap_err(), OverLimit::PerSecond(4));
        assert_eq!(admitted(249), 0);
        assert_eq!(admitted(250), 1);
        assert_eq!(admitted(750), 2);
        assert_eq!(admitted(60_000), 4, "what was not used does not add up");
        assert_eq!(limits.admit(address(FIRST + 1), start).map(drop), Ok(()));
    }

    #[test]
    fn a_rate_that_divides_no_second_still_allows_its_burst() {
        for rate in [1, 3, 7, 1_000_000] {
            let (limits, now) = (limited(None, Some(rate)), clock::now());
            let count = (0..=rate).filter(|_| limits.admit(address(FIRST), now).is_ok()).count();
            assert_eq!(count, rate as usize);
        }
    }

    #[test]
    fn what_is_refused_counts_for_neither_limit() {
        let (limits, now) = (limited(Some(1), Some(2)), clock::now());
        let admit = || limits.admit(address(FIRST), now);
        let first = admit().unwrap();
        for _ in 0..10 {
            assert_eq!(admit().unwrap_err(), OverLimit::Connections(1));
        }
        drop(first);
        drop(admit().unwrap());
        assert_eq!(admit().unwrap_err(), OverLimit::PerSecond(2));
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let (limits, now) = (limited(None, None), clock::now());
        let _all: Vec<_> = (0..100).map(|_| limits.admit(address(FIRST), now).unwrap()).collect();
        assert_eq!(rows(&limits), 0);
    }

    #[test]
    fn a_crowd_fills_the_table_for_a_moment_only_and_those_who_stay_are_still_counted() {
        let (limits, now) = (limited(Some(1), Some(1)), clock::now());
        let _stays = limits.admit(address(FIRST), now).unwrap();
        for bits in 0..=ADDRESSES {
            drop(limits.admit(address(u32::try_from(bits).unwrap()), now));
        }
        assert_eq!(rows(&limits), ADDRESSES);
        assert!(limits.admit(address(FIRST), now).is_err());
        // There is no place for these, so nothing stops them.
        let nobody = address(0x0a00_0001);
        let _more = [(); 3].map(|()| limits.admit(nobody, now).unwrap());
        let later = now + BURST;
        drop(limits.admit(nobody, later).unwrap());
        assert_eq!(rows(&limits), 2);
        assert_eq!(limits.admit(address(FIRST), later).unwrap_err(), OverLimit::Connections(1));
    }
}
