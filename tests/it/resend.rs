//! A link is lost in the middle of a call: what may be sent again is, unnoticed; nothing is ever run twice.

use hs2router::fake::client::{CallError, Hs2Client, Login};
use hs2router::fake::{Coordinator, Fault, Settings};
use hs2router::idl::t_c_l_i_service::{TSessionHandle, TTCLIServiceSyncClient as _};

use crate::support::router::TestRouter;

struct Setting {
    coordinator: Coordinator,
    router: TestRouter,
}

impl Setting {
    fn new() -> Self {
        let coordinator = Coordinator::start(Settings::default()).unwrap();
        let router = TestRouter::of("impala", &[coordinator.hs2()]);
        Self { coordinator, router }
    }

    fn session(&self) -> (Hs2Client, TSessionHandle) {
        let mut client = Hs2Client::connect(self.router.listener(0), &Login::NoSasl).unwrap();
        let session = client.open(&[]).unwrap();
        (client, session)
    }

    /// How often the coordinator was asked for a method.
    fn asked(&self, method: &str) -> usize {
        self.coordinator.calls().iter().filter(|call| call.method == method).count()
    }
}

fn refusal(error: &CallError) -> String {
    error.to_string()
}

#[test]
fn a_close_that_had_its_effect_before_its_link_was_lost_succeeds() {
    let setting = Setting::new();
    let (mut client, session) = setting.session();
    let operation = client.execute(&session, "select 1").unwrap();
    setting.coordinator.faults().once("CloseImpalaOperation", Fault::DropAfter);
    let error = client.close(&operation).unwrap_err();
    assert!(refusal(&error).contains("was lost during the call"), "it returns row counts: {error}");

    let request = hs2router::idl::t_c_l_i_service::TCloseOperationReq::new(operation);
    setting.coordinator.faults().once("CloseOperation", Fault::DropAfter);
    let closed = client.service().close_operation(request).unwrap();
    assert_eq!(closed.status.status_code.0, 0, "{closed:?}");
    assert_eq!(setting.asked("CloseOperation"), 2);

    setting.coordinator.faults().once("CloseSession", Fault::DropAfter);
    client.close_session(&session).unwrap();
    assert_eq!(setting.asked("CloseSession"), 2);
}

#[test]
fn a_statement_whose_link_was_lost_is_not_sent_again() {
    for fault in [Fault::DropBefore, Fault::DropAfter] {
        let setting = Setting::new();
        let (mut client, session) = setting.session();
        setting.coordinator.faults().once("ExecuteStatement", fault);
        let error = client.execute(&session, "insert into t values (1)").unwrap_err();
        assert!(refusal(&error).contains("whether the call was carried out is not known"), "{error}");
        assert_eq!(setting.asked("ExecuteStatement"), 1);
        assert!(client.execute(&session, "select 1").is_ok(), "the connection stays usable");
    }
}
