//! Which rows are shown, of more than anybody reads.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::wire::facts::Guid;

/// The most rows in one answer.
pub const MOST_ROWS: usize = 5000;

/// Which rows are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// How many at most; up to [`MOST_ROWS`].
    pub limit: usize,
    /// A row must have each of these words in one of its texts, in upper or lower case.
    pub filter: String,
}

/// What rows are compared with: words in lower case.
pub(super) struct Filter(Vec<String>);

impl Filter {
    pub(super) fn new(filter: &str) -> Self {
        Self(filter.split_whitespace().map(str::to_lowercase).collect())
    }

    /// Whether a row with this text is asked for. The text is not made if every row is.
    pub(super) fn passes(&self, text: impl FnOnce() -> String) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let text = text().to_lowercase();
        self.0.iter().all(|word| text.contains(word))
    }
}

/// The rank of what has most of something: the most comes first.
pub(super) fn rank(most: u128) -> u64 {
    u64::MAX - u64::try_from(most).unwrap_or(u64::MAX)
}

/// The rows that come first, without memory for those that do not.
pub(super) struct First<T> {
    most: usize,
    /// The last of them on top.
    rows: BinaryHeap<Ranked<T>>,
    /// How many were offered.
    pub(super) matching: usize,
}

struct Ranked<T> {
    /// The least comes first; guids, so that the order is the same each time.
    rank: (u64, Guid),
    row: T,
}

impl<T> First<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, rows: BinaryHeap::new(), matching: 0 }
    }

    /// Takes a row, which is only made if it belongs to the first so far. The least rank comes first.
    pub(super) fn offer(&mut self, rank: u64, guid: Guid, row: impl FnOnce() -> T) {
        self.matching += 1;
        let rank = (rank, guid);
        let belongs = self.rows.len() < self.most || self.rows.peek().is_some_and(|last| rank < last.rank);
        if self.most > 0 && belongs {
            if self.rows.len() == self.most {
                drop(self.rows.pop());
            }
            self.rows.push(Ranked { rank, row: row() });
        }
    }

    /// In order.
    pub(super) fn into_rows(self) -> Vec<T> {
        self.rows.into_sorted_vec().into_iter().map(|ranked| ranked.row).collect()
    }
}

impl<T> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl<T> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl<T> Eq for Ranked<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(most: usize, ranks: &[u64]) -> (Vec<u64>, usize) {
        let mut first = First::new(most);
        for (number, rank) in ranks.iter().enumerate() {
            first.offer(*rank, [u8::try_from(number).unwrap(); 16], || *rank);
        }
        let matching = first.matching;
        (first.into_rows(), matching)
    }

    #[test]
    fn the_first_rows_are_kept_in_order_and_all_are_counted() {
        assert_eq!(first(3, &[5, 1, 4, 1, 3, 9]), (vec![1, 1, 3], 6));
        assert_eq!(first(9, &[2, 1]), (vec![1, 2], 2));
        assert_eq!(first(0, &[2, 1]), (vec![], 2));
    }

    #[test]
    fn a_row_that_is_not_shown_is_not_made() {
        let mut first = First::new(1);
        first.offer(1, [0; 16], || ());
        first.offer(2, [1; 16], || panic!("it comes later"));
    }

    #[test]
    fn each_word_of_a_filter_must_be_in_a_row() {
        let passes = |filter: &str, text: &str| Filter::new(filter).passes(|| text.to_owned());
        assert!(passes("", "anything") && passes("  ", ""));
        assert!(passes("ANN c1", "ann 10.0.0.1 C1"));
        assert!(!passes("ann c2", "ann 10.0.0.1 C1"));
    }
}
