use super::*;
use crate::clock;
use crate::cluster::Cluster;
use crate::cluster::room::{AddressShare, Limits, Room};
use crate::ids::Access;
use crate::session::messages::{cluster, handle};
use crate::session::state::State;
use crate::session::table::mobile::Movable;
use crate::wire::hs2::open::Open;

const TIMEOUT: Duration = Duration::from_mins(1);
const LEFTOVER: Leftover =
    Leftover { coordinator: CoordinatorId(0), handle: Handle { guid: [1; 16], secret: [254; 16] } };

struct Fixture {
    cluster: Cluster,
    life: Life,
}

impl Fixture {
    /// Of a session on coordinator 0 that cannot move.
    fn immovable() -> Self {
        let cluster = cluster(2);
        let mut room =
            Room::<()>::new(Limits { threads: None, reserve: 0, address_share: AddressShare::ALL });
        let tenancy = Some(room.begin_session(&Access::ANONYMOUS));
        let count = Some(cluster.coordinators()[0].count_session());
        let life = Life::new(IdleTimeout::opened(Some(TIMEOUT), None), Presence { tenancy, count });
        Self { cluster, life }
    }

    fn movable() -> Self {
        let mut this = Self::immovable();
        let state = State::opened(Some(&Open { protocol: Some(5), ..Open::default() }.write()));
        this.life.note_movable(Mobile::new(Movable { state, incarnation: 1 }));
        this
    }

    /// Of a session that has moved from coordinator 0 to 1.
    fn moved() -> Self {
        let mut this = Self::movable();
        this.life.depart().unwrap();
        assert_eq!(this.arrive(), Ok(Vec::new()));
        this
    }

    /// One that was idle for too long.
    fn expired(mut self) -> Self {
        self.life.expire(Idled { timeout: TIMEOUT, last: clock::now() });
        self
    }

    fn closed(self) -> Self {
        let mut this = self.expired();
        this.life.close().unwrap();
        this
    }

    fn buried() -> Self {
        let mut this = Self::moved();
        assert_eq!(this.life.bury(), Memory::Keep);
        this
    }

    fn reaped(mut self) -> Self {
        self.life.reap().unwrap();
        self
    }

    fn departed() -> Self {
        let mut this = Self::movable();
        this.life.depart().unwrap();
        this
    }

    fn arrive(&mut self) -> Result<Vec<Leftover>, NotMoving> {
        let there = &self.cluster.coordinators()[1];
        let arrival = Arrival {
            coordinator: there.id,
            handle: handle(2),
            incarnation: 2,
            count: there.count_session(),
            tenancy: None,
            idle_timeout: None,
            now: clock::now(),
        };
        self.life.arrive(LEFTOVER, arrival)
    }

    /// Sessions that count as load, on each coordinator.
    fn counted(&self) -> [u32; 2] {
        [0, 1].map(|at: usize| self.cluster.coordinators()[at].load().open_sessions)
    }

    fn expiry(&self) -> Option<bool> {
        match self.life.not_live() {
            Some(NotLive::Expired(expired)) => Some(expired.closed),
            Some(NotLive::Gone) | None => None,
        }
    }
}

#[test]
fn only_a_settled_session_that_can_move_departs() {
    assert_eq!(Fixture::movable().life.depart(), Ok(()));
    assert_eq!(Fixture::departed().life.depart(), Err(Pinned::Moving));
    let others = [
        Fixture::immovable(),
        Fixture::movable().reaped(),
        Fixture::movable().expired(),
        Fixture::moved().closed(),
        Fixture::buried(),
    ];
    for mut other in others {
        assert_eq!(other.life.depart(), Err(Pinned::Immovable), "{:?}", other.life);
        assert!(!other.life.is_moving());
    }
}

#[test]
fn a_session_that_arrives_leaves_itself_open_where_it_was_and_counts_where_it_is() {
    let fixture = Fixture::moved();
    assert!(!fixture.life.is_moving());
    assert_eq!(fixture.life.leftovers(), [LEFTOVER]);
    assert_eq!(fixture.life.mobile().unwrap().known_as(), Some(handle(2)));
    assert_eq!(fixture.counted(), [0, 1]);
    assert!(!fixture.life.shares_links(), "what it shared was the former coordinator's");
    assert_eq!(fixture.life.idle_timeout(), None, "as the new coordinator said");
}

#[test]
fn only_a_session_on_its_way_arrives() {
    let others = [
        Fixture::movable(),
        Fixture::movable().reaped(),
        Fixture::movable().expired(),
        Fixture::moved().closed(),
        Fixture::buried(),
    ];
    for mut other in others {
        let before = other.counted();
        assert_eq!(other.arrive(), Err(NotMoving), "{:?}", other.life);
        assert_eq!(other.counted(), before);
    }
    let mut gone = Fixture::departed();
    assert_eq!(gone.life.bury(), Memory::Forget);
    assert_eq!(gone.arrive(), Err(NotMoving));
    assert_eq!(gone.counted(), [0, 0]);
}

#[test]
fn a_move_that_comes_to_nothing_changes_nothing() {
    let mut fixture = Fixture::departed();
    fixture.life.settle();
    assert!(!fixture.life.is_moving() && fixture.life.movable().is_ok());
    assert_eq!((fixture.life.leftovers(), fixture.counted()), (&[][..], [1, 0]));
    let mut reaped = Fixture::movable().reaped();
    reaped.life.settle();
    assert_eq!(reaped.life.may_reap(), Err(NotReaped::Already), "a departure ends no reaping");
}

