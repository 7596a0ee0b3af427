//! What becomes of sessions that move, where that takes some timing.

use std::time::Duration;

use hs2router::fake::Id;
use hs2router::idl::t_c_l_i_service::{self as cli, TTCLIServiceSyncClient as _};
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::scene::{Scene, open, ping, play};
use super::setup::{Setup, Weather};
use super::talk::{Hs2, Talk};

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
