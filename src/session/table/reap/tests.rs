use super::*;
use crate::clock;
use crate::cluster::room::{AddressShare, Limits, Room};
use crate::cluster::{Cluster, Load};
use crate::ids::{Access, CoordinatorId};
use crate::session::activity::InUse;
use crate::session::idle::IdleTimeout;
use crate::session::messages::{cluster, guessed, handle};
use crate::session::table::life::{Expired, NotLive};
use crate::session::table::session::NOT_LIVE_KEPT;
use crate::session::table::tests::Told;
use crate::session::table::{NewOperation, NewSession, OpenOperations, OperationKind, Settings};
use crate::wire::facts::Handle;

const GRACE: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_mins(10);
const ACCESS: Access = Access::ANONYMOUS;

/// A table with session 1, which shares its links and may be idle for ten minutes, and session 2, whose link
/// is its own.
struct Fixture {
    cluster: Cluster,
    table: Arc<Table>,
    start: Instant,
    told: Told,
}

impl Fixture {
    fn new() -> Self {
        let settings = Settings { capacity: 8, detached_for: Duration::from_mins(20) };
        let told = Told::default();
        let table = Arc::new(Table::new(settings).with_history(Box::new(told.clone())));
        let this = Self { cluster: cluster(1), table, start: clock::now(), told };
        let mut room =
            Room::<()>::new(Limits { threads: None, reserve: 0, address_share: AddressShare::ALL });
        let owner = &this.cluster.coordinators()[0];
        for (number, shares) in [(1, true), (2, false)] {
            let Handle { guid, secret } = handle(number);
            let new = NewSession {
                guid,
                secret: Some(secret),
                coordinator: owner.id,
                access: ACCESS,
                count: owner.count_session(),
                tenancy: shares.then(|| room.begin_session(&ACCESS)),
                idle_timeout: IdleTimeout::opened(Some(TIMEOUT), None),
                now: this.start,
            };
            this.table.insert_session(new).unwrap();
            this.table.attach(&guid);
            this.table.insert_operation(NewOperation {
                kind: OperationKind::Statement,
                now: this.start,
                guid: handle(10 + number).guid,
                secret: Some(secret),
                coordinator: owner.id,
                session: guid,
                has_result_set: true,
                running: Some(owner.count_running().minted()),
                open: OpenOperations::default().count(),
                counted: owner.count_operation(),
            });
        }
        this
    }

    fn to_reap(&self, after: Duration) -> Vec<Guid> {
        self.table.to_reap(self.start + after, GRACE)
    }

    fn end(&self, after: Duration) -> Option<Reaping> {
        self.table.reap(&handle(1).guid, self.start + after, GRACE)
    }

    fn load(&self) -> Load {
        self.cluster.coordinators()[0].load()
    }
}

#[test]
fn a_session_that_shares_links_is_abandoned_after_its_grace_and_not_while_somebody_uses_it() {
    let fixture = Fixture::new();
    let (start, guid) = (fixture.start, handle(1).guid);
    fixture.table.forget_detached(start);
    assert_eq!(fixture.to_reap(GRACE * 2), [[0; 16]; 0]);
    for number in [1, 2] {
        fixture.table.detach(&handle(number).guid);
    }
    fixture.table.forget_detached(start);
    assert_eq!(fixture.to_reap(Duration::from_secs(59)), [[0; 16]; 0]);
    assert_eq!(fixture.to_reap(GRACE), [guid], "the link of the other is its own");
    fixture.table.attach(&guid);
    assert_eq!(fixture.to_reap(GRACE * 2), [[0; 16]; 0], "somebody came back");
    assert!(fixture.end(GRACE * 2).is_none());
    fixture.table.detach(&guid);
    fixture.table.forget_detached(start);
    let reaping = fixture.end(GRACE).unwrap();
    let target = Target { handle: handle(1), coordinator: CoordinatorId(0), access: ACCESS };
    assert_eq!(reaping.targets, [target]);
    reaping.closed(&reaping.targets[0]);
    assert_eq!(fixture.table.session_owner(&guid), None);
}

#[test]
fn a_session_is_not_closed_twice_at_a_time_and_again_if_that_failed() {
    let fixture = Fixture::new();
    let first = fixture.end(TIMEOUT).unwrap();
    assert_eq!(fixture.to_reap(TIMEOUT), [[0; 16]; 0]);
    assert!(fixture.end(TIMEOUT).is_none());
    drop(first);
    assert_eq!(fixture.to_reap(TIMEOUT), [handle(1).guid]);
    assert!(fixture.end(TIMEOUT).is_some());
}

