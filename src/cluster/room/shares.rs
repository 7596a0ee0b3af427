//! How many of a port's places an address may use whose clients have proven to be nobody in particular: names
//! and connections can be invented without end, addresses cannot.

use std::collections::BTreeMap;

use crate::ids::{Access, ClientAddress, Identity};

/// Who wants a link, or has one.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// For whom it speaks, and how messages travel on it.
    pub access: &'a Access,
    /// Where it comes from, if nobody has proven anything: then it uses a place of the share of that address.
    pub unproven: Option<ClientAddress>,
}

impl<'a> Holder<'a> {
    /// A client of an identity at an address, as far as it is known who it is. A credential is only a claim
    /// until a coordinator has accepted it; from then on its client is [`Self::accepted`].
    pub fn of(access: &'a Access, address: ClientAddress) -> Self {
        let unproven = match access.identity {
            Identity::Plain(_) | Identity::Delegated(_) | Identity::Router => None,
            Identity::Anonymous | Identity::Credential(_) | Identity::Unread => Some(address),
        };
        Self { access, unproven }
    }

    /// A client whose credential a coordinator has accepted, wherever it comes from.
    pub fn accepted(access: &'a Access) -> Self {
        Self { access, unproven: None }
    }

    /// The router itself, on behalf of an identity.
    pub fn ourselves(access: &'a Access) -> Self {
        Self { access, unproven: None }
    }
}

/// A share of the places that others leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressShare {
    percent: u32,
}

impl AddressShare {
    /// All of them.
    pub const ALL: Self = Self { percent: 100 };

    /// This part of them, from 0 to 1; what lies outside counts as the nearest of both.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    pub fn new(part: f64) -> Self {
        Self { percent: (part.clamp(0.0, 1.0) * 100.0).round() as u32 }
    }

    /// Whether an address that uses `used` places may use one more, of as many as others leave. The first is
    /// never refused.
    fn allows(self, used: u32, places: u32) -> bool {
        used == 0 || (u64::from(used) + 1) * 100 <= u64::from(places) * u64::from(self.percent)
    }
}

/// The places that each address uses.
#[derive(Debug)]
pub(super) struct Shares {
    share: AddressShare,
    /// In order: few addresses use something at the same moment, and a comparison costs less than a hash.
    used: BTreeMap<ClientAddress, u32>,
}

impl Shares {
    /// Nobody uses anything.
    pub(super) fn new(share: AddressShare) -> Self {
        Self { share, used: BTreeMap::new() }
    }

    /// Whether an address may use one more place, while `free` are free.
    pub(super) fn allow(&self, address: ClientAddress, free: u32) -> bool {
        let used = self.used.get(&address).copied().unwrap_or(0);
        self.share.allows(used, used.saturating_add(free))
    }

    /// An address uses one more place.
    pub(super) fn begin(&mut self, address: ClientAddress) {
        *self.used.entry(address).or_insert(0) += 1;
    }

    /// It uses one less.
    pub(super) fn end(&mut self, address: ClientAddress) {
        if let Some(used) = self.used.get_mut(&address) {
            *used = used.saturating_sub(1);
            if *used == 0 {
                self.used.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    fn address(last: u8) -> ClientAddress {
        IpAddr::from([192, 0, 2, last]).into()
    }

    /// How many of so many places an address gets, one after the other.
    fn fills(shares: &mut Shares, address: ClientAddress, free: &mut u32) -> u32 {
        let mut got = 0;
        while *free > 0 && shares.allow(address, *free) {
            shares.begin(address);
            (got, *free) = (got + 1, *free - 1);
        }
        got
    }

    #[test]
    fn an_address_gets_its_share_and_the_next_one_its_share_of_what_is_left() {
        let (mut shares, mut free) = (Shares::new(AddressShare::new(0.75)), 62);
        let got = [1, 2, 3].map(|last| fills(&mut shares, address(last), &mut free));
        assert_eq!(got, [46, 12, 3]);
        shares.end(address(2));
        assert_eq!(fills(&mut shares, address(4), &mut 2), 1);
        assert_eq!(shares.used.len(), 4);
    }

    #[test]
    fn the_whole_share_is_no_bound_and_none_at_all_still_lets_one_work() {
        for (part, got) in [(1.0, 10), (2.0, 10), (0.0, 1), (-1.0, 1), (f64::NAN, 1)] {
            let mut shares = Shares::new(AddressShare::new(part));
            assert_eq!(fills(&mut shares, address(1), &mut 10), got, "{part}");
        }
        assert_eq!(fills(&mut Shares::new(AddressShare::ALL), address(1), &mut 10), 10);
    }

    proptest! {
        #[test]
        fn one_address_alone_never_takes_the_last_of_several_places(percent in 0u32..=99, places in 2u32..300) {
            let mut shares = Shares::new(AddressShare { percent });
            let mut free = places;
            fills(&mut shares, address(1), &mut free);
            prop_assert!(free > 0);
            prop_assert!(shares.allow(address(2), free), "another one gets in");
        }

        #[test]
        fn what_was_used_is_free_again(steps in prop::collection::vec((0u8..4, any::<bool>()), 0..100)) {
            let mut shares = Shares::new(AddressShare::new(0.5));
            let mut used = [0_u32; 4];
            for (who, begins) in steps {
                let count = &mut used[usize::from(who)];
                if begins {
                    shares.begin(address(who));
                    *count += 1;
                } else if *count > 0 {
                    shares.end(address(who));
                    *count -= 1;
                }
            }
            for (who, count) in (0_u8..).zip(used) {
                prop_assert_eq!(shares.used.get(&address(who)).copied().unwrap_or(0), count);
            }
        }
    }
}
