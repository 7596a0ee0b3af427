//! The only source of chance, so that everything else takes it as an argument and a simulation can repeat it.

use parking_lot::Mutex;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// A stream of random numbers that many tasks draw from.
#[derive(Debug)]
pub struct Chance(Mutex<StdRng>);

impl Chance {
    /// Seeded by the system: nobody can tell what it will draw.
    #[expect(clippy::disallowed_methods, reason = "the one place where the system is asked for chance")]
    pub fn from_system() -> Self {
        Self(Mutex::new(StdRng::from_rng(&mut rand::rng())))
    }

    /// Draws the same from the same seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// Draws; nobody else does meanwhile.
    pub fn draw<T>(&self, from: impl FnOnce(&mut StdRng) -> T) -> T {
        from(&mut self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn only_the_same_seed_draws_the_same() {
        let three = |chance: Chance| [(); 3].map(|()| chance.draw(Rng::next_u64));
        assert_eq!(three(Chance::from_seed(7)), three(Chance::from_seed(7)));
        assert_ne!(three(Chance::from_seed(7)), three(Chance::from_seed(8)));
        assert_ne!(three(Chance::from_system()), three(Chance::from_system()));
    }
}
