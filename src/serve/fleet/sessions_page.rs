//! A coordinator's page of sessions, which names the user of each. Impala writes it under a lock that each call of a
//! client needs, so it is read by one at a time, for all who want it, and not often.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::sleep_until;

use crate::clock;
use crate::net::web::{DelegatedUsers, WebError};

/// How long the page is good for a session that it names, whose user never changes; and how long it is not read
/// again.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// What is known of the page.
#[derive(Debug, Default)]
pub(crate) struct SessionsPage {
    /// How many reads have begun.
    begun: AtomicU64,
    last: Mutex<Option<Read>>,
    /// Held by whoever reads it: when the last read began, whatever came of it.
    turn: tokio::sync::Mutex<Option<Instant>>,
    /// Whether the log says that it is too long.
    tells_of_length: AtomicBool,
}

/// A read that has ended.
#[derive(Debug)]
struct Read {
    /// Which one it was.
    number: u64,
    begun_at: Instant,
    /// Nobody, if it failed.
    users: DelegatedUsers,
}

/// What is known of a session without another read.
enum Known {
    /// The user whom the page names, if any.
    Says(Option<String>),
    Nothing,
}

impl SessionsPage {
    /// The user of the session with this printed id; `None` if the page names none now, or cannot be read with `read`.
    /// May wait for [`GOOD_FOR`] before it reads. Cancel-safe.
    pub(crate) async fn user_of(
        &self,
        session: &str,
        coordinator: &str,
        read: impl Future<Output = Result<DelegatedUsers, WebError>>,
    ) -> Option<String> {
        let asked_after = self.begun.load(Ordering::Acquire);
        if let Known::Says(user) = self.known(session, asked_after) {
            return user;
        }
        let mut turn = self.turn.lock().await;
        if let Known::Says(user) = self.known(session, asked_after) {
            return user;
        }
        if let Some(begun_at) = *turn {
            sleep_until((begun_at + GOOD_FOR).into()).await;
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let begun_at = clock::now();
        // Noted before it is read: whoever asked may give up.
        *turn = Some(begun_at);
        let users = read.await.inspect_err(|cause| self.tell(coordinator, cause)).unwrap_or_default();
        let user = users.of(session).map(str::to_owned);
        *self.last.lock() = Some(Read { number, begun_at, users });
        user
    }

    /// What the last read says about a session that was asked for after so many had begun.
    fn known(&self, session: &str, asked_after: u64) -> Known {
        let last = self.last.lock();
        let Some(last) = &*last else { return Known::Nothing };
        let user = last.users.of(session).map(str::to_owned);
        let is_fresh = clock::now().saturating_duration_since(last.begun_at) < GOOD_FOR;
        // A session that it does not name may have been opened since.
        if last.number > asked_after || (is_fresh && user.is_some()) {
            Known::Says(user)
        } else {
            Known::Nothing
        }
    }

    fn tell(&self, coordinator: &str, cause: &WebError) {
        if matches!(cause, WebError::TooLarge) && !self.tells_of_length.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                coordinator, %cause,
                "its page of sessions is too long to be read, so no session there is found again for its user"
            );
        } else {
            tracing::debug!(coordinator, %cause, "no page of sessions");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_while_it_is_read_share_the_next_read() {
        let (page, reads) = (SessionsPage::default(), AtomicU64::new(0));
        let ask = |session| {
            page.user_of(session, "c1", async {
                reads.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(10)).await;
                Ok(DelegatedUsers::naming("a:b", "ann"))
            })
        };
        let sessions = ["a:b", "c:d", "a:b", "e:f", "c:d"];
        let found = join_all(sessions.map(ask)).await;
        let ann = || Some("ann".to_owned());
        assert_eq!(found, [ann(), None, ann(), None, None]);
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_was_opened_after_a_read_is_found_by_the_next() {
        let page = SessionsPage::default();
        assert_eq!(page.user_of("a:b", "c1", ready(Ok(DelegatedUsers::naming("c:d", "bob")))).await, None);
        let begin = clock::now();
        assert_eq!(page.user_of("c:d", "c1", pending()).now_or_never(), Some(Some("bob".to_owned())));
        assert_eq!(
            page.user_of("a:b", "c1", ready(Ok(DelegatedUsers::naming("a:b", "ann")))).await.as_deref(),
            Some("ann")
        );
        assert_eq!(clock::now() - begin, GOOD_FOR);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_a_read_leaves_it_to_the_next_and_a_failure_is_shared() {
        let page = SessionsPage::default();
        let begin = clock::now();
        assert_eq!(page.user_of("a:b", "c1", pending()).now_or_never(), None);
        let failed = async || Err(WebError::TimedOut(GOOD_FOR));
        let found =
            join_all([page.user_of("a:b", "c1", failed()), page.user_of("a:b", "c1", failed())]).await;
        assert_eq!(found, [None, None]);
        assert_eq!(clock::now() - begin, GOOD_FOR, "the read that was given up counts");
        sleep(GOOD_FOR).await;
        assert_eq!(
            page.user_of("a:b", "c1", ready(Ok(DelegatedUsers::naming("a:b", "ann")))).await.as_deref(),
            Some("ann")
        );
    }
}
