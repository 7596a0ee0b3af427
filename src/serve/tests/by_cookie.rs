//! Clients over HTTP that have logged in by ticket before, and have the router's own cookie for that.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::world::{TestClient, World};
use crate::clock;
use crate::ids::Transport;
use crate::net::kerberos::{Kerberos, Provider, Tokens};
use crate::serve::call::links::Links;
use crate::serve::connections::Listed;
use crate::serve::fleet::entrance::Entrance;
use crate::serve::fleet::tickets::Tickets;
use crate::session::delegation::Rules;
use crate::wire::http::own_cookie::{AcceptedBy, OwnCookie, Place};
use crate::wire::sasl::kerberos::{Context, KerberosError};

impl World {
    /// Connects a client that uses HTTP and has the router's own cookie for this principal.
    pub(super) async fn connect_by_cookie(&self, principal: &str, rules: &Arc<Rules>) -> TestClient {
        let listed = Listed::alone(self.shared.next_connection());
        let links = Links::over_http(Arc::clone(&self.fleet), &listed);
        let place = Place { accepted_by: AcceptedBy::Router, listener: "test", cluster: "test", do_as: None };
        let until = clock::time_of_day() + Duration::from_hours(1);
        let cookie = OwnCookie { user: principal.into(), ticket: [1, 2], until };
        let value = cookie.sign(&self.shared.cookie_key, place).unwrap();
        let tickets = Tickets { kerberos: no_tickets(), principal: None, rules: Arc::clone(rules) };
        let entrance = Entrance { tickets: Some(Arc::new(tickets)), ..self.entrance() };
        let mut client = self.connect_with(Transport::Http, links, entrance).await;
        client.fields = format!("Cookie: impala.auth={value}\r\n");
        client
    }
}

/// What refuses all tickets.
#[derive(Debug)]
struct NoTickets;

impl Provider for NoTickets {
    fn accept(&self, _principal: Option<&str>, _tokens: Tokens) -> Result<Box<dyn Context>, KerberosError> {
        Err(KerberosError::new("No key table entry found"))
    }

    fn initiate(&self, _principal: &str, _target: &str) -> Result<Box<dyn Context>, KerberosError> {
        Err(KerberosError::new("No credentials cache found"))
    }

    fn lifetime(&self, _principal: &str) -> Result<Duration, KerberosError> {
        Err(KerberosError::new("No credentials cache found"))
    }
}

fn no_tickets() -> Arc<Kerberos> {
    static SHARED: OnceLock<Arc<Kerberos>> = OnceLock::new();
    Arc::clone(SHARED.get_or_init(|| Arc::new(Kerberos::new(Arc::new(NoTickets)).unwrap())))
}
