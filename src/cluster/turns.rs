//! Who is next where many wait: identities take turns, so that one which asks a thousand times at once delays
//! the others by one turn each time, and within a turn who came first is first. A name that somebody claims
//! and has not proven has no turn of its own, because names can be invented without end: there the addresses
//! take turns.

use std::collections::{HashMap, VecDeque};

use crate::cluster::room::Holder;
use crate::ids::{ClientAddress, Identity};

/// What counts as one among those who wait.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// Everybody of an identity.
    Identity(Identity),
    /// Everybody at an address who has not proven to be anybody.
    Address(ClientAddress),
}

impl Turn {
    /// Whose turn a client waits for, as far as it is known who it is.
    pub fn of(holder: Holder<'_>) -> Self {
        match holder.unproven {
            None => Self::Identity(holder.access.identity.clone()),
            Some(address) => Self::Address(address),
        }
    }
}

/// Names a waiter for as long as it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Too many wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} wait already (queue_length)")]
pub struct QueueFull {
    /// How many may wait.
    pub length: usize,
}

/// Waiters, who take turns.
#[derive(Debug)]
pub struct Turns<T> {
    /// The turns for which somebody waits, the next first.
    order: VecDeque<Turn>,
    waiting: HashMap<Turn, VecDeque<(Ticket, T)>>,
    length: usize,
    limit: usize,
    next: u64,
}

