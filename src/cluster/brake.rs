//! Slows clients down whose dials are all in vain: a coordinator hangs up on each new link before it has
//! answered anything, or cannot be reached at all. Such a client speaks what no coordinator understands, or
//! there is none left; either way it would cost as many connections as it can ask for. A client that is
//! refused waits a little longer each time; one whose dials are of use, now and then, never waits. A ticket that
//! the router judges itself counts as a dial: as one in vain if it is refused.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::ids::{Access, ClientAddress, Identity, Transport};

/// This many dials in a row may be in vain: a session may be tried on several coordinators, by several
/// clients of one address.
const FREE: u32 = 10;
/// The first wait; the next ones double.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(1);
/// After such a pause they begin anew.
const FORGET_AFTER: Duration = Duration::from_mins(1);
/// This many clients are told apart. When there are more, those that come last do not wait.
const CLIENTS: usize = 4096;

/// The clients whose dials are in vain at the moment.
#[derive(Debug, Default)]
pub struct Brake(HashMap<Who, Row>);

/// What counts as one client: all clients at an address that come in the same manner. Whether coordinators
/// understand it depends on that, and those that are understood must not wait for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Who {
    address: ClientAddress,
    manner: Manner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Manner {
    Anonymous(Transport),
    Login,
    Ticket,
    Unread,
}

impl Who {
    /// A client at this address that shows tickets of Kerberos to the router.
    pub fn by_ticket(address: ClientAddress) -> Self {
        Self { address, manner: Manner::Ticket }
    }

    /// A client of this identity at this address.
    pub fn of(access: &Access, address: ClientAddress) -> Self {
        let manner = match access.identity {
            Identity::Anonymous => Manner::Anonymous(access.transport),
            Identity::Plain(_) | Identity::Credential(_) | Identity::Delegated(_) | Identity::Router => {
                Manner::Login
            }
            Identity::Unread => Manner::Unread,
        };
        Self { address, manner }
    }
}

#[derive(Clone, Copy, Debug)]
struct Row {
    in_vain: u32,
    last: Instant,
}

impl Row {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= FORGET_AFTER
    }

    fn wait(&self) -> Duration {
        let doubled = self.in_vain.checked_sub(FREE + 1).map(|doublings| 2_u32.saturating_pow(doublings));
        doubled.map_or(Duration::ZERO, |times| SHORTEST.saturating_mul(times).min(LONGEST))
    }
}

impl Brake {
    /// A dial was in vain. Returns how long its client is to wait before it is told so.
    pub fn note_in_vain(&mut self, who: Who, now: Instant) -> Duration {
        if !self.0.contains_key(&who) && self.0.len() >= CLIENTS {
            self.0.retain(|_, row| !row.is_over(now));
            if self.0.len() >= CLIENTS {
                return Duration::ZERO;
            }
        }
        let row = self.0.entry(who).or_insert(Row { in_vain: 0, last: now });
        if row.is_over(now) {
            row.in_vain = 0;
        }
        *row = Row { in_vain: row.in_vain.saturating_add(1), last: now };
        row.wait()
    }

    /// A dial was of use.
    pub fn note_of_use(&mut self, who: Who) {
        self.0.remove(&who);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::clock;

    fn framed(address: [u8; 4]) -> Who {
        Who::of(
            &Access { transport: Transport::Framed, ..Access::ANONYMOUS },
            ClientAddress::from(IpAddr::from(address)),
        )
    }

    #[test]
    fn waits_begin_after_some_dials_grow_and_have_an_end() {
        let (mut brake, now, who) = (Brake::default(), clock::now(), framed([192, 0, 2, 1]));
        let waits: Vec<u128> = (0..20).map(|_| brake.note_in_vain(who, now).as_millis()).collect();
        assert_eq!(waits[..10], [0; 10]);
        assert_eq!(waits[10..], [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
    }

    #[test]
    fn a_dial_that_is_of_use_and_a_pause_let_the_client_begin_anew() {
        let (mut brake, now, who) = (Brake::default(), clock::now(), framed([192, 0, 2, 1]));
        let drive = |brake: &mut Brake, now| (0..11).map(|_| brake.note_in_vain(who, now)).max().unwrap();
        assert_eq!(drive(&mut brake, now), SHORTEST);
        brake.note_of_use(who);
        assert_eq!(drive(&mut brake, now), SHORTEST);
        assert_eq!(drive(&mut brake, now + FORGET_AFTER), SHORTEST);
    }

    #[test]
    fn others_do_not_wait_for_it() {
        let (mut brake, now, who) = (Brake::default(), clock::now(), framed([192, 0, 2, 1]));
        for _ in 0..100 {
            brake.note_in_vain(who, now);
        }
        assert_eq!(brake.note_in_vain(framed([192, 0, 2, 2]), now), Duration::ZERO);
        let unframed = Who { manner: Manner::Anonymous(Transport::Unframed), ..who };
        assert_eq!(brake.note_in_vain(unframed, now), Duration::ZERO);
        brake.note_of_use(unframed);
        assert_eq!(brake.note_in_vain(who, now), LONGEST, "another manner is no success of this one");
    }

    #[test]
    fn no_crowd_fills_it_for_long() {
        let (mut brake, now) = (Brake::default(), clock::now());
        for number in 0..=CLIENTS {
            let [.., high, low] = number.to_be_bytes();
            brake.note_in_vain(framed([10, 0, high, low]), now);
        }
        assert_eq!(brake.0.len(), CLIENTS);
        brake.note_in_vain(framed([192, 0, 2, 1]), now + FORGET_AFTER);
        assert_eq!(brake.0.len(), 1);
    }
}
