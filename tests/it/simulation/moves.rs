//! What becomes of sessions that move, where that takes some timing.

use std::rc::Rc;
use std::time::Duration;

use hs2router::clock;
use hs2router::fake::Id;
use hs2router::idl::t_c_l_i_service::{self as cli, TTCLIServiceSyncClient as _};
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::client::User;
use super::http::Http;
use super::router::GRACE;
use super::scene::{Scene, open, ping, play};
use super::setup::{Setup, Weather};
use super::talk::{Hs2, Talk};
use super::tls::Encryption;

const SETUP: Setup = Setup {
    weather: Weather::Foul,
    coordinators: 2,
    clients: 2,
    logins: false,
    shares: false,
    moves: Some(Duration::ZERO),
    rebalance: false,
    beeswax: false,
    threads: None,
    stranger: None,
    cuts: None,
    encryption: Encryption::NONE,
    http: Http::Nobody,
};

async fn execute(talk: &mut Talk<Hs2>, session: &cli::TSessionHandle) {
    let request = cli::TExecuteStatementReq::new(session.clone(), "select 1".to_owned(), None, true, None);
    let executed = talk.call(|service| service.execute_statement(request.clone())).await.unwrap();
    assert_eq!(executed.status.status_code, cli::TStatusCode::SUCCESS_STATUS, "{:?}", executed.status);
}

fn id(session: &cli::TSessionHandle) -> Id {
    Id(session.session_id.guid.clone().try_into().unwrap())
}

#[test]
fn a_call_that_waits_for_a_link_goes_where_its_session_has_gone_meanwhile() {
    play((SETUP, 1), &[], async |Scene { network, coordinators, journal, .. }: Scene| {
        let client = async |name: &str| Talk::<Hs2>::begin(&network.from(name), None, true).await.unwrap();
        let session = open(&mut client("client0").await).await;
        let owner = coordinators.iter().find(|one| one.memory.knows(id(&session))).unwrap();
        // A dial may take 3 s: the first one's does, the other one's hangs for a little less.
        network.hang_dials(&owner.host, Duration::from_millis(3_500));
        let (mut first, mut other) = (client("client1").await, client("client2").await);
        let pinged = session.clone();
        let first = spawn_local(async move { ping(&mut first, &pinged).await });
        sleep(Duration::from_secs(1)).await;
        execute(&mut other, &session).await;
        first.await.unwrap();
        let executed: Vec<_> =
            journal.lines().into_iter().filter(|line| line.contains("ExecuteStatement")).collect();
        assert_eq!(executed.len(), 1);
        assert!(!executed[0].contains(&format!(" {} #", owner.host)), "it was lost: {executed:?}");
    });
}

#[test]
fn what_is_left_of_a_moved_session_is_closed_although_its_links_were_busy() {
    let setup = Setup { coordinators: 3, logins: true, shares: true, ..SETUP };
    let alice = User::new(Some(("alice".to_owned(), "her password".to_owned())));
    play((setup, 1), &[Rc::clone(&alice)], async |Scene { network, coordinators, router, .. }: Scene| {
        let login = alice.login.as_ref().map(|(name, password)| (name.as_str(), password.as_str()));
        let client = async |name: &str| Talk::<Hs2>::begin(&network.from(name), login, true).await.unwrap();
        let (mut stays, mut leaves) = (client("client0").await, client("client1").await);
        // All on the first, where one is kept by its operation; the others move to one each.
        let drain = |index: usize| {
            let time = Duration::from_hours(1);
            router.fleet.cluster.coordinators()[index].drain(None, time, clock::now());
        };
        let resume = |index: usize| router.fleet.cluster.coordinators()[index].resume();
        drain(1);
        drain(2);
        let kept = open(&mut stays).await;
        execute(&mut stays, &kept).await;
        let _moving = [open(&mut leaves).await, open(&mut leaves).await];
        resume(1);
        resume(2);
        drain(0);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(
            coordinators.iter().map(|one| one.memory.open_sessions().len()).collect::<Vec<_>>(),
            [3, 1, 1]
        );
        resume(0);
        // So that the one is closed while the other is to be.
        coordinators[0].set_slow(Duration::from_secs(5));
        leaves.leave(false);
        sleep(GRACE + Duration::from_mins(1)).await;
        assert_eq!(coordinators[0].memory.open_sessions(), [id(&kept)]);
    });
}

#[test]
fn a_statement_that_changed_a_session_which_moved_meanwhile_is_told_as_lost() {
    play((SETUP, 1), &[], async |Scene { network, coordinators, .. }: Scene| {
        let client = async |name: &str| Talk::<Hs2>::begin(&network.from(name), None, true).await.unwrap();
        let (mut first, mut other) = (client("client0").await, client("client1").await);
        let session = open(&mut first).await;
        let owner = coordinators.iter().find(|one| one.memory.knows(id(&session))).unwrap();
        // A dial may take 3 s, so the other client finds it lost; what is on its way there arrives later.
        network.partition(&owner.host, Duration::from_secs(6));
        let request =
            cli::TExecuteStatementReq::new(session.clone(), "use functional".to_owned(), None, true, None);
        let used = spawn_local(async move {
            first.call(|service| service.execute_statement(request.clone())).await.unwrap().status
        });
        sleep(Duration::from_millis(100)).await;
        execute(&mut other, &session).await;
        let (code, words) = {
            let status = used.await.unwrap();
            (status.status_code, status.error_message.unwrap_or_default())
        };
        assert_eq!(code, cli::TStatusCode::ERROR_STATUS);
        assert!(words.contains("its session was opened again elsewhere in the meantime"), "{words}");
    });
}
