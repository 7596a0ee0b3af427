//! Coordinators come and go: what becomes of what is on them.

use std::sync::Arc;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::Id;
use hs2router::idl::impala_service::{TImpalaHiveServer2ServiceSyncClient as _, TPingImpalaHS2ServiceReq};
use hs2router::idl::t_c_l_i_service::{self as cli, TTCLIServiceSyncClient as _};
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::http::Http;
use super::network::ROUTER;
use super::router;
use super::scene::{Scene, close, open, ping, play};
use super::setup::{Setup, Weather};
use super::talk::{Hs2, Talk};
use super::tls::Encryption;

const SETUP: Setup = Setup {
    weather: Weather::Foul,
    coordinators: 2,
    clients: 1,
    logins: false,
    shares: false,
    moves: None,
    rebalance: false,
    beeswax: false,
    threads: None,
    stranger: None,
    cuts: None,
    encryption: Encryption::NONE,
    http: Http::Nobody,
};
const SECOND: Duration = Duration::from_secs(1);
/// What the router says of what was on a coordinator that is gone.
const REMOVED: &str = "the coordinator that had this was removed from its cluster: open a new session";

impl Scene {
    async fn client(&self) -> Talk<Hs2> {
        Talk::<Hs2>::begin(&self.network.from("client0"), None, true).await.unwrap()
    }

    /// Where a session is.
    fn place(&self, session: &cli::TSessionHandle) -> usize {
        let id = Id(session.session_id.guid.clone().try_into().unwrap());
        self.coordinators.iter().position(|one| one.memory.knows(id)).unwrap()
    }

    /// Removes a coordinator; how long that took.
    async fn remove(&self, place: usize, deadline: Duration) -> Duration {
        let (begun, fleet) = (clock::now(), &self.router.fleet);
        let id = fleet.cluster.named(&format!("c{place}")).unwrap().id;
        assert!(fleet.remove_coordinator(id, Some(deadline), &self.router.shared).await);
        assert!(!fleet.remove_coordinator(id, Some(deadline), &self.router.shared).await, "it is gone");
        self.journal.removed(place, true);
        clock::now() - begun
    }

    fn links(&self, place: usize) -> usize {
        self.network.connections(ROUTER, &format!("c{place}"))
    }
}

async fn execute(talk: &mut Talk<Hs2>, session: &cli::TSessionHandle) -> cli::TExecuteStatementResp {
    let request = cli::TExecuteStatementReq::new(session.clone(), "select 1".to_owned(), None, true, None);
    talk.call(|service| service.execute_statement(request.clone())).await.unwrap()
}

fn assert_removed(status: &cli::TStatus) {
    assert_eq!(status.status_code, cli::TStatusCode::ERROR_STATUS);
    let words = status.error_message.as_deref().unwrap_or_default();
    assert!(words.contains(REMOVED), "{words}");
}

#[test]
fn sessions_that_can_move_leave_a_coordinator_before_it_is_removed() {
    let setup = Setup { moves: Some(Duration::ZERO), ..SETUP };
    play((setup, 1), &[], async |scene: Scene| {
        let mut client = scene.client().await;
        let sessions = [open(&mut client).await, open(&mut client).await];
        let place = scene.place(&sessions[0]);
        assert_ne!(place, scene.place(&sessions[1]));
        let took = scene.remove(place, Duration::from_hours(1)).await;
        assert!(took < 5 * SECOND, "{took:?}");
        for session in &sessions {
            ping(&mut client, session).await;
        }
        sleep(SECOND).await;
        assert_eq!((scene.links(place), scene.links(1 - place)), (0, 1));
        let stays = &scene.router.fleet.cluster.coordinators()[0];
        assert_eq!((scene.router.fleet.cluster.coordinators().len(), stays.load().open_sessions), (1, 2));
    });
}

#[test]
fn what_is_left_on_a_coordinator_at_the_deadline_is_lost() {
    play((SETUP, 1), &[], async |scene: Scene| {
        let mut client = scene.client().await;
        let session = open(&mut client).await;
        let place = scene.place(&session);
        let operation = execute(&mut client, &session).await.operation_handle.unwrap();
        let took = scene.remove(place, 20 * SECOND).await;
        assert!(took >= 20 * SECOND && took < 21 * SECOND, "{took:?}");
        assert_removed(&execute(&mut client, &session).await.status);
        let request = cli::TGetOperationStatusReq::new(operation, None);
        let asked = client.call(|service| service.get_operation_status(request.clone())).await.unwrap();
        assert_removed(&asked.status);
        let pinged = TPingImpalaHS2ServiceReq::new(session.clone());
        let pinged = client.call(|service| service.ping_impala_h_s2_service(pinged.clone())).await.unwrap();
        assert_removed(&pinged.status);
        // To close it succeeds, and then it is known no more.
        close(&mut client, &session).await;
        assert_eq!(scene.router.fleet.table.sessions(), 0);
        let next = open(&mut client).await;
        assert_eq!(scene.place(&next), 1 - place);
        ping(&mut client, &next).await;
    });
}

