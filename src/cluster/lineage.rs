//! Whether the process behind a port may be another one than before, going by what became of the links to it.
//!
//! A link that lives was made to the process that answers now. So while one lives that is older than a
//! session's last answer, the session's process lives, and if it says that it has no such session, then it
//! has ended it. If all of them have broken since, it may be gone: nothing else closes all connections of a
//! coordinator. Where the coordinator itself ends idle links, their ends say nothing. Links that were closed on this side say nothing, unless they were the last of their time:
//! then nothing is known.

use std::collections::BTreeSet;
use std::time::Instant;

/// This many times in which links broke are remembered, the latest.
const MOST_BREAKS: usize = 16;

/// When a link was made, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Birth {
    at: Instant,
    number: u64,
}

/// A span of time: whoever was answered last in it was answered by a process to which no link of that time is
/// left.
#[derive(Clone, Copy, Debug)]
struct Break {
    from: Instant,
    /// None as long as there is no link at all.
    until: Option<Instant>,
}

/// The links to one port, and how they ended.
#[derive(Debug, Default)]
pub struct Lineage {
    /// Whether the ends of links say nothing, because the coordinator ends idle ones.
    is_silent: bool,
    living: BTreeSet<Birth>,
    made: u64,
    breaks: Vec<Break>,
    /// Whether there is one that [`Self::news`] did not tell.
    has_news: bool,
}

/// The times of which no link is left, because all have broken.
#[derive(Clone, Debug, Default)]
pub struct Breaks(Vec<Break>);

impl Breaks {
    /// Whether all links that were there at a moment have broken since.
    pub fn all_since(&self, moment: Instant) -> bool {
        // In the very moment in which the next one was made, that one may have been the one that answered.
        let holds = |one: &Break| one.from <= moment && one.until.is_none_or(|until| moment < until);
        self.0.iter().any(holds)
    }
}

impl Lineage {
    /// Of a port without links; `ends_idle` says whether its coordinator ends idle ones.
    pub fn new(ends_idle: bool) -> Self {
        Self { is_silent: ends_idle, ..Self::default() }
    }

    /// A link was made.
    pub fn begin(&mut self, now: Instant) -> Birth {
        self.made += 1;
        let birth = Birth { at: now, number: self.made };
        self.living.insert(birth);
        if let Some(last) = self.breaks.last_mut() {
            last.until.get_or_insert(now);
        }
        birth
    }

    /// A link has ended: because it broke, or because it was closed on this side.
    pub fn end(&mut self, birth: Birth, broke: bool) {
        let was_oldest = self.living.first() == Some(&birth);
        self.living.remove(&birth);
        if !(was_oldest && broke) || self.is_silent {
            return;
        }
        if self.breaks.len() == MOST_BREAKS {
            self.breaks.remove(0);
        }
        self.has_news = true;
        self.breaks.push(Break { from: birth.at, until: self.living.first().map(|next| next.at) });
    }

    /// The times of which no link is left.
    pub fn breaks(&self) -> Breaks {
        Breaks(self.breaks.clone())
    }

    /// The same, if there is a new one since this was called last.
    pub fn news(&mut self) -> Option<Breaks> {
        std::mem::take(&mut self.has_news).then(|| self.breaks())
    }

    /// Whether all links that were there at a moment have broken since.
    pub fn all_broke_since(&self, moment: Instant) -> bool {
        self.breaks().all_since(moment)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    /// Moments in seconds after the first.
    struct Moments(Instant);

    impl Moments {
        fn at(&self, seconds: u64) -> Instant {
            self.0 + Duration::from_secs(seconds)
        }
    }

    fn start() -> (Lineage, Moments) {
        (Lineage::default(), Moments(clock::now()))
    }

    #[test]
    fn nothing_is_known_from_the_ends_of_links_that_a_coordinator_ends_when_they_idle() {
        let (_, moments) = start();
        let mut lineage = Lineage::new(true);
        let link = lineage.begin(moments.at(1));
        lineage.end(link, true);
        assert!(!lineage.all_broke_since(moments.at(2)) && lineage.news().is_none());
    }

    #[test]
    fn what_was_answered_before_all_links_broke_was_answered_by_another_process() {
        let (mut lineage, moments) = start();
        let links = [1, 2, 3].map(|second| lineage.begin(moments.at(second)));
        for link in [links[1], links[0]] {
            lineage.end(link, true);
            assert!(!lineage.all_broke_since(moments.at(4)), "one of them still lives");
        }
        lineage.end(links[2], true);
        assert!(lineage.all_broke_since(moments.at(4)));
        lineage.begin(moments.at(9));
        assert!(lineage.all_broke_since(moments.at(4)));
        assert!(!lineage.all_broke_since(moments.at(9)) && !lineage.all_broke_since(moments.at(10)));
    }

    #[test]
    fn links_that_are_found_broken_late_count_as_if_they_had_been_found_at_once() {
        let (mut lineage, moments) = start();
        let (one, other) = (lineage.begin(moments.at(1)), lineage.begin(moments.at(2)));
        lineage.end(one, true);
        lineage.begin(moments.at(8));
        assert!(!lineage.all_broke_since(moments.at(5)));
        lineage.end(other, true);
        assert!(lineage.all_broke_since(moments.at(5)));
        assert!(!lineage.all_broke_since(moments.at(8)));
    }

    #[test]
    fn what_was_closed_here_says_nothing() {
        let (mut lineage, moments) = start();
        let (one, other) = (lineage.begin(moments.at(1)), lineage.begin(moments.at(2)));
        lineage.end(one, true);
        assert!(lineage.all_broke_since(moments.at(1)) && !lineage.all_broke_since(moments.at(3)));
        lineage.end(other, false);
        assert!(!lineage.all_broke_since(moments.at(3)));
    }

    #[test]
    fn nothing_is_made_up_of_the_time_before_the_first_link() {
        let (mut lineage, moments) = start();
        assert!(!lineage.all_broke_since(moments.at(1)));
        let link = lineage.begin(moments.at(2));
        lineage.end(link, true);
        assert!(!lineage.all_broke_since(moments.at(1)));
    }

    #[test]
    fn that_links_broke_is_news_once() {
        let (mut lineage, moments) = start();
        let links = [1, 2].map(|second| lineage.begin(moments.at(second)));
        assert!(lineage.news().is_none());
        lineage.end(links[0], true);
        let news = lineage.news().unwrap();
        assert!(news.all_since(moments.at(1)) && !news.all_since(moments.at(3)));
        assert!(lineage.news().is_none());
        lineage.end(links[1], false);
        assert!(lineage.news().is_none(), "it was closed on this side");
    }

    #[test]
    fn only_the_latest_breaks_are_remembered() {
        let (mut lineage, moments) = start();
        for second in 0..100 {
            let link = lineage.begin(moments.at(second));
            lineage.end(link, true);
        }
        assert_eq!(lineage.breaks.len(), MOST_BREAKS);
        assert!(lineage.all_broke_since(moments.at(99)) && !lineage.all_broke_since(moments.at(1)));
    }
}
