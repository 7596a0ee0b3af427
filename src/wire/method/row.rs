//! One row of the table of methods: what a method means to the router.

use crate::wire::watch::Watch;

/// A method of HS2 or Beeswax.
#[derive(Debug)]
pub struct Method {
    /// The name in messages.
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
    /// Whether a coordinator that shuts down refuses it, before it reads a statement (Impala:
    /// `CheckNotShuttingDown` in impala-hs2-server.cc and impala-beeswax-server.cc).
    pub is_new_work: bool,
    /// Whether every server looks up the session that it names before it answers with success. Spark answers
    /// `GetInfo` for any handle (Spark: `SparkSQLCLIService` `getInfo`).
    pub proves_session: bool,
    /// Whether all containers of its request are known, so that its coordinator sees the request end where
    /// the scanner does, unless the scanner finds one of another type
    /// ([`Facts::mistyped`](crate::wire::facts::Facts::mistyped)).
    ///
    /// A generated reader knows from the IDL what the containers of its fields hold, and ignores the types
    /// that the containers declare. It skips unknown fields, and fields of another type than the IDL's, by
    /// the declared types (Thrift: `read` of generated structs, `readMapBegin`, `readListBegin` and `skip`,
    /// C++ and Java). So only the containers in the IDL matter; in requests those are the ones of
    /// [`Slot::Strings`](crate::wire::watch::Slot::Strings) (`TCLIService.thrift`, `beeswax.thrift`,
    /// `ImpalaService.thrift`).
    pub has_known_containers: bool,
    /// Its place among all methods; none for the unknown one.
    place: Option<usize>,
}

/// Which service a method belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `HiveServer2`.
    Hs2,
    /// Beeswax.
    Beeswax,
    /// Both services have a method of this name; the arguments tell them apart: a query id means Beeswax.
    Either,
    /// Not known: the service that the connection speaks.
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
    /// Makes an operation stop running; it stays open until it is closed (Impala: `CancelOperation` in
    /// impala-hs2-server.cc, `Cancel` in impala-beeswax-server.cc).
    CancelOperation,
    /// Fetches rows of an operation.
    Fetch,
    /// Asks for an operation's state.
    Poll,
    /// Ends an operation.
    CloseOperation,
    /// Reads about an operation, which may be closed already; HS2 sends the session's handle along.
    Profile,
    /// Needs only the connection (in Beeswax, the connection is the session).
    Connection,
    /// Not known: routed by a handle in the usual place, if there is one.
    Unknown,
}

/// Whether a call may be sent a second time after it was written to a link that broke before the reply began.
/// A call of which nothing was written may always be sent again, on a new link to the same coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It goes to the next candidate.
    NextCandidate,
    /// Once, to the same coordinator.
    Once,
    /// Once, to the same coordinator; if the handle no longer exists then, the first attempt has worked.
    OnceGoneIsDone,
    /// Never: it could run twice, or leave a hole in the rows.
    Never,
}

impl Retry {
    /// Every value, with its word in documents and the reason why it is right.
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

impl Role {
    /// Whether it begins something that stays open: a session or an operation.
    pub const fn begins_something(self) -> bool {
        matches!(self, Self::OpenSession | Self::Statement | Self::Metadata)
    }
}

impl Method {
    /// A row with the usual values in all other columns.
    pub(in crate::wire) const fn new(name: &'static str, service: Owner, role: Role, retry: Retry) -> Self {
        Self {
            name,
            service,
            role,
            retry,
            request: &[],
            reply: &[],
            is_new_work: role.begins_something(),
            proves_session: true,
            has_known_containers: !matches!(role, Role::Unknown),
            place: None,
        }
    }

    /// The same row with these places of facts.
    pub(in crate::wire) const fn watching(
        mut self,
        request: &'static [Watch],
        reply: &'static [Watch],
    ) -> Self {
        (self.request, self.reply) = (request, reply);
        self
    }

    /// The same row, as [new work](Self::is_new_work).
    pub(in crate::wire) const fn new_work(mut self) -> Self {
        self.is_new_work = true;
        self
    }

    /// The same row, as one that does not [prove its session](Self::proves_session).
    pub(in crate::wire) const fn proving_nothing(mut self) -> Self {
        self.proves_session = false;
        self
    }

    /// The same row, with [containers that are not known](Self::has_known_containers).
    pub(in crate::wire) const fn with_unknown_containers(mut self) -> Self {
        self.has_known_containers = false;
        self
    }

    /// Its place among [`all`](super::all) methods; none for [`UNKNOWN`](super::UNKNOWN).
    pub fn place(&self) -> Option<usize> {
        self.place
    }

    /// Whether a coordinator can answer that the session in the call does not exist.
    pub fn names_session(&self) -> bool {
        let role = matches!(
            self.role,
            Role::CloseSession | Role::UseSession | Role::Statement | Role::Metadata | Role::Profile
        );
        // In Beeswax the connection is the session.
        role && self.service != Owner::Beeswax
    }

    /// Whether a coordinator can answer that the operation in the call does not exist. Not for a profile,
    /// which may be that of a closed operation.
    pub fn names_operation(&self) -> bool {
        matches!(
            self.role,
            Role::UseOperation | Role::CancelOperation | Role::Fetch | Role::Poll | Role::CloseOperation
        )
    }
}

/// A table in which each row knows its place; the place of the first row is `first`.
pub(in crate::wire) const fn numbered<const N: usize>(first: usize, mut rows: [Method; N]) -> [Method; N] {
    let mut row = 0;
    while row < N {
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time, and below N")]
        {
            rows[row].place = Some(first + row);
        }
        row += 1;
    }
    rows
}

impl PartialEq for Method {
    fn eq(&self, other: &Self) -> bool {
        // There is only one value of each method.
        std::ptr::eq(self, other)
    }
}

impl Eq for Method {}