#[test]
fn a_session_that_an_operation_keeps_moves_when_its_coordinator_is_gone() {
    let setup = Setup { moves: Some(Duration::ZERO), ..SETUP };
    play((setup, 1), &[], async |scene: Scene| {
        let mut client = scene.client().await;
        let session = open(&mut client).await;
        let place = scene.place(&session);
        let _open = execute(&mut client, &session).await;
        scene.remove(place, SECOND).await;
        ping(&mut client, &session).await;
        assert_eq!(execute(&mut client, &session).await.status.status_code, cli::TStatusCode::SUCCESS_STATUS);
    });
}

#[test]
fn the_link_of_an_idle_connection_is_closed_when_its_coordinator_goes() {
    play((SETUP, 1), &[], async |scene: Scene| {
        let mut client = scene.client().await;
        let session = open(&mut client).await;
        let place = scene.place(&session);
        assert_eq!(scene.links(place), 1);
        scene.remove(place, Duration::ZERO).await;
        sleep(SECOND).await;
        assert_eq!(scene.links(place), 0);
    });
}

#[test]
fn an_open_that_is_under_way_where_nothing_answers_goes_elsewhere_when_its_coordinator_goes() {
    play((SETUP, 1), &[], async |scene: Scene| {
        for one in &scene.coordinators {
            one.take_threads(usize::MAX);
        }
        let mut client = scene.client().await;
        let opening = spawn_local(async move { open(&mut client).await });
        sleep(SECOND / 10).await;
        let place = scene.coordinators.iter().position(|one| scene.links(one.index) > 0).unwrap();
        scene.remove(place, SECOND).await;
        for one in &scene.coordinators {
            one.take_threads(0);
        }
        let session = opening.await.unwrap();
        let id = Id(session.session_id.guid.clone().try_into().unwrap());
        assert!(scene.coordinators[1 - place].memory.knows(id));
        sleep(SECOND).await;
        assert_eq!(scene.links(place), 0, "nobody waits for what comes of the first");
    });
}

#[test]
fn a_coordinator_that_comes_gets_sessions() {
    play((SETUP, 1), &[], async |scene: Scene| {
        let mut client = scene.client().await;
        let kept = [open(&mut client).await, open(&mut client).await];
        let place = scene.place(&kept[0]);
        scene.remove(place, Duration::ZERO).await;
        sleep(SECOND).await;
        let fleet = Arc::clone(&scene.router.fleet);
        let settings = router::coordinator(place, &SETUP);
        let added = fleet.add_coordinator(settings.clone(), &scene.router.watchers).unwrap();
        assert!(fleet.add_coordinator(settings, &scene.router.watchers).is_err(), "its name is taken");
        scene.journal.removed(place, false);
        let opened = open(&mut client).await;
        assert_eq!(scene.place(&opened), place);
        assert_eq!(fleet.cluster.coordinator(added).unwrap().load().open_sessions, 1);
        // What the former one had is as gone as before.
        assert_removed(&execute(&mut client, &kept[0]).await.status);
        ping(&mut client, &kept[1]).await;
    });
}

#[test]
fn a_removal_that_was_given_up_can_be_asked_for_again() {
    play((SETUP, 1), &[], async |scene: Scene| {
        let mut client = scene.client().await;
        let session = open(&mut client).await;
        let place = scene.place(&session);
        let (fleet, shared) = (Arc::clone(&scene.router.fleet), Arc::clone(&scene.router.shared));
        let one = fleet.cluster.named(&format!("c{place}")).unwrap();
        let given_up = {
            let (fleet, id) = (Arc::clone(&fleet), one.id);
            spawn_local(async move { fleet.remove_coordinator(id, None, &shared).await })
        };
        sleep(SECOND).await;
        given_up.abort();
        assert!(given_up.await.is_err());
        one.resume();
        let next = open(&mut client).await;
        assert_eq!(scene.place(&next), 1 - place, "it goes, and nobody resumes it");
        assert!(scene.remove(place, Duration::ZERO).await < SECOND);
    });
}
