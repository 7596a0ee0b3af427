//! Finds which of many has the least key, without asking them all.

use std::cmp::Ordering;

use rand::Rng;

/// What is compared; the least wins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Key {
    /// As of [`super::super::Standing::class`].
    pub(super) class: u8,
    /// Decides within a class.
    pub(super) score: f64,
}

impl Key {
    fn compare(self, other: Self) -> Ordering {
        self.class.cmp(&other.class).then(self.score.total_cmp(&other.score))
    }
}

/// The winners among those below one place of the tree.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    key: Key,
    /// How many have that key; 0 if nobody plays here.
    winners: u32,
}

impl Node {
    const EMPTY: Self = Self { key: Key { class: u8::MAX, score: f64::INFINITY }, winners: 0 };

    fn above(left: Self, right: Self) -> Self {
        match left.key.compare(right.key) {
            Ordering::Less => left,
            Ordering::Greater => right,
            Ordering::Equal => Self { winners: left.winners + right.winners, ..left },
        }
    }
}

/// Players in a binary tree of matches: a change of one player, and a draw, cost as many steps as the tree is
/// high.
#[derive(Debug)]
pub(super) struct Tournament {
    /// Below place `n` are `2n` and `2n + 1`; the root is at 1, the players are the second half.
    nodes: Vec<Node>,
}

impl Tournament {
    /// With room for this many players, none of which plays yet.
    pub(super) fn new(players: usize) -> Self {
        Self { nodes: vec![Node::EMPTY; 2 * players.next_power_of_two()] }
    }

    /// Gives a player a key, or takes it out of the game. One without a place here never plays.
    pub(super) fn set(&mut self, player: usize, key: Option<Key>) {
        let mut place = self.nodes.len() / 2 + player;
        let mut node = key.map_or(Node::EMPTY, |key| Node { key, winners: 1 });
        while let Some(known) = self.nodes.get_mut(place)
            && *known != node
        {
            *known = node;
            let rival = self.nodes.get(place ^ 1).filter(|_| place > 1);
            let Some(&rival) = rival else { return };
            node = Node::above(node, rival);
            place /= 2;
        }
    }

    /// One of those with the least key, each as likely as the others, and that key.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Option<(usize, Key)> {
        let players = self.nodes.len() / 2;
        let Node { key, winners } = *self.nodes.get(1).filter(|root| root.winners > 0)?;
        // The number of the winner, from the left. A share of 32 bits: off by a 65,536th at most.
        let chance = if winners > 1 { rng.next_u32() } else { 0 };
        let mut number = (u64::from(chance) * u64::from(winners)) >> 32;
        let mut place = 1;
        while place < players {
            place *= 2;
            let left = self.nodes.get(place)?;
            let on_the_left = if left.key == key { u64::from(left.winners) } else { 0 };
            if number >= on_the_left {
                number -= on_the_left;
                place += 1;
            }
        }
        Some((place - players, key))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    proptest! {
        #[test]
        fn the_least_wins_whatever_changed_before(
            players in 0_usize..40,
            changes in prop::collection::vec((0_usize..40, prop::option::of((0_u8..3, 0_u8..4))), 0..200),
            seed in any::<u64>(),
        ) {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut tournament = Tournament::new(players);
            let mut keys = vec![None; players];
            for (player, key) in changes.into_iter().filter(|(player, _)| *player < players) {
                let key = key.map(|(class, score)| Key { class, score: f64::from(score) });
                tournament.set(player, key);
                keys[player] = key;
                let least = keys.iter().flatten().copied().min_by(|a, b| a.compare(*b));
                let drawn = tournament.draw(&mut rng);
                prop_assert_eq!(drawn.map(|(_, key)| key), least);
                prop_assert!(drawn.is_none_or(|(winner, key)| keys[winner] == Some(key)));
            }
        }
    }

    #[test]
    fn equals_win_equally_often() {
        let mut tournament = Tournament::new(11);
        for player in 0..11 {
            let score = if player % 3 == 0 { 1.0 } else { 2.0 };
            tournament.set(player, Some(Key { class: 0, score }));
        }
        let (mut wins, mut rng) = ([0; 11], StdRng::seed_from_u64(7));
        for _ in 0..4000 {
            wins[tournament.draw(&mut rng).unwrap().0] += 1;
        }
        for (player, &wins) in wins.iter().enumerate() {
            let expected = if player % 3 == 0 { 900..1100 } else { 0..1 };
            assert!(expected.contains(&wins), "{player}: {wins}");
        }
    }
}
