//! Simulated coordinators with a router in front of them: what a test of routing needs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hs2router::cluster::{AdminState, Load};
use hs2router::fake::client::{BeeswaxClient, CallError, Hs2Client, Login, check};
use hs2router::fake::{Coordinator, Id, Password, ReceivedCall, Settings};
use hs2router::idl::t_c_l_i_service::{THandleIdentifier, TOperationHandle, TSessionHandle};
use hs2router::serve::fleet::Fleet as RouterFleet;
use rustls::ServerConfig;

use super::clients::Target;
use super::front::{Front, ports};
use super::ports::KeptPort;
use super::router::{SELDOM, TestRouter, eventually};

/// Which of the router's listeners a client comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The one for HS2.
    Hs2,
    /// The one for Beeswax.
    Beeswax,
    /// A second one for HS2 of the same cluster.
    Side,
    /// The one for HS2 over HTTP, if that was planned.
    Http,
}

/// What a fleet is made of.
pub(crate) struct Plan<'a> {
    /// How many coordinators.
    pub(crate) coordinators: usize,
    /// Who may log in; empty: everybody, without SASL.
    pub(crate) users: &'a [(&'a str, &'a str)],
    /// Keys of `[router]`.
    pub(crate) router: &'a str,
    /// More keys of each `[[listener]]`.
    pub(crate) listener: &'a str,
    /// More keys of `[[cluster]]`.
    pub(crate) cluster: &'a str,
    /// More keys of each coordinator, by place.
    pub(crate) keys: &'a [&'a str],
    /// The TLS of each coordinator, by place; a missing one is in the clear.
    pub(crate) tls: &'a [Option<Arc<ServerConfig>>],
    /// Whether the web ports of those have it, too.
    pub(crate) web_tls: bool,
    /// How each coordinator differs from an idle Impala.
    pub(crate) settings: Settings,
    /// Whether coordinators are watched closely, web ports included; else they are looked at once and then
    /// left alone.
    pub(crate) watched: bool,
    /// Whether there is a listener for HTTP.
    pub(crate) http: bool,
}

/// Watches closely.
const OFTEN: &str = "probe = { interval = \"100ms\", timeout = \"100ms\" }\nload = { interval = \"100ms\" }";

impl Default for Plan<'_> {
    fn default() -> Self {
        // A fetch that waits keeps its connection's thread for as long as this; tests look for such
        // connections' end.
        let settings = Settings { fetch_timeout: Duration::from_secs(2), ..Settings::default() };
        let (users, keys, tls): (&[_], &[_], &[_]) = (&[], &[], &[]);
        let (router, listener, cluster) = ("", "", "");
        Self {
            coordinators: 3,
            users,
            router,
            listener,
            cluster,
            keys,
            tls,
            web_tls: false,
            settings,
            watched: false,
            http: false,
        }
    }
}

/// Who may log in where users are asked for.
pub(crate) const USERS: [(&str, &str); 3] = [("ann", "nna"), ("bob", "bbo"), ("u1", "p1")];

/// Simulated coordinators `c1`, `c2`, … and a router that serves them.
pub(crate) struct Fleet {
    router: TestRouter,
    coordinators: Vec<Option<Coordinator>>,
    /// What has TLS in front of a coordinator, by place.
    fronts: Vec<Option<Front>>,
    /// How each is started again on its ports.
    settings: Vec<Settings>,
    /// The ports of those that were lost, by place.
    vacant: BTreeMap<usize, Vec<KeptPort>>,
    login: Login,
    config: String,
}

impl Fleet {
    /// So many coordinators that let everybody in.
    pub(crate) fn of(coordinators: usize) -> Self {
        Self::with(Plan { coordinators, ..Plan::default() })
    }

    /// So many coordinators that ask for a password; clients log in as ann unless they say otherwise.
    pub(crate) fn secured(coordinators: usize) -> Self {
        Self::with(Plan { coordinators, users: &USERS, ..Plan::default() })
    }

