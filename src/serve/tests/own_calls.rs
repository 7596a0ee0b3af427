//! Calls that the router makes by itself about sessions over HTTP, and whose processes those were on.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt as _;

use super::world::{World, in_memory};
use crate::clock;
use crate::cluster::room::{Holder, Kind, Purpose};
use crate::ids::{Access, Identity, Service, Transport};
use crate::net::stream::double::Double;
use crate::serve::link::login::Login;
use crate::serve::link::own_call::OwnCall;
use crate::serve::link::slot::{Grant, Slot};
use crate::session::idle::IdleTimeout;
use crate::session::table::NewSession;
use crate::wire::facts::{Guid, Handle};

const HTTP: Access = Access { identity: Identity::Anonymous, transport: Transport::Http };

/// A slot on the port of the only coordinator that calls with this access go to.
fn slot(world: &World, access: &Access) -> Slot<Double> {
    let coordinator = world.fleet.cluster.coordinators().iter().next().cloned().unwrap();
    let port = world.fleet.port(&coordinator, access.hs2()).unwrap();
    let Some(Grant::Slot(slot)) = port.claim(Holder::ourselves(access), Purpose::Work, Kind::New) else {
        panic!("no room")
    };
    slot
}

#[tokio::test(start_paused = true)]
async fn a_link_over_http_for_nobody_speaks_http_and_shows_no_credential() {
    in_memory(async {
        let world = World::of(1, Transport::Http);
        let heard = Arc::new(Mutex::new(String::new()));
        let record = Arc::clone(&heard);
        world.shared.network.plug_in(world.coordinators[0].address, move |mut stream| {
            let record = Arc::clone(&record);
            drop(tokio::spawn(async move {
                let mut chunk = vec![0; 4096];
                while !record.lock().contains("\r\n\r\n") {
                    let read = stream.read(&mut chunk).await.unwrap();
                    record.lock().push_str(&String::from_utf8_lossy(&chunk[..read]));
                }
            }));
        });
        let link = world.fleet.dial(slot(&world, &HTTP), &Login::Nobody, &world.shared).await.unwrap();
        assert_eq!(link.service(), Service::Hs2Http);
        let session = Handle { guid: [1; 16], secret: [2; 16] };
        assert!(world.fleet.own_call(link, OwnCall::Touch(session)).await.is_none(), "it hung up");
        let heard = heard.lock().to_ascii_lowercase();
        assert!(heard.starts_with("post /cliservice http/1.1\r\n"), "{heard}");
        for field in ["host: 192.0.2.1:28000\r\n", "content-type: application/x-thrift\r\n"] {
            assert!(heard.contains(field), "{heard}");
        }
        assert!(!heard.contains("authorization") && !heard.contains("cookie"), "{heard}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_process_if_all_links_to_the_port_broke_that_it_was_opened_on() {
    in_memory(async {
        for broken in [Access::ANONYMOUS, HTTP] {
            let world = World::of(1, Transport::Unframed);
            let coordinator = world.fleet.cluster.coordinators().iter().next().cloned().unwrap();
            let mut slot = slot(&world, &broken);
            let _life = slot.begin_life(0);
            let opened = |access: Access, guid: Guid| {
                let (count, now) = (coordinator.count_session(), clock::now());
                let (idle_timeout, secret) = (IdleTimeout::default(), Some([3; 16]));
                let coordinator = coordinator.id;
                let new =
                    NewSession { guid, secret, coordinator, access, count, tenancy: None, idle_timeout, now };
                world.fleet.table.insert_session(new).unwrap();
            };
            opened(Access::ANONYMOUS, [1; 16]);
            opened(HTTP, [2; 16]);
            slot.note_broken();
            drop(slot);
            world.fleet.note_breaks();
            let counts =
                [[1; 16], [2; 16]].map(|guid| world.fleet.table.activity(&guid).unwrap().is_counted());
            assert_eq!(counts, [broken == HTTP, broken != HTTP]);
        }
    })
    .await;
}
