//! How many questions one client may ask, and how many are asked at a time.

use std::collections::HashMap;
use std::time::Instant;

use crate::ids::ClientAddress;

/// How much may be asked: a question costs every coordinator a call, and up to one dial.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Questions under way at a time, of all clients together.
    pub at_once: usize,
    /// The same of one client.
    pub at_once_each: usize,
    /// Questions that a client may ask one after the other after a pause.
    pub burst: u32,
    /// How many more each second.
    pub per_second: u32,
    /// Clients that are told apart; when there are more, those that come last may not ask.
    pub clients: usize,
}

/// Why a question has to wait, or may not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// Others are under way; when one of them ends there may be room.
    #[error("other questions are under way")]
    Busy,
    /// It asks too often, or too many different clients ask.
    #[error("too many questions")]
    TooMany,
}

/// The questions under way, and how many each client has asked lately.
#[derive(Debug)]
pub struct Allowances {
    limits: Limits,
    pub(super) under_way: usize,
    pub(super) clients: HashMap<ClientAddress, Account>,
}

#[derive(Debug)]
pub(super) struct Account {
    under_way: usize,
    /// Questions that it may ask at `as_of`; up to `burst`.
    allowance: f64,
    as_of: Instant,
}

impl Account {
    fn refill(&mut self, limits: &Limits, now: Instant) {
        let gained = now.saturating_duration_since(self.as_of).as_secs_f64() * f64::from(limits.per_second);
        self.allowance = (self.allowance + gained).min(f64::from(limits.burst));
        self.as_of = now;
    }

    /// Whether it is as good as new, so that nothing is lost when it is forgotten.
    fn is_settled(&self, limits: &Limits) -> bool {
        self.under_way == 0 && self.allowance >= f64::from(limits.burst)
    }
}

impl Allowances {
    /// No questions yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, under_way: 0, clients: HashMap::new() }
    }

    /// A client begins to ask; [`Self::end`] must follow.
    ///
    /// # Errors
    /// [`NotNow`].
    pub fn begin(&mut self, client: ClientAddress, now: Instant) -> Result<(), NotNow> {
        let limits = self.limits;
        if !self.clients.contains_key(&client) && self.clients.len() >= limits.clients {
            self.clients.retain(|_, account| {
                account.refill(&limits, now);
                !account.is_settled(&limits)
            });
            if self.clients.len() >= limits.clients {
                return Err(NotNow::TooMany);
            }
        }
        let new = || Account { under_way: 0, allowance: f64::from(limits.burst), as_of: now };
        let account = self.clients.entry(client).or_insert_with(new);
        account.refill(&limits, now);
        if account.allowance < 1.0 {
            return Err(NotNow::TooMany);
        }
        if account.under_way >= limits.at_once_each || self.under_way >= limits.at_once {
            return Err(NotNow::Busy);
        }
        account.allowance -= 1.0;
        account.under_way += 1;
        self.under_way += 1;
        Ok(())
    }

    /// A client's question is answered, or given up.
    pub fn end(&mut self, client: ClientAddress) {
        if let Some(account) = self.clients.get_mut(&client) {
            account.under_way = account.under_way.saturating_sub(1);
            self.under_way = self.under_way.saturating_sub(1);
        }
    }
}