    /// As planned.
    pub(crate) fn with(plan: Plan<'_>) -> Self {
        let Plan { coordinators, users: logins, router, listener, cluster, keys, settings, watched, .. } =
            plan;
        let users = (!logins.is_empty()).then(|| {
            let user = |&(name, password): &(&str, &str)| (name.to_owned(), Password::new(password));
            logins.iter().map(user).collect::<BTreeMap<_, _>>()
        });
        let coordinators: Vec<_> = (1..=coordinators)
            .map(|number| {
                let (name, users) = (format!("c{number}"), users.clone());
                Coordinator::start(Settings { name, users, ..settings.clone() }).unwrap()
            })
            .collect();
        let front = |(place, coordinator): (usize, &Coordinator)| {
            Some(Front::start(coordinator, plan.tls.get(place)?.as_ref()?, plan.web_tls))
        };
        let fronts: Vec<_> = coordinators.iter().enumerate().map(front).collect();
        let lines: Vec<_> = coordinators
            .iter()
            .enumerate()
            .map(|(place, coordinator)| {
                let ports = ports(coordinator, fronts[place].as_ref(), watched);
                let keys = keys.get(place).map(|keys| format!(", {keys}")).unwrap_or_default();
                format!("{{ name = \"{}\", host = \"127.0.0.1\", {ports} {keys} }}", coordinator.name())
            })
            .collect();
        let listener = |service| {
            format!("[[listener]]\naddress = \"127.0.0.1:0\"\nservice = \"{service}\"\n{listener}\n")
        };
        let config = format!(
            "[router]\n{router}\n{}{}{}{}[[cluster]]\nname = \"test\"\nflavor = \"impala\"\n{}\n{}\ncoordinators = [{}]\n",
            listener("hs2"),
            listener("beeswax"),
            listener("hs2"),
            if plan.http { listener("hs2-http") } else { String::new() },
            if watched { OFTEN } else { SELDOM },
            cluster,
            lines.join(", ")
        );
        let router = TestRouter::start(&config);
        let login = logins.first().map_or(Login::NoSasl, |(name, password)| Login::plain(name, password));
        let again = |one: &Coordinator| Settings {
            name: one.name().to_owned(),
            users: users.clone(),
            hs2_port: one.hs2().port(),
            beeswax_port: one.beeswax().port(),
            hs2_http_port: one.hs2_http().port(),
            web_port: one.web().port(),
            ..settings.clone()
        };
        let settings = coordinators.iter().map(again).collect();
        let coordinators = coordinators.into_iter().map(Some).collect();
        Self { router, coordinators, fronts, settings, vacant: BTreeMap::new(), login, config }
    }

    /// The router.
    pub(crate) fn router(&self) -> &TestRouter {
        &self.router
    }

    /// Another router in front of the same coordinators, with a config like the first one's.
    pub(crate) fn another_router(&self) -> TestRouter {
        TestRouter::start(&self.config)
    }

    /// The router ends, its connections with it, and another takes its place, on other ports, that knows
    /// nothing.
    pub(crate) fn restart_router(&mut self) {
        self.router = self.another_router();
    }

    /// What the router knows of the cluster.
    pub(crate) fn known(&self) -> &RouterFleet {
        &self.router.router().fleets()[0]
    }

    /// Where the router listens.
    pub(crate) fn address(&self, door: Door) -> SocketAddr {
        self.router.listener(match door {
            Door::Hs2 => 0,
            Door::Beeswax => 1,
            Door::Side => 2,
            Door::Http => 3,
        })
    }

    /// The same for a client program.
    pub(crate) fn target(&self, door: Door) -> Target {
        target(self.address(door))
    }

    /// What has TLS in front of the coordinator at a place.
    pub(crate) fn front(&self, place: usize) -> &Front {
        self.fronts[place].as_ref().expect("it has TLS")
    }

    /// The coordinators that are still there.
    pub(crate) fn coordinators(&self) -> impl Iterator<Item = &Coordinator> {
        self.coordinators.iter().flatten()
    }

    /// The coordinator at a place of the config.
    pub(crate) fn coordinator(&self, place: usize) -> &Coordinator {
        self.coordinators[place].as_ref().expect("it was not lost")
    }

