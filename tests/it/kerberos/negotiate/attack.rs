//! One proven user tries to get at another's sessions over HTTP: with the handle and its secret, and with cookies.

use hs2router::fake::Coordinator;
use hs2router::wire::method::{self, Role};

use super::super::{KerberosRouter, by_ticket};
use super::{HttpFleet, LoggedIn, negotiate, post, ticket, token};
use crate::kerberos::SERVICE;
use crate::simulation::delegated::naming;
use crate::support::kdc::{self, REALM};
use crate::support::message::{Message, Value, execute, of_handle, open_session};

/// Every call that names these: an operation where the method takes one, else a session.
fn all_calls(session: &Value, operation: &Value) -> Vec<Message> {
    let methods = method::all().filter(|method| method.role != Role::OpenSession);
    let calls: Vec<_> = methods.map(|method| naming(method, session, operation)).collect();
    assert!(calls.len() > 40);
    calls
}

fn received(coordinators: &[Coordinator]) -> usize {
    coordinators.iter().map(|one| one.calls().len()).sum()
}

#[test]
fn with_anothers_handle_and_secret_no_method_is_of_use_by_ticket_or_by_cookie() {
    let Some(fleet) = HttpFleet::of(2, "") else { return };
    let at = fleet.router.listener;
    let (ann, bob) = (LoggedIn::new(at, "ann"), LoggedIn::new(at, "bob"));
    let operation = ann.call(&execute(&ann.session, "select sleep(600000)")).handle(&[0, 2]);
    let before = received(&fleet.coordinators);
    for call in all_calls(&ann.session, &operation) {
        let refused = post(at, "/cliservice", &bob.cookie, &call);
        let text = String::from_utf8_lossy(&refused.body).into_owned();
        assert!(refused.status == 200 && text.contains("hs2router (c"), "{}: {text}", call.name);
    }
    // With a ticket of his own he is himself, whatever cookie comes with it.
    let both = format!("{}{}", ticket("bob"), ann.cookie);
    let refused = post(at, "/", &both, &of_handle("GetOperationStatus", &operation)).message();
    assert!(refused.error().1.contains("is not known as one of this user's"));
    assert_eq!(received(&fleet.coordinators), before, "no coordinator hears of it");
    assert_eq!(ann.call(&of_handle("GetOperationStatus", &operation)).status(), Some(0));
}

/// Two listeners of one cluster and one of another, in front of one coordinator.
fn three_listeners(coordinator: &Coordinator) -> KerberosRouter {
    let port = coordinator.hs2_http().port();
    let listener = |host: &str, cluster: &str| {
        let kerberos = by_ticket("");
        format!(
            "[[listener]]\naddress = \"{host}:0\"\nservice = \"hs2-http\"\ncluster = \"{cluster}\"\n{kerberos}\n"
        )
    };
    let own = kdc::shared().own_keytab().display().to_string();
    let cluster = |name: &str| {
        format!(
            "[[cluster]]\nname = \"{name}\"\nflavor = \"impala\"\nprobe = {{ interval = \"1h\" }}\n\
             coordinators = [{{ host = \"localhost\", hs2 = 0, beeswax = 0, hs2_http = {port}, web = 0 }}]\n\
             [cluster.kerberos]\nprincipal = \"hs2router/localhost@{REALM}\"\nkeytab = \"{own}\"\n\
             coordinator = \"HTTP/_HOST@{REALM}\"\n"
        )
    };
    let listeners = [("127.0.0.1", "one"), ("127.0.0.2", "one"), ("127.0.0.3", "two")];
    let parts = listeners.map(|(host, name)| listener(host, name)).concat();
    let log = "[log]\nlevel = \"debug\"\n[admin]\naddress = \"127.0.0.1:0\"\n";
    KerberosRouter::of(&(log.to_owned() + &parts + &cluster("one") + &cluster("two")))
}

#[test]
fn a_cookie_that_is_forged_or_of_another_place_is_none_on_any_method() {
    let Some(fleet) = HttpFleet::of(1, "") else { return };
    let coordinator = &fleet.coordinators[0];
    let router = three_listeners(coordinator);
    let at = router.listener;
    let ann = LoggedIn::new(at, "ann");
    let operation = ann.call(&execute(&ann.session, "select sleep(600000)")).handle(&[0, 2]);
    let elsewhere = LoggedIn::new(fleet.router.listener, "ann");
    let mut forged = ann.cookie.clone().into_bytes();
    // The principal begins after 24 bytes, which are 32 letters.
    let place = "Cookie: impala.auth=".len() + 33;
    forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    // What a listener without a keytab would have given for the same user is no other's, either.
    let renamed = ann.cookie.replace("impala.auth", "hive.server2.auth");
    let [second, third] = [2, 3].map(|place| router.address_of(&format!("127.0.0.{place}")));
    let before = received(&fleet.coordinators);
    let (all, one) = (all_calls(&ann.session, &operation), [execute(&ann.session, "select 1")]);
    for (to, target, cookie, calls) in [
        (at, "/", &forged, &all[..]),
        (at, "/", &elsewhere.cookie, &one),
        (at, "/", &renamed, &one),
        (at, "/?doAs=ann", &ann.cookie, &one),
        (second, "/", &ann.cookie, &all[..]),
        (third, "/", &ann.cookie, &one),
    ] {
        for call in calls {
            let answer = post(to, target, cookie, call);
            assert_eq!(answer.status, 401, "{to} {target} {cookie} {}: {answer:?}", call.name);
            assert_eq!(answer.field("www-authenticate"), Some("negotiate"));
        }
    }
    assert_eq!(received(&fleet.coordinators), before);
    assert_eq!(ann.call(&one[0]).status(), Some(0));
}

#[test]
fn a_client_that_repeats_its_first_ticket_is_known_by_the_cookie_that_this_has_earned() {
    let Some(fleet) = HttpFleet::of(1, "") else { return };
    let at = fleet.router.listener;
    let ticket = negotiate(&token("ann", SERVICE));
    let opened = post(at, "/", &ticket, &open_session());
    let session = opened.message().handle(&[0, 3]);
    // PyHive sends back what the answer before gave, with the attributes.
    let mut cookie = opened.cookies[0].clone();
    for _ in 0..3 {
        let fields = format!("{ticket}Cookie: {cookie}\r\n");
        let mut answer = post(at, "/", &fields, &execute(&session, "select 1"));
        assert_eq!(answer.message().status(), Some(0));
        cookie = answer.cookies.pop().unwrap();
    }
    assert_eq!(post(at, "/", &ticket, &execute(&session, "select 1")).status, 401, "alone it is a replay");
}