#[test]
fn a_reaping_says_nothing_of_another_session_that_has_its_guid_since() {
    let fixture = Fixture::new();
    let former = fixture.end(TIMEOUT).unwrap();
    let (guid, owner) = (handle(1).guid, &fixture.cluster.coordinators()[0]);
    let new = NewSession {
        guid,
        secret: Some(handle(1).secret),
        coordinator: owner.id,
        access: ACCESS,
        count: owner.count_session(),
        tenancy: None,
        idle_timeout: IdleTimeout::default(),
        now: fixture.start,
    };
    fixture.table.insert_session(new).unwrap();
    former.closed(&former.targets[0]);
    drop(former);
    assert_eq!(fixture.table.session_owner(&guid), Some(owner.id));
    assert_eq!(fixture.table.not_live(&handle(1)), None);
}

#[test]
fn a_session_that_was_idle_for_too_long_is_remembered_but_counts_no_more() {
    let fixture = Fixture::new();
    let (start, guid) = (fixture.start, handle(1).guid);
    let activity = fixture.table.attach(&guid).unwrap();
    let call = InUse::begin(Arc::clone(&activity), move || start + GRACE).unwrap();
    assert_eq!(fixture.to_reap(TIMEOUT), [[0; 16]; 0], "a call is under way");
    drop(call);
    assert!(fixture.end(TIMEOUT).is_none());
    let reaping = fixture.end(TIMEOUT + GRACE).unwrap();
    assert!(InUse::begin(activity, clock::now).is_none(), "no call begins while it is closed");
    let expired = Expired { timeout: TIMEOUT, last: start + GRACE, closed: false };
    assert_eq!(fixture.table.not_live(&handle(1)), Some(NotLive::Expired(expired)));
    reaping.closed(&reaping.targets[0]);
    let closed = Expired { closed: true, ..expired };
    assert_eq!(fixture.table.not_live(&handle(1)), Some(NotLive::Expired(closed)));
    assert_eq!(fixture.table.not_live(&guessed(handle(1))), None);
    assert_eq!(fixture.load(), Load { running_operations: 1, open_sessions: 1, ..Load::default() });
    assert_eq!(fixture.to_reap(TIMEOUT * 9), [[0; 16]; 0], "it is closed once");
    fixture.table.forget_detached(start + TIMEOUT * 9);
    assert!(fixture.table.not_live(&handle(1)).is_some(), "its client is still there");
    fixture.table.forget_detached(start + GRACE + NOT_LIVE_KEPT);
    assert_eq!(fixture.table.session_owner(&guid), None, "but not for ever");
}

#[test]
fn what_is_open_in_an_expired_session_is_forgotten_with_it() {
    let fixture = Fixture::new();
    // Its coordinator could not be reached, so that it is not known to have closed it.
    drop(fixture.end(TIMEOUT).unwrap());
    assert_eq!(fixture.load().running_operations, 2);
    fixture.table.forget_detached(fixture.start + NOT_LIVE_KEPT);
    assert_eq!(fixture.table.operation_owner(&handle(11).guid), None);
    assert_eq!(fixture.load(), Load { running_operations: 1, open_sessions: 1, ..Load::default() });
}

#[test]
fn a_session_is_touched_after_a_while_and_as_long_as_it_may_be_idle() {
    let fixture = Fixture::new();
    let touched = |number, after| {
        fixture
            .table
            .to_touch(&handle(number).guid, fixture.start + after, GRACE)
            .map(|session| session.handle)
    };
    assert_eq!(touched(1, Duration::from_secs(59)), None);
    assert_eq!(touched(1, GRACE), Some(handle(1)));
    assert_eq!(touched(1, Duration::from_secs(599)), Some(handle(1)));
    assert_eq!(touched(1, TIMEOUT), None);
    assert_eq!(touched(2, GRACE), None, "its link is its own");
}

#[test]
fn a_session_that_the_router_closes_is_told_of_once_and_why() {
    let closed = |reaping: Reaping| reaping.closed(&reaping.targets[0]);
    let fixture = Fixture::new();
    closed(fixture.end(TIMEOUT).unwrap());
    assert_eq!(fixture.told.sessions(), [SessionEnd::Expired], "though a connection may still hear of it");
    assert_eq!(fixture.told.operations(), [OperationEnd::SessionEnded]);
    fixture.table.forget_detached(fixture.start + NOT_LIVE_KEPT);
    fixture.table.remove_session(&handle(1).guid, SessionEnd::Closed);
    assert_eq!(fixture.table.session_owner(&handle(1).guid), None);
    assert_eq!(fixture.told.sessions(), [], "that was told before");

    let fixture = Fixture::new();
    fixture.table.detach(&handle(1).guid);
    fixture.table.forget_detached(fixture.start);
    closed(fixture.end(GRACE).unwrap());
    assert_eq!(fixture.told.sessions(), [SessionEnd::Abandoned]);

    let fixture = Fixture::new();
    closed(fixture.table.close_now(&handle(1).guid).unwrap());
    assert_eq!(fixture.told.sessions(), [SessionEnd::ClosedByOperator]);
}
