//! What a method means to the router: which service has it, which handle it carries, what it mints or ends, and whether
//! it may be sent twice. One row a method; unknown ones share [`UNKNOWN`].
//!
//! Source: the Thrift definitions in `idl/` and, for behaviour, Impala's `impala-hs2-server.cc` and `impala-beeswax-server.cc`.

use super::watch::{Slot, Watch};
use super::{beeswax, hs2};

/// A method of HS2 or Beeswax.
#[derive(Debug)]
pub struct Method {
    /// As it stands in messages.
    pub name: &'static str,
    /// Which service has it.
    pub service: Owner,
    /// What it does to sessions and operations.
    pub role: Role,
    /// Whether it may be sent a second time.
    pub retry: Retry,
    /// Where a request has its handles.
    pub request: &'static [Watch],
    /// Where a reply has its facts.
    pub reply: &'static [Watch],
    /// Its place in its service's table.
    pub(super) row: usize,
}

/// Which service a method belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `HiveServer2`.
    Hs2,
    /// Beeswax.
    Beeswax,
    /// Both have one of this name, told apart by the arguments: a query id is Beeswax.
    Either,
    /// Not known: whatever the connection speaks.
    Unknown,
}

/// What a method does to sessions and operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opens a session.
    OpenSession,
    /// Ends a session.
    CloseSession,
    /// Needs a session and leaves it as it is.
    UseSession,
    /// Starts a statement: mints an operation that runs.
    Statement,
    /// Asks for metadata: mints an operation that never counts as running.
    Metadata,
    /// Needs an operation and leaves it as it is.
    UseOperation,
    /// Fetches rows of an operation.
    Fetch,
    /// Asks for an operation's state.
    Poll,
    /// Ends an operation.
    CloseOperation,
    /// Reads about an operation, also one that was closed; HS2 sends the session's handle along.
    Profile,
    /// Needs nothing but the connection (Beeswax, where the connection is the session).
    Connection,
    /// Not known: routed by a handle in the usual place, if it has one.
    Unknown,
}

/// Whether a call may be sent a second time once it was written to a link that was lost before the reply began.
/// A call of which nothing was written may always be sent again on a new link to the same coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Goes to the next candidate.
    NextCandidate,
    /// Once, to the same coordinator.
    Once,
    /// Once, to the same coordinator; that there is no such handle any more then means that the first try worked.
    OnceGoneIsDone,
    /// Never: it could run twice, or leave a hole in the rows.
    Never,
}

impl Retry {
    /// Every value, with its word in documents and why it is right.
    pub const ALL: &'static [(Self, &'static str, &'static str)] = &[
        (Self::NextCandidate, "opens", "A session that no client has a handle of can be opened anywhere."),
        (Self::Once, "asks", "To be asked twice changes nothing."),
        (Self::OnceGoneIsDone, "ends", "What has ended cannot be ended again, and the coordinator says so."),
        (
            Self::Never,
            "runs",
            "It could run twice, leave a hole in the rows, or lose the counts that it returns.",
        ),
    ];
}

impl Method {
    /// Its place among [`all`] methods; none for [`UNKNOWN`].
    pub fn place(&self) -> Option<usize> {
        match self.service {
            Owner::Hs2 | Owner::Either => Some(self.row),
            Owner::Beeswax => Some(hs2::METHODS.len() + self.row),
            Owner::Unknown => None,
        }
    }

    /// Whether its coordinator can answer that the session which it names does not exist.
    pub fn names_session(&self) -> bool {
        let role = matches!(
            self.role,
            Role::CloseSession | Role::UseSession | Role::Statement | Role::Metadata | Role::Profile
        );
        // Of Beeswax the connection is the session.
        role && self.service != Owner::Beeswax
    }

    /// Whether its coordinator can answer that the operation which it names does not exist. Not of a profile: that may be
    /// of an operation that was closed.
    pub fn names_operation(&self) -> bool {
        matches!(self.role, Role::UseOperation | Role::Fetch | Role::Poll | Role::CloseOperation)
    }

    /// Whether a coordinator that shuts down refuses it, before it reads a statement (Impala: `CheckNotShuttingDown` in
    /// impala-hs2-server.cc and impala-beeswax-server.cc).
    pub fn is_new_work(&self) -> bool {
        matches!(self.role, Role::OpenSession | Role::Statement | Role::Metadata)
            || matches!(self.name, "GetInfo" | "explain")
    }

    /// Whether all of its request's containers are known, so that its coordinator sees the request end where the scanner does,
    /// unless that finds one of another type ([`Facts::mistyped`](super::facts::Facts::mistyped)).
    ///
    /// A generated reader reads the fields that its IDL has by what the IDL says that containers hold, and does not look at what
    /// they say themselves. Fields of other numbers, and those that come as another type, it passes over by what they say
    /// (Thrift: `read` of generated structs, `readMapBegin`, `readListBegin` and `skip`, C++ and Java). So only the
    /// containers that the IDL has matter: in requests those of [`Slot::Strings`] (`TCLIService.thrift`, `beeswax.thrift`,
    /// `ImpalaService.thrift`). `ExecutePlannedStatement` carries a whole plan besides (Impala: `TExecRequest`).
    pub fn has_known_containers(&self) -> bool {
        self.role != Role::Unknown && self.name != "ExecutePlannedStatement"
    }
}

/// A table whose rows know their places.
pub(super) const fn numbered<const N: usize>(mut rows: [Method; N]) -> [Method; N] {
    let mut place = 0;
    while place < N {
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time, and below N")]
        {
            rows[place].row = place;
        }
        place += 1;
    }
    rows
}

/// Places for methods by their names: some four times as many as there are methods, so that most are found at once.
const BY_NAME_PLACES: usize = 256;

/// Each method in the first free place from [`first_place`] on.
static BY_NAME: [Option<&Method>; BY_NAME_PLACES] = by_name(&[&hs2::METHODS, &beeswax::METHODS]);

/// Where a name is looked for first. Length, a letter of the middle and the last one tell nearly all names apart.
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
    // Many places are free, and the first free one ends it.
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

/// Any method that is in no table.
pub static UNKNOWN: Method = Method {
    name: "unknown",
    service: Owner::Unknown,
    role: Role::Unknown,
    retry: Retry::Never,
    request: hs2::HANDLE,
    reply: hs2::STATUS,
    row: 0,
};

/// Where a `TApplicationException` has its message.
pub static EXCEPTION: &[Watch] = &[Watch::at(&[1], Slot::Message)];

impl PartialEq for Method {
    fn eq(&self, other: &Self) -> bool {
        // Each stands in one place.
        std::ptr::eq(self, other)
    }
}

impl Eq for Method {}

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
                let places: Vec<_> = table.iter().map(|watch| watch.place).collect();
                assert!((1..places.len()).all(|at| !places[..at].contains(&places[at])), "{}", method.name);
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