    /// The coordinator dies, as by `kill -9`.
    pub(crate) fn lose(&mut self, place: usize) {
        drop(self.coordinators[place].take().expect("it is lost once"));
        let Settings { hs2_port, beeswax_port, hs2_http_port, web_port, .. } = self.settings[place];
        let ports = [hs2_port, beeswax_port, hs2_http_port, web_port];
        self.vacant.insert(place, ports.into_iter().filter_map(|port| KeptPort::take(port).ok()).collect());
    }

    /// A coordinator that was lost is started again on its ports, and knows nothing of its former sessions.
    pub(crate) fn revive(&mut self, place: usize) {
        self.vacant.remove(&place);
        let started = Coordinator::start(self.settings[place].clone()).unwrap();
        assert!(self.coordinators[place].replace(started).is_none(), "it was lost before");
    }

    /// Ends the router as SIGTERM does: how many connections were cut, and the coordinators that go on
    /// without it.
    pub(crate) fn drain(self) -> (usize, Vec<Coordinator>) {
        (self.router.drain(), self.coordinators.into_iter().flatten().collect())
    }

    /// A client on the HS2 listener.
    pub(crate) fn hs2(&self) -> Hs2Client {
        self.hs2_by(Door::Hs2)
    }

    /// A client on any listener.
    pub(crate) fn hs2_by(&self, door: Door) -> Hs2Client {
        Hs2Client::connect(self.address(door), &self.login).unwrap()
    }

    /// An HS2 client of this user.
    pub(crate) fn hs2_as(&self, user: &str, password: &str) -> Hs2Client {
        Hs2Client::connect(self.address(Door::Hs2), &Login::plain(user, password)).unwrap()
    }

    /// Has a client wait for the rows of an operation that still runs, and reset its connection meanwhile.
    pub(crate) fn reset_during_fetch(&self, mut client: Hs2Client, operation: TOperationHandle) {
        let stream = client.stream().try_clone().unwrap();
        let waiting = std::thread::spawn(move || client.fetch(&operation, 1).map(drop));
        assert!(eventually(|| !self.calls("FetchResults").is_empty()));
        // Shut down, the waiting call ends; closed without lingering, the connection is reset.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        stream.shutdown(std::net::Shutdown::Read).unwrap();
        assert!(waiting.join().unwrap().is_err());
        drop(stream);
        self.router.await_metric("hs2router_connections_closed_total{cause=\"client_reset\"}", 1.0);
    }

    /// A Beeswax client on the Beeswax listener.
    pub(crate) fn beeswax(&self) -> BeeswaxClient {
        BeeswaxClient::connect(self.address(Door::Beeswax), &self.login).unwrap()
    }

    /// How a client logs in here.
    pub(crate) fn login(&self) -> &Login {
        &self.login
    }

    /// The place of the coordinator that has this session.
    pub(crate) fn owner(&self, session: &TSessionHandle) -> usize {
        let id = id(&session.session_id);
        let has = |coordinator: &Option<Coordinator>| {
            coordinator.as_ref().is_some_and(|coordinator| coordinator.open_sessions().contains(&id))
        };
        let owners: Vec<_> =
            (0..self.coordinators.len()).filter(|&place| has(&self.coordinators[place])).collect();
        assert_eq!(owners.len(), 1, "a session has one owner");
        owners[0]
    }

    /// One session on each coordinator, in the order of the config, all opened on this client's connection.
    pub(crate) fn session_on_each(&self, client: &mut Hs2Client) -> Vec<TSessionHandle> {
        let mut sessions: Vec<_> = (0..self.coordinators.len()).map(|_| client.open(&[]).unwrap()).collect();
        sessions.sort_by_key(|session| self.owner(session));
        let owners: Vec<_> = sessions.iter().map(|session| self.owner(session)).collect();
        assert_eq!(owners, (0..self.coordinators.len()).collect::<Vec<_>>(), "the fleet was idle before");
        sessions
    }

    /// How many sessions each coordinator has.
    pub(crate) fn spread(&self) -> Vec<usize> {
        self.coordinators().map(|coordinator| coordinator.open_sessions().len()).collect()
    }

