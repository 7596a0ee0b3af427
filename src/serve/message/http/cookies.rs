//! The cookies that a coordinator gives for credentials. They stay in the router, and save the coordinator a
//! bind to its directory for each call of a client that sends its password each time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use parking_lot::Mutex;

use crate::clock;
use crate::ids::Credential;
use crate::wire::http::cookie::SetCookie;

/// The longest time that a cookie is used: whoever has lost a password then loses what it opened.
const LONGEST: Duration = Duration::from_hours(1);
/// The most cookies that are kept for a coordinator. Past that the oldest goes.
const MOST: usize = 4096;

/// The cookies that one coordinator has given.
#[derive(Debug, Default)]
pub(crate) struct Cookies(Mutex<BTreeMap<Credential, Kept>>);

#[derive(Debug)]
struct Kept {
    cookie: SetCookie,
    until: Instant,
}

impl Cookies {
    /// The cookie that stands for a credential; none if there is none, or it is too old.
    pub(super) fn find(&self, credential: &Credential) -> Option<HeaderValue> {
        let kept = self.0.lock();
        let kept = kept.get(credential).filter(|kept| clock::now() < kept.until)?;
        Some(kept.cookie.pair().clone())
    }

    /// Whether there is a cookie that stands for a credential.
    pub(crate) fn has(&self, credential: &Credential) -> bool {
        self.find(credential).is_some()
    }

    /// Notes that a coordinator does not accept this credential.
    pub(super) fn note_refused(&self, credential: &Credential) {
        let _former = self.0.lock().remove(credential);
    }

    /// Notes the cookie of a login that came with the answer to a request with this credential.
    pub(super) fn note(&self, credential: &Credential, cookie: SetCookie) {
        if cookie.is_taken_back() {
            drop(self.0.lock().remove(credential));
        } else {
            let _good_for = self.keep(credential, cookie);
        }
    }

    /// Keeps a cookie that stands for a credential; returns for how long.
    pub(super) fn keep(&self, credential: &Credential, cookie: SetCookie) -> Duration {
        let good_for = cookie.max_age().unwrap_or(LONGEST).min(LONGEST);
        let kept = Kept { cookie, until: clock::now() + good_for };
        let mut cookies = self.0.lock();
        let _former = cookies.insert(credential.clone(), kept);
        if cookies.len() > MOST {
            make_room(&mut cookies);
        }
        good_for
    }
}

fn make_room(cookies: &mut BTreeMap<Credential, Kept>) {
    let oldest = cookies.iter().min_by_key(|(_, kept)| kept.until).map(|(credential, _)| credential.clone());
    if let Some(oldest) = oldest {
        drop(cookies.remove(&oldest));
    }
}
