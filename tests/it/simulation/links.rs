//! How old a shared link becomes and what is closed on it, in virtual time: a router, one coordinator, one
//! client.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use hs2router::idl::t_c_l_i_service as cli;
use tokio::time::sleep;

use super::client::User;
use super::http::Http;
use super::network::ROUTER;
use super::router::GRACE;
use super::scene;
use super::setup::{Setup, Weather};
use super::talk::{Hs2, Talk};
use super::tls::Encryption;

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
    stranger: None,
    cuts: None,
    encryption: Encryption::NONE,
    http: Http::Nobody,
};

/// What is looked at.
struct Scene {
    scene: scene::Scene,
    talk: Talk<Hs2>,
}

/// Has a test happen in virtual time.
fn play<T: Future<Output = ()>>(test: impl FnOnce(Scene) -> T) {
    scene::play((SETUP, 1), &[], async |scene: scene::Scene| {
        let talk = Talk::<Hs2>::begin(&scene.network.from("client0"), None, true).await.unwrap();
        test(Scene { scene, talk }).await;
    });
}

impl Scene {
    /// Links that the coordinator has.
    fn links(&self) -> usize {
        self.scene.network.connections(ROUTER, "c0")
    }

    /// Links that it has had.
    fn dialed(&self) -> usize {
        self.scene.journal.lines().iter().filter(|line| line.ends_with("begins")).count()
    }

    async fn open(&mut self) -> cli::TSessionHandle {
        scene::open(&mut self.talk).await
    }

    async fn close(&mut self, session: &cli::TSessionHandle) {
        scene::close(&mut self.talk, session).await;
    }

    async fn ping(&mut self, session: &cli::TSessionHandle) {
        scene::ping(&mut self.talk, session).await;
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
        // It is looked at once a second. The coordinator itself would close it after 30 s, in the middle of a
        // call maybe.
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

#[test]
fn all_that_a_vanished_client_left_is_closed_on_the_one_link_that_is_left_of_it() {
    let alice = User::new(Some(("alice".to_owned(), "her password".to_owned())));
    let setup = Setup { logins: true, ..SETUP };
    scene::play((setup, 1), &[Rc::clone(&alice)], async |scene: scene::Scene| {
        let login = alice.login.as_ref().map(|(name, password)| (name.as_str(), password.as_str()));
        let mut talk = Talk::<Hs2>::begin(&scene.network.from("client0"), login, true).await.unwrap();
        for _ in 0..100 {
            let _left = scene::open(&mut talk).await;
        }
        talk.leave(false);
        sleep(GRACE).await;
        let open = || scene.coordinators[0].memory.open_sessions().len();
        assert_eq!((open(), scene.network.connections(ROUTER, "c0")), (100, 1), "its client may come back");
        // They are looked for every 15 s: the first time finds that their client has gone, and the grace
        // begins.
        sleep(Duration::from_secs(40)).await;
        assert_eq!(open(), 0);
    });
}
