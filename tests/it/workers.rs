//! Connections that are served by different threads are served as one router's.

use std::num::NonZero;

use hs2router::control::config::Config;
use hs2router::control::router::Router;
use hs2router::serve::workers::Workers;
use tokio::runtime::Runtime;

use crate::support::script::Script;
use crate::support::talk::Talk;
use crate::support::thrift::{execute, of_handle};

#[test]
fn a_session_is_used_on_every_thread_and_all_of_them_drain() {
    let script = Script::sound();
    let config = format!(
        "[admin]\naddress = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"hs2\"\n\
         [[cluster]]\ncoordinators = [{{ host = \"127.0.0.1\", hs2 = {}, beeswax = 0, hs2_http = 0, web = 0 }}]\n",
        script.address().port()
    );
    let workers = Workers::start(NonZero::new(2).unwrap()).unwrap();
    let runtime = Runtime::new().unwrap();
    let router = {
        let _inside = runtime.enter();
        Router::start_on(&Config::parse("test", &config).unwrap(), &workers).unwrap()
    };
    // Two of them with each thread.
    let mut clients = [(); 4].map(|()| Talk::connect(router.listeners()[0]));
    let session = clients[0].open();
    for client in &mut clients {
        let operation = client.call(&execute(&session, "select 1")).handle(&[0, 2]);
        assert_eq!(client.call(&of_handle("CloseOperation", &operation)).status(), Some(0));
    }
    assert_eq!(runtime.block_on(router.drain(std::future::pending())), 0, "some had to be cut");
    for client in &mut clients {
        assert!(client.ends_orderly());
    }
}
