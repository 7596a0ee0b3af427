//! How old a shared link becomes, in virtual time: a router, one coordinator, one client.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use hs2router::idl::impala_service::{TImpalaHiveServer2ServiceSyncClient as _, TPingImpalaHS2ServiceReq};
use hs2router::idl::t_c_l_i_service::{self as cli, TTCLIServiceSyncClient as _};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use super::coordinator::SimCoordinator;
use super::journal::Journal;
use super::network::{ROUTER, SimNetwork};
use super::router::SimRouter;
use super::setup::{Setup, Weather};
use super::talk::{Hs2, Talk};
use super::world::memory;

/// Between two calls of a client that is there.
const SOMETIMES: Duration = Duration::from_secs(30);

/// One client, whose links are shared.
const SETUP: Setup = Setup {
    weather: Weather::Calm,
    coordinators: 1,
    clients: 1,
    logins: false,
    shares: true,
    moves: None,
    rebalance: false,
    beeswax: false,
    threads: None,
};

/// What is looked at.
struct Scene {
    network: SimNetwork,
    journal: Rc<Journal>,
    talk: Talk<Hs2>,
    _router: SimRouter,
}

/// Has a test happen in virtual time.
fn play<T: Future<Output = ()>>(test: impl FnOnce(Scene) -> T) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let network = SimNetwork::new(1);
        spawn_local(network.clone().run());
        let memory = memory(0, &[], 2);
        let journal = Rc::new(Journal::new(&network, vec![memory.clone()]));
        SimCoordinator::new(0, memory, &network, (&journal, &SETUP, 3)).start();
        let router = SimRouter::start(&network, &SETUP, 4);
        // Its probes have connections of their own.
        router.unwatched.cancel();
        sleep(Duration::from_secs(10)).await;
        let talk = Talk::<Hs2>::begin(&network.from("client0"), None, true).await.unwrap();
        test(Scene { network, journal: Rc::clone(&journal), talk, _router: router }).await;
        assert_eq!(journal.violations(), Vec::<String>::new());
    });
}

impl Scene {
    /// Links that the coordinator has.
    fn links(&self) -> usize {
        self.network.connections(ROUTER, "c0")
    }

    /// Links that it has had.
    fn dialed(&self) -> usize {
        self.journal.lines().iter().filter(|line| line.ends_with("begins")).count()
    }

    async fn open(&mut self) -> cli::TSessionHandle {
        let request = cli::TOpenSessionReq {
            client_protocol: cli::TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6,
            username: None,
            password: None,
            configuration: None,
        };
        let opened = self.talk.call(|service| service.open_session(request.clone())).await.unwrap();
        opened.session_handle.unwrap()
    }

    async fn close(&mut self, session: &cli::TSessionHandle) {
        let request = cli::TCloseSessionReq::new(session.clone());
        let closed = self.talk.call(|service| service.close_session(request.clone())).await.unwrap();
        assert_eq!(closed.status.status_code, cli::TStatusCode::SUCCESS_STATUS);
    }

    async fn ping(&mut self, session: &cli::TSessionHandle) {
        let request = TPingImpalaHS2ServiceReq::new(session.clone());
        let answer =
            self.talk.call(|service| service.ping_impala_h_s2_service(request.clone())).await.unwrap();
        assert_eq!(answer.status.status_code, cli::TStatusCode::SUCCESS_STATUS, "{:?}", answer.status);
    }
}

#[test]
fn a_link_is_closed_20_s_after_the_last_session_of_its_user() {
    play(async |mut scene: Scene| {
        let (first, second) = (scene.open().await, scene.open().await);
        scene.close(&first).await;
        sleep(Duration::from_mins(5)).await;
        assert_eq!((scene.links(), scene.dialed()), (1, 1), "there is a session");
        scene.close(&second).await;
        sleep(Duration::from_secs(19)).await;
        assert_eq!(scene.links(), 1, "its client may open another session");
        // It is looked at once a second. The coordinator itself would close it after 30 s, in the middle of a call maybe.
        sleep(Duration::from_secs(4)).await;
        assert_eq!(scene.links(), 0);
        let third = scene.open().await;
        scene.close(&third).await;
        assert_eq!(scene.dialed(), 2);
    });
}

#[test]
fn a_link_is_closed_after_an_hour_whoever_has_sessions() {
    play(async |mut scene: Scene| {
        let session = scene.open().await;
        for _ in 0..119 {
            scene.ping(&session).await;
            sleep(SOMETIMES).await;
        }
        assert_eq!((scene.links(), scene.dialed()), (1, 1), "59 minutes and a half");
        for _ in 0..3 {
            scene.ping(&session).await;
            sleep(SOMETIMES).await;
        }
        assert_eq!((scene.links(), scene.dialed()), (1, 2), "the session goes on over another");
        scene.close(&session).await;
    });
}

#[test]
fn a_link_is_closed_after_10_000_sessions() {
    play(async |mut scene: Scene| {
        for _ in 1..10_000 {
            scene.open().await;
        }
        let session = scene.open().await;
        assert_eq!(scene.dialed(), 1);
        scene.close(&session).await;
        assert_eq!(scene.dialed(), 2, "the last session goes on over another");
    });
}