#[test]
fn what_is_expired_counts_until_it_is_closed_and_is_remembered_after_that() {
    let mut fixture = Fixture::movable().expired();
    assert_eq!((fixture.expiry(), fixture.counted()), (Some(false), [1, 0]));
    assert!(fixture.life.shares_links() && fixture.life.idle_timeout().is_none());
    assert_eq!(fixture.life.close(), Ok(()));
    assert_eq!((fixture.expiry(), fixture.counted()), (Some(true), [0, 0]));
    assert!(!fixture.life.shares_links());
    assert_eq!(fixture.life.close(), Err(NotExpired), "it was closed before");
    assert_eq!(Fixture::movable().life.close(), Err(NotExpired));
    assert_eq!(Fixture::buried().life.close(), Err(NotExpired));
}

#[test]
fn a_session_that_moves_or_is_reaped_does_not_expire() {
    assert!(Fixture::departed().expired().life.is_moving());
    let reaped = Fixture::movable().reaped().expired();
    assert!(reaped.life.not_live().is_none());
    assert_eq!(reaped.life.may_reap(), Err(NotReaped::Already));
}

#[test]
fn what_is_open_is_reaped_once_at_a_time() {
    for fixture in
        [Fixture::movable(), Fixture::movable().expired(), Fixture::moved().closed(), Fixture::buried()]
    {
        let mut reaped = fixture.reaped();
        assert_eq!(reaped.life.reap(), Err(NotReaped::Already), "{:?}", reaped.life);
        reaped.life.give_up_reaping();
        assert_eq!(reaped.life.reap(), Ok(()));
    }
    assert_eq!(Fixture::departed().life.reap(), Err(NotReaped::Moving));
    assert_eq!(Fixture::movable().closed().life.reap(), Err(NotReaped::NothingToClose));
    assert_eq!(
        Fixture::moved().life.reap(),
        Err(NotReaped::NothingToClose),
        "it shares no links where it is"
    );
}

#[test]
fn a_reaping_goes_on_while_the_session_is_closed_and_buried() {
    let mut closed = Fixture::moved().expired().reaped();
    closed.life.close().unwrap();
    assert_eq!(closed.life.may_reap(), Err(NotReaped::Already));
    assert_eq!(closed.life.bury(), Memory::Keep);
    assert_eq!(closed.life.may_reap(), Err(NotReaped::Already));
    closed.life.give_up_reaping();
    assert_eq!(closed.life.may_reap(), Ok(()));
}

#[test]
fn what_is_gone_is_remembered_for_its_leftovers_and_no_longer() {
    for mut without in [Fixture::immovable(), Fixture::movable().expired(), Fixture::movable().closed()] {
        assert_eq!(without.life.bury(), Memory::Forget);
        assert_eq!(without.counted(), [0, 0]);
    }
    for mut with in
        [Fixture::moved(), Fixture::moved().expired(), Fixture::moved().closed(), Fixture::buried()]
    {
        assert_eq!(with.life.bury(), Memory::Keep);
        assert_eq!((with.life.not_live(), with.counted()), (Some(NotLive::Gone), [0, 0]));
        let another = Leftover { handle: handle(9), ..LEFTOVER };
        assert_eq!(with.life.note_leftover_closed(&another), Memory::Keep);
        assert_eq!(with.life.leftovers(), [LEFTOVER]);
        assert_eq!(with.life.note_leftover_closed(&LEFTOVER), Memory::Forget);
    }
}

#[test]
fn a_leftover_that_is_closed_leaves_the_rest_as_it_is() {
    for mut fixture in [Fixture::moved(), Fixture::moved().expired(), Fixture::moved().closed()] {
        let (not_live, known_as) =
            (fixture.life.not_live(), fixture.life.mobile().and_then(Mobile::known_as));
        assert_eq!(fixture.life.note_leftover_closed(&LEFTOVER), Memory::Keep);
        assert_eq!(fixture.life.leftovers(), []);
        assert_eq!(fixture.life.not_live(), not_live);
        assert_eq!(fixture.life.mobile().and_then(Mobile::known_as), known_as);
    }
}

#[test]
fn what_counts_no_more_with_its_process_counts_again_if_it_is_live_after_all() {
    for (fixture, counts_again) in [(Fixture::movable(), true), (Fixture::movable().expired(), false)] {
        let Fixture { cluster, mut life } = fixture;
        assert!(life.discount() && !life.is_counted());
        assert!(!life.discount(), "it counts no more");
        for _ in 0..2 {
            assert_eq!(life.count_again(|| cluster.coordinators()[0].count_session()), counts_again);
            assert_eq!(cluster.coordinators()[0].load().open_sessions, u32::from(counts_again));
        }
    }
    assert!(!Fixture::moved().closed().life.discount() && !Fixture::buried().life.discount());
}

#[test]
fn only_what_is_live_becomes_movable() {
    let mobile = || Mobile::new(Movable { state: State::opened(None), incarnation: 1 });
    for mut other in [Fixture::immovable().expired(), Fixture::moved().closed(), Fixture::buried()] {
        other.life.note_movable(mobile());
        assert!(other.life.mobile().is_none(), "{:?}", other.life);
    }
    let mut departed = Fixture::departed();
    departed.life.note_movable(mobile());
    assert!(departed.life.is_moving());
}