impl<T> Turns<T> {
    /// A queue for at most `limit`.
    pub fn new(limit: usize) -> Self {
        Self { order: VecDeque::new(), waiting: HashMap::new(), length: 0, limit, next: 0 }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// One more waits. If the queue is full, somebody gives way to it and is returned: the newest of those
    /// whose turn has the most, so that nobody keeps others out by coming often.
    ///
    /// # Errors
    /// [`QueueFull`], if no turn has more of them than this one would.
    pub fn join(&mut self, turn: &Turn, who: T) -> Result<(Ticket, Option<T>), QueueFull> {
        let displaced = if self.length < self.limit { None } else { Some(self.displace(turn)?) };
        let ticket = Ticket(self.next);
        self.next += 1;
        self.length += 1;
        if let Some(line) = self.waiting.get_mut(turn) {
            line.push_back((ticket, who));
        } else {
            self.order.push_back(turn.clone());
            self.waiting.insert(turn.clone(), VecDeque::from([(ticket, who)]));
        }
        Ok((ticket, displaced))
    }

    /// Takes out the waiter that gives way to a newcomer.
    fn displace(&mut self, newcomer: &Turn) -> Result<T, QueueFull> {
        let own = self.waiting.get(newcomer).map_or(0, VecDeque::len) + 1;
        // No two have the same newest ticket, so the order of the map tells nothing.
        let longest = self.waiting.values_mut().max_by_key(|line| (line.len(), line.back().map(|one| one.0)));
        // It keeps at least one, and its place among the others.
        let newest = longest.filter(|line| line.len() > own).and_then(VecDeque::pop_back);
        let (_, displaced) = newest.ok_or(QueueFull { length: self.limit })?;
        self.length -= 1;
        Ok(displaced)
    }

    /// Takes out the next waiter of those for whom `fits` says true; its turn then comes after all others.
    /// Looks past the others one by one.
    pub fn next(&mut self, mut fits: impl FnMut(&T) -> bool) -> Option<T> {
        let waiting = &self.waiting;
        let (place_in_order, place) = self.order.iter().enumerate().find_map(|(place_in_order, turn)| {
            let place = waiting.get(turn)?.iter().position(|(_, who)| fits(who))?;
            Some((place_in_order, place))
        })?;
        let turn = self.order.remove(place_in_order)?;
        let line = self.waiting.get_mut(&turn)?;
        let (_, who) = line.remove(place)?;
        let more = !line.is_empty();
        self.length -= 1;
        if more {
            self.order.push_back(turn);
        } else {
            self.waiting.remove(&turn);
        }
        Some(who)
    }

    /// Whether any waiter `fits`.
    pub fn any(&self, mut fits: impl FnMut(&T) -> bool) -> bool {
        self.waiting.values().flatten().any(|(_, who)| fits(who))
    }

    /// All that wait, in the order in which they come if each fits what comes free. Takes as long as there are
    /// waiters.
    pub fn in_order(&self) -> Vec<&T> {
        let mut lines: Vec<_> =
            self.order.iter().filter_map(|turn| self.waiting.get(turn)).map(VecDeque::iter).collect();
        let mut all = Vec::with_capacity(self.length);
        while !lines.is_empty() {
            lines.retain_mut(|line| line.next().map(|(_, who)| all.push(who)).is_some());
        }
        all
    }

    /// Takes out a waiter that waits no longer; `None` if it had its turn already, or gave way.
    pub fn leave(&mut self, turn: &Turn, ticket: Ticket) -> Option<T> {
        let line = self.waiting.get_mut(turn)?;
        let place = line.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()?;
        let (_, who) = line.remove(place)?;
        self.length -= 1;
        if line.is_empty() {
            self.waiting.remove(turn);
            self.order.retain(|other| other != turn);
        }
        Some(who)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{Access, Credential, Proof, Transport};

    fn access(identity: Identity) -> Access {
        Access { identity, transport: Transport::Sasl }
    }

    fn user(number: u8) -> Turn {
        Turn::Identity(Identity::Plain(format!("u{number}").into()))
    }

    /// All, as they come and as they are shown.
    fn all(turns: &mut Turns<u32>) -> Vec<u32> {
        let shown: Vec<u32> = turns.in_order().into_iter().copied().collect();
        let all: Vec<u32> = std::iter::from_fn(|| turns.next(|_| true)).collect();
        assert_eq!(shown, all);
        all
    }

    #[test]
    fn turns_alternate_and_within_one_the_first_is_first() {
        let mut turns = Turns::new(10);
        for (identity, who) in [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (2, 21)] {
            turns.join(&user(identity), who).unwrap();
        }
        assert_eq!(all(&mut turns), [10, 20, 30, 11, 21, 12]);
        assert!(turns.is_empty() && turns.order.is_empty() && turns.waiting.is_empty());
    }

    #[test]
    fn who_does_not_fit_keeps_its_place() {
        let mut turns = Turns::new(10);
        for (identity, who) in [(1, 10), (2, 20), (1, 11), (3, 30)] {
            turns.join(&user(identity), who).unwrap();
        }
        assert_eq!(turns.next(|who| *who == 11), Some(11));
        assert_eq!(turns.next(|who| *who == 30), Some(30));
        assert_eq!(turns.next(|_| false), None);
        assert_eq!(all(&mut turns), [20, 10]);
    }

    #[test]
    fn who_leaves_is_not_called_and_makes_room_for_another() {
        let mut turns = Turns::new(2);
        let (first, _) = turns.join(&user(1), 10).unwrap();
        turns.join(&user(2), 20).unwrap();
        assert_eq!(turns.join(&user(3), 30), Err(QueueFull { length: 2 }));
        assert_eq!(turns.leave(&user(1), first), Some(10));
        assert_eq!(turns.leave(&user(1), first), None);
        turns.join(&user(3), 30).unwrap();
        assert_eq!(all(&mut turns), [20, 30]);
    }

    #[test]
    fn a_full_queue_takes_from_who_has_most_in_it_and_never_from_who_has_no_more_than_the_newcomer() {
        let mut turns = Turns::new(5);
        for (identity, who) in [(1, 10), (2, 20), (1, 11), (2, 21), (1, 12)] {
            turns.join(&user(identity), who).unwrap();
        }
        assert_eq!(turns.join(&user(1), 13), Err(QueueFull { length: 5 }), "it has most itself");
        assert_eq!(turns.join(&user(2), 22), Err(QueueFull { length: 5 }), "it would have as many");
        let (third, displaced) = turns.join(&user(3), 30).unwrap();
        assert_eq!(displaced, Some(12), "the newest of the longest line");
        let displaced = turns.join(&user(4), 40).unwrap().1;
        assert_eq!(displaced, Some(21), "of lines as long as each other, from the one with the newest");
        assert_eq!(turns.join(&user(4), 41).map(|joined| joined.1), Err(QueueFull { length: 5 }));
        assert_eq!(turns.leave(&user(3), third), Some(30));
        assert_eq!(turns.len(), 4);
        assert_eq!(all(&mut turns), [10, 20, 40, 11]);
    }

    #[test]
    fn invented_names_share_the_turn_of_their_address_and_cannot_keep_a_newcomer_out() {
        let address = |number| ClientAddress::from(IpAddr::from([192, 0, 2, number]));
        let mut turns = Turns::new(100);
        for who in 0..100 {
            turns.join(&Turn::Address(address(1)), who).unwrap();
        }
        let proven = access(Identity::Plain("ann".into()));
        let (_, displaced) = turns.join(&Turn::of(Holder::of(&proven, address(2))), 1000).unwrap();
        assert_eq!(displaced, Some(99));
        let (_, displaced) = turns.join(&Turn::Address(address(2)), 2000).unwrap();
        assert_eq!(displaced, Some(98));
        assert_eq!(all(&mut turns)[..4], [0, 1000, 2000, 1]);
    }

    #[test]
    fn only_a_name_that_was_proven_has_a_turn_of_its_own() {
        let address = ClientAddress::from(IpAddr::from([192, 0, 2, 1]));
        let of = |identity| Turn::of(Holder::of(&access(identity), address));
        let ann = Identity::Plain("ann".into());
        assert_eq!(of(ann.clone()), Turn::Identity(ann));
        let claim = Identity::Credential(Credential { proof: Proof::Lasting([1, 2]), do_as: None }.into());
        for nobody in [Identity::Unread, Identity::Anonymous, claim.clone()] {
            assert_eq!(of(nobody), Turn::Address(address));
        }
        let accepted = Turn::of(Holder::accepted(&access(claim.clone())));
        assert_eq!(accepted, Turn::Identity(claim));
    }

    proptest! {
        #[test]
        fn nobody_waits_for_more_than_one_turn_of_each_other_identity(arrivals in vec(0u8..6, 1..60)) {
            let mut turns = Turns::new(40);
            let mut admitted = Vec::new();
            for (who, identity) in (0u32..).zip(&arrivals) {
                let one = (*identity, who);
                match turns.join(&user(*identity), one) {
                    Ok((_, displaced)) => {
                        admitted.retain(|other| Some(*other) != displaced);
                        admitted.push(one);
                    }
                    Err(full) => prop_assert_eq!(full.length, 40),
                }
                prop_assert!(turns.len() <= 40 && turns.len() == admitted.len());
            }
            let served: Vec<_> = std::iter::from_fn(|| turns.next(|_| true)).collect();
            prop_assert_eq!(served.len(), admitted.len());
            for identity in 0..6 {
                let of = |who: &(u8, u32)| (who.0 == identity).then_some(who.1);
                let came: Vec<u32> = admitted.iter().filter_map(of).collect();
                let places: Vec<usize> =
                    (0..served.len()).filter(|place| served[*place].0 == identity).collect();
                let went: Vec<u32> = places.iter().map(|place| served[*place].1).collect();
                prop_assert_eq!(came, went, "first come, first served");
                for pair in places.windows(2) {
                    let between: Vec<_> = served[pair[0] + 1..pair[1]].iter().map(|one| one.0).collect();
                    let distinct: std::collections::HashSet<_> = between.iter().collect();
                    prop_assert_eq!(distinct.len(), between.len(), "somebody had two turns between");
                }
            }
        }
    }
}
