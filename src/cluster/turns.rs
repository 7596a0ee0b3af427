//! Who is next where many wait: the identities take turns, so that one which asks a thousand times at once delays the
//! others by one turn each time, and within an identity who came first is first.

use std::collections::{HashMap, VecDeque};

use crate::ids::Identity;

/// Names one who waits, for as long as it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// So many wait already that nobody else may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{length} wait already (queue_length)")]
pub struct QueueFull {
    /// How many may wait.
    pub length: usize,
}

/// Those who wait, in turns.
#[derive(Debug)]
pub struct Turns<T> {
    /// Identities of which somebody waits, the next one first.
    order: VecDeque<Identity>,
    waiting: HashMap<Identity, VecDeque<(Ticket, T)>>,
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

    /// One more waits.
    ///
    /// # Errors
    /// [`QueueFull`].
    pub fn join(&mut self, identity: &Identity, who: T) -> Result<Ticket, QueueFull> {
        if self.length >= self.limit {
            return Err(QueueFull { length: self.length });
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.length += 1;
        if let Some(line) = self.waiting.get_mut(identity) {
            line.push_back((ticket, who));
        } else {
            self.order.push_back(identity.clone());
            self.waiting.insert(identity.clone(), VecDeque::from([(ticket, who)]));
        }
        Ok(ticket)
    }

    /// Takes out who is next among those that `fits`; their identity then has its turn after all others. Looks past those
    /// that do not fit, so it takes as long as there are such.
    pub fn next(&mut self, mut fits: impl FnMut(&Identity, &T) -> bool) -> Option<(Identity, T)> {
        let waiting = &self.waiting;
        let (turn, place) = self.order.iter().enumerate().find_map(|(turn, identity)| {
            let place = waiting.get(identity)?.iter().position(|(_, who)| fits(identity, who))?;
            Some((turn, place))
        })?;
        let identity = self.order.remove(turn)?;
        let line = self.waiting.get_mut(&identity)?;
        let (_, who) = line.remove(place)?;
        let more = !line.is_empty();
        self.length -= 1;
        if more {
            self.order.push_back(identity.clone());
        } else {
            self.waiting.remove(&identity);
        }
        Some((identity, who))
    }

    /// Takes out one who waits no longer; `None` if it had its turn already.
    pub fn leave(&mut self, identity: &Identity, ticket: Ticket) -> Option<T> {
        let line = self.waiting.get_mut(identity)?;
        let place = line.binary_search_by_key(&ticket.0, |(ticket, _)| ticket.0).ok()?;
        let (_, who) = line.remove(place)?;
        self.length -= 1;
        if line.is_empty() {
            self.waiting.remove(identity);
            self.order.retain(|other| other != identity);
        }
        Some(who)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn user(number: u8) -> Identity {
        Identity::Plain(format!("u{number}").into())
    }

    fn all(turns: &mut Turns<u32>) -> Vec<u32> {
        std::iter::from_fn(|| turns.next(|_, _| true).map(|(_, who)| who)).collect()
    }

    #[test]
    fn identities_take_turns_and_within_one_the_first_is_first() {
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
        assert_eq!(turns.next(|_, who| *who == 11), Some((user(1), 11)));
        assert_eq!(turns.next(|identity, _| *identity == user(3)), Some((user(3), 30)));
        assert_eq!(turns.next(|_, _| false), None);
        assert_eq!(all(&mut turns), [20, 10]);
    }

    #[test]
    fn who_leaves_is_not_called_and_makes_room_for_another() {
        let mut turns = Turns::new(2);
        let first = turns.join(&user(1), 10).unwrap();
        turns.join(&user(1), 11).unwrap();
        assert_eq!(turns.join(&user(2), 20), Err(QueueFull { length: 2 }));
        assert_eq!(turns.leave(&user(1), first), Some(10));
        assert_eq!(turns.leave(&user(1), first), None);
        turns.join(&user(2), 20).unwrap();
        assert_eq!(all(&mut turns), [11, 20]);
    }

    proptest! {
        #[test]
        fn nobody_waits_for_more_than_one_turn_of_each_other_identity(arrivals in vec(0u8..6, 1..60)) {
            let mut turns = Turns::new(50);
            let mut admitted = Vec::new();
            for (who, identity) in (0u32..).zip(&arrivals) {
                match turns.join(&user(*identity), who) {
                    Ok(_) => admitted.push((*identity, who)),
                    Err(full) => prop_assert_eq!(full.length, 50),
                }
                prop_assert!(turns.len() <= 50);
            }
            let served: Vec<_> = std::iter::from_fn(|| turns.next(|_, _| true)).collect();
            prop_assert_eq!(served.len(), admitted.len());
            for identity in 0..6 {
                let of = |who: &(u8, u32)| (who.0 == identity).then_some(who.1);
                let came: Vec<u32> = admitted.iter().filter_map(of).collect();
                let places: Vec<usize> =
                    (0..served.len()).filter(|place| served[*place].0 == user(identity)).collect();
                let went: Vec<u32> = places.iter().map(|place| served[*place].1).collect();
                prop_assert_eq!(came, went, "first come, first served");
                for pair in places.windows(2) {
                    let between: Vec<_> = served[pair[0] + 1..pair[1]].iter().map(|one| &one.0).collect();
                    let distinct: std::collections::HashSet<_> = between.iter().collect();
                    prop_assert_eq!(distinct.len(), between.len(), "somebody had two turns between");
                }
            }
        }
    }
}
