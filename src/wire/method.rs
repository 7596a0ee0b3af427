//! What each method means to the router: which service has it, which handle it carries, what it mints or
//! ends, and whether it may be sent twice. Each method has one [row](Method); all unknown methods share
//! [`UNKNOWN`].
//!
//! Source: the Thrift definitions in `idl/` and, for behaviour, Impala's `impala-hs2-server.cc` and
//! `impala-beeswax-server.cc`.

pub(super) mod row;

pub use self::row::{Method, Owner, Retry, Role};
use super::beeswax::method as beeswax;
use super::hs2::method as hs2;
use super::watch::{Slot, Watch};

/// Places in the hash table of names: about four times as many as there are methods, so that most are found
/// at once.
const BY_NAME_PLACES: usize = 256;

/// Each method is in the first free place from [`first_place`] on.
static BY_NAME: [Option<&Method>; BY_NAME_PLACES] = by_name(&[&hs2::METHODS, &beeswax::METHODS]);

/// The place where a name is looked for first. The length, a letter in the middle and the last letter tell
/// nearly all names apart.
const fn first_place(name: &[u8]) -> usize {
    match name {
        [] => 0,
        #[expect(clippy::indexing_slicing, reason = "half a length is below it")]
        [.., last] => (name.len() * 6 + name[name.len() / 2] as usize + *last as usize * 5) % BY_NAME_PLACES,
    }
}

const fn by_name(tables: &[&'static [Method]]) -> [Option<&'static Method>; BY_NAME_PLACES] {
    let mut places = [None; BY_NAME_PLACES];
    let mut rest = tables;
    while let [table, others @ ..] = rest {
        let mut methods: &'static [Method] = table;
        while let [method, after @ ..] = methods {
            let mut place = first_place(method.name.as_bytes());
            #[expect(clippy::indexing_slicing, reason = "evaluated at compile time, and below the number")]
            {
                while places[place].is_some() {
                    place = (place + 1) % BY_NAME_PLACES;
                }
                places[place] = Some(method);
            }
            methods = after;
        }
        rest = others;
    }
    places
}

/// Finds a method by its name; [`UNKNOWN`] for others.
pub fn lookup(name: &[u8]) -> &'static Method {
    let mut place = first_place(name);
    // Many places are free, and the first free one ends the search.
    while let Some(Some(method)) = BY_NAME.get(place) {
        if method.name.as_bytes() == name {
            return method;
        }
        place = (place + 1) % BY_NAME_PLACES;
    }
    &UNKNOWN
}

/// Every known method.
pub fn all() -> impl Iterator<Item = &'static Method> {
    hs2::METHODS.iter().chain(&beeswax::METHODS)
}

/// Stands for any method that is in no table.
pub static UNKNOWN: Method =
    Method::new("unknown", Owner::Unknown, Role::Unknown, Retry::Never).watching(hs2::HANDLE, hs2::STATUS);

/// Where a `TApplicationException` has its message.
pub static EXCEPTION: &[Watch] = &[Watch::at(&[1], Slot::Message)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_tables_are_sorted_and_share_no_name() {
        for table in [&hs2::METHODS[..], &beeswax::METHODS[..]] {
            assert!(!table.is_empty());
            assert!(table.is_sorted_by(|a, b| a.name < b.name));
        }
        for method in all() {
            assert!(std::ptr::eq(lookup(method.name.as_bytes()), method), "{} stands twice", method.name);
        }
    }

    #[test]
    fn one_thing_is_looked_for_in_one_place() {
        for method in all().chain([&UNKNOWN]) {
            for table in [method.request, method.reply, EXCEPTION] {
                let paths: Vec<_> = table.iter().map(|watch| watch.path).collect();
                assert!((1..paths.len()).all(|at| !paths[..at].contains(&paths[at])), "{}", method.name);
            }
        }
    }

    #[test]
    fn a_method_knows_its_place() {
        for (place, method) in all().enumerate() {
            assert_eq!(method.place(), Some(place));
        }
        assert_eq!(UNKNOWN.place(), None);
    }

    #[test]
    fn a_name_that_is_in_no_table_is_unknown() {
        for name in ["", "Opensession", "OpenSessionX", "\u{0}", "zzz"] {
            assert_eq!(lookup(name.as_bytes()), &UNKNOWN);
        }
    }

    #[test]
    fn hardly_a_name_is_compared_with_another() {
        let places: std::collections::BTreeSet<_> =
            all().map(|method| first_place(method.name.as_bytes())).collect();
        assert!(places.len() + 2 >= all().count(), "{} places for {} methods", places.len(), all().count());
    }

    #[test]
    fn only_what_is_provably_safe_may_be_sent_twice() {
        for method in all().filter(|method| !matches!(method.retry, Retry::Never)) {
            assert!(
                !matches!(method.role, Role::Statement | Role::Metadata | Role::Fetch | Role::Unknown),
                "{} must never be sent twice",
                method.name
            );
        }
    }
}