    /// What the router counts on each coordinator.
    pub(crate) fn loads(&self) -> Vec<Load> {
        self.known().cluster.coordinators().iter().map(|coordinator| coordinator.load()).collect()
    }

    /// Waits until the router counts nothing on any coordinator.
    pub(crate) fn await_idle(&self) {
        let idle = || self.loads().iter().all(|load| *load == Load::default());
        assert!(eventually(idle), "still counted: {:?}", self.loads());
    }

    /// People take a coordinator out of the fleet, or back.
    pub(crate) fn set_state(&self, place: usize, state: AdminState) {
        let coordinator = &self.known().cluster.coordinators()[place];
        match state {
            AdminState::Active => coordinator.resume(),
            AdminState::Drain => self.known().drain(coordinator, None),
        }
    }

    /// All calls of a method that coordinators received: the coordinator's place and the call.
    pub(crate) fn calls(&self, method: &str) -> Vec<(usize, ReceivedCall)> {
        let of = |(place, coordinator): (usize, &Option<Coordinator>)| {
            let calls = coordinator.as_ref().map(Coordinator::calls).unwrap_or_default();
            calls.into_iter().map(move |call| (place, call)).collect::<Vec<_>>()
        };
        let all = self.coordinators.iter().enumerate().flat_map(of);
        all.filter(|(_, call)| call.method == method).collect()
    }

    /// Lets the router look for sessions that nobody is attached to, now and when their time is over.
    pub(crate) fn forget_detached(&self) -> usize {
        let now: Instant = hs2router::clock::now();
        let table = &self.known().table;
        let too_early = table.forget_detached(now);
        assert_eq!(too_early, 0, "a session is kept for the time that its coordinator keeps it");
        table.forget_detached(now + Duration::from_hours(1))
    }
}

/// An address for a client program.
pub(crate) fn target(address: SocketAddr) -> Target {
    Target::of(address)
}

/// The id in a handle, as coordinators know it.
pub(crate) fn id(handle: &THandleIdentifier) -> Id {
    Id(handle.guid.clone().try_into().expect("a guid has 16 bytes"))
}

/// The id of an operation.
pub(crate) fn query_id(operation: &TOperationHandle) -> Id {
    id(&operation.operation_id)
}

/// What the router calls a session.
pub(crate) fn session_id(session: &TSessionHandle) -> Id {
    id(&session.session_id)
}

/// The message of a refused call.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, CallError>) -> String {
    refusal_and_state(result).0
}

/// The message of a refused call and its SQL state.
pub(crate) fn refusal_and_state<T: std::fmt::Debug>(result: Result<T, CallError>) -> (String, String) {
    match result {
        Err(CallError::Refused { message, sql_state }) => (message, sql_state.unwrap_or_default()),
        other => panic!("not refused: {other:?}"),
    }
}

/// What `Connection.isValid` of Hive's JDBC driver asks (`HiveConnection` `isValid`: the name of the
/// product).
pub(crate) fn is_valid(client: &mut Hs2Client, session: &TSessionHandle) -> Result<(), CallError> {
    use hs2router::idl::t_c_l_i_service as cli;
    use hs2router::idl::t_c_l_i_service::TTCLIServiceSyncClient as _;
    let request = cli::TGetInfoReq::new(session.clone(), cli::TGetInfoType::CLI_DBMS_NAME);
    check(&client.service().get_info(request)?.status)
}

/// `GetInfo` or `GetTables` in a session, which must succeed.
pub(crate) fn metadata(client: &mut Hs2Client, session: &TSessionHandle, call: &str) {
    use hs2router::idl::t_c_l_i_service as cli;
    use hs2router::idl::t_c_l_i_service::TTCLIServiceSyncClient as _;
    let service = client.service();
    let status = if call == "GetInfo" {
        let request = cli::TGetInfoReq::new(session.clone(), cli::TGetInfoType::CLI_SERVER_NAME);
        service.get_info(request).unwrap().status
    } else {
        let request = cli::TGetTablesReq::new(session.clone(), None, None, None, None);
        let response = service.get_tables(request).unwrap();
        client.close(&response.operation_handle.unwrap()).unwrap();
        response.status
    };
    check(&status).unwrap();
}
