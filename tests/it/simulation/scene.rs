//! A router and coordinators, on which a test has happen what it wants, in virtual time.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use hs2router::idl::impala_service::{TImpalaHiveServer2ServiceSyncClient as _, TPingImpalaHS2ServiceReq};
use hs2router::idl::t_c_l_i_service::{self as cli, TTCLIServiceSyncClient as _};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::sleep;

use super::client::User;
use super::coordinator::SimCoordinator;
use super::journal::Journal;
use super::network::SimNetwork;
use super::router::SimRouter;
use super::setup::Setup;
use super::talk::{Hs2, Talk};
use super::world::memory;

/// What is there.
pub(crate) struct Scene {
    pub(crate) network: SimNetwork,
    pub(crate) journal: Rc<Journal>,
    pub(crate) coordinators: Vec<Rc<SimCoordinator>>,
    pub(crate) router: SimRouter,
}

/// Has a test happen in virtual time. The router's probes and polls have ended when it begins.
pub(crate) fn play<T: Future<Output = ()>>(
    (setup, seed): (Setup, u64),
    users: &[Rc<User>],
    test: impl FnOnce(Scene) -> T,
) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let network = SimNetwork::new(seed);
        spawn_local(network.clone().run());
        let memories: Vec<_> =
            (0..setup.coordinators).zip(seed..).map(|(index, seed)| memory(index, users, seed)).collect();
        let journal = Rc::new(Journal::new(&network, memories.clone()));
        let coordinators = memories.into_iter().enumerate().zip(seed..).map(|((index, memory), seed)| {
            SimCoordinator::new(index, memory, &network, (&journal, &setup, seed))
        });
        let coordinators: Vec<_> = coordinators.collect();
        coordinators.iter().for_each(SimCoordinator::start);
        let router = SimRouter::start(&network, &setup, seed);
        router.unwatched.cancel();
        sleep(Duration::from_secs(10)).await;
        let scene = Scene { network, journal: Rc::clone(&journal), coordinators, router };
        test(scene).await;
        assert_eq!(journal.violations(), Vec::<String>::new());
    });
}

/// Opens a session.
pub(crate) async fn open(talk: &mut Talk<Hs2>) -> cli::TSessionHandle {
    let request = cli::TOpenSessionReq {
        client_protocol: cli::TProtocolVersion::HIVE_CLI_SERVICE_PROTOCOL_V6,
        username: None,
        password: None,
        configuration: None,
    };
    let opened = talk.call(|service| service.open_session(request.clone())).await.unwrap();
    opened.session_handle.unwrap()
}

/// Closes a session.
pub(crate) async fn close(talk: &mut Talk<Hs2>, session: &cli::TSessionHandle) {
    let request = cli::TCloseSessionReq::new(session.clone());
    let closed = talk.call(|service| service.close_session(request.clone())).await.unwrap();
    assert_eq!(closed.status.status_code, cli::TStatusCode::SUCCESS_STATUS);
}

/// Uses a session.
pub(crate) async fn ping(talk: &mut Talk<Hs2>, session: &cli::TSessionHandle) {
    let request = TPingImpalaHS2ServiceReq::new(session.clone());
    let answer = talk.call(|service| service.ping_impala_h_s2_service(request.clone())).await.unwrap();
    assert_eq!(answer.status.status_code, cli::TStatusCode::SUCCESS_STATUS, "{:?}", answer.status);
}
