//! Who a request is from: decided for every request anew (Impala: `THttpServer.cpp` `headersDone`; Hive,
//! Spark: `ThriftHttpServlet` `doPost`).

use std::rc::Rc;
use std::sync::Arc;

use data_encoding::BASE64;

use super::cookies::{Cookies, Mechanism, Verdict};
use super::head::Head;
use super::seen::ReceivedHead;
use crate::fake::coordinator::{Checker, Settings};
use crate::fake::manner::Manner;
use crate::fake::state::{Caller, State};

/// Whether a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted,
    Refused,
    /// Spark takes a cookie of another server for an attack, and credentials do not help (`CookieSigner`
    /// `verifyAndExtract`: "Invalid sign").
    Suspect,
}

/// Authenticates the requests of one connection.
pub(super) struct Gate {
    checker: Option<Checker>,
    takes_tickets: bool,
    cookies: Cookies,
    trusted_header: Option<String>,
    state: Arc<State>,
    caller: Rc<Caller>,
    /// Whether a request on this connection had the trusted header. **It is never taken back** (Impala:
    /// `THttpServer.cpp` `found_trusted_auth_header_`).
    found_trusted_header: bool,
    /// Fields for the next reply.
    fields: Vec<String>,
}

impl Gate {
    pub(super) fn new(settings: &Settings, state: Arc<State>, caller: Rc<Caller>) -> Self {
        let cookies = Cookies { manner: settings.manner, lifetime: settings.cookie_lifetime };
        Self {
            checker: settings.checker(),
            takes_tickets: settings.tickets,
            cookies,
            trusted_header: settings.trusted_header.clone(),
            state,
            caller,
            found_trusted_header: false,
            fields: Vec::new(),
        }
    }

    /// The fields that the next reply is to have.
    pub(super) fn take_fields(&mut self) -> Vec<String> {
        std::mem::take(&mut self.fields)
    }

    /// Judges a request. If it is admitted, its connection is that user's until another request says
    /// otherwise.
    pub(super) fn judge(&mut self, head: &Head) -> Admission {
        self.state.http.count(|counts| counts.requests += 1);
        self.found_trusted_header |=
            self.trusted_header.as_ref().is_some_and(|name| head.last(name).is_some());
        let do_as = head.query("doAs");
        {
            let mut who = self.caller.who.borrow_mut();
            who.head = Some(Arc::new(ReceivedHead::of(head)));
            // Impala keeps it for later requests on the connection (`authentication.cc` `HttpPathFn`).
            if do_as.is_some() || self.cookies.manner != Manner::Impala {
                who.do_as = do_as;
            }
        }
        let (admission, user) = match self.cookies.manner {
            Manner::Impala => self.as_impala(head),
            Manner::Hive { .. } | Manner::Spark => self.as_hive(head),
        };
        if let Some(user) = user {
            self.caller.who.borrow_mut().user = Some(user);
        }
        admission
    }

    fn as_impala(&mut self, head: &Head) -> (Admission, Option<String>) {
        if !self.asks() {
            return (Admission::Admitted, None);
        }
        if let Some(user) = self.by_cookie(head) {
            return (Admission::Admitted, Some(user));
        }
        if let Some(user) = self.by_trusted_header(head).or_else(|| self.by_password(head)) {
            self.give_cookie(Mechanism::Plain, &user);
            return (Admission::Admitted, Some(user));
        }
        if let Some(user) = self.by_ticket(head) {
            self.give_cookie(Mechanism::Spnego, &user);
            // The end of the mutual authentication, which no client looks at (Impala: `NegotiateAuth`).
            self.fields.push("WWW-Authenticate: Negotiate YQ==".to_owned());
            return (Admission::Admitted, Some(user));
        }
        // Each way that is open (Impala: `authentication.cc` `BasicAuth`, `NegotiateAuth`).
        let ways = [(self.checker.is_some(), "Basic"), (self.takes_tickets, "Negotiate")];
        let open = ways.into_iter().filter(|(is_open, _)| *is_open);
        self.fields.extend(open.map(|(_, way)| format!("WWW-Authenticate: {way}")));
        (Admission::Refused, None)
    }

    /// Whether clients prove who they are by tickets.
    pub(super) fn takes_tickets(&self) -> bool {
        self.takes_tickets
    }

    /// Whether clients have to say who they are.
    fn asks(&self) -> bool {
        self.checker.is_some() || self.takes_tickets
    }

    fn by_ticket(&self, head: &Head) -> Option<String> {
        let said = head.last("authorization").filter(|value| value.starts_with("Negotiate "));
        self.state.http.ticket_user(said.filter(|_| self.takes_tickets)?)
    }

    /// An empty field counts as none; any other that does not help as a failure, be it of another product.
    fn by_cookie(&mut self, head: &Head) -> Option<String> {
        let field =
            head.last("cookie").filter(|field| !field.is_empty() && !self.cookies.lifetime.is_zero())?;
        let verdict = self.cookies.judge(&self.state.http, field);
        self.state.http.count(|counts| counts.cookie.count(matches!(verdict, Verdict::Good(_))));
        match verdict {
            Verdict::Good(user) => Some(user),
            Verdict::Bad | Verdict::None => {
                self.fields.push(self.cookies.forget());
                None
            }
        }
    }

    /// With the trusted header nobody looks at the password (Impala: `authentication.cc`
    /// `TrustedAuthHeaderCheck`).
    fn by_trusted_header(&self, head: &Head) -> Option<String> {
        let (user, _) = basic(head).filter(|_| self.found_trusted_header)?;
        self.state.http.count(|counts| counts.trusted_header += 1);
        Some(user)
    }

    fn by_password(&self, head: &Head) -> Option<String> {
        if self.takes_tickets && self.checker.is_none() {
            return None;
        }
        let said = head.last("authorization").filter(|value| value.starts_with("Basic "));
        let user = basic(head).and_then(|(user, password)| {
            let known = self.checker.as_ref().is_none_or(|checker| checker.accepts(&user, &password));
            (known && !user.is_empty()).then_some(user)
        });
        if said.is_some() {
            self.state.http.count(|counts| counts.basic.count(user.is_some()));
        }
        user
    }

    fn give_cookie(&mut self, mechanism: Mechanism, user: &str) {
        if !self.cookies.lifetime.is_zero() {
            self.fields.push(self.cookies.issue(&self.state.http, &self.state.chance, mechanism, user));
        }
    }

    /// A name is needed even where no password is checked, and no cookie is given there.
    fn as_hive(&mut self, head: &Head) -> (Admission, Option<String>) {
        let verdict = match head.last("cookie") {
            Some(field) if self.asks() => self.cookies.judge(&self.state.http, field),
            _ => Verdict::None,
        };
        if verdict != Verdict::None {
            self.state.http.count(|counts| counts.cookie.count(verdict != Verdict::Bad));
        }
        match verdict {
            Verdict::Good(user) => return (Admission::Admitted, Some(user)),
            Verdict::Bad if self.cookies.manner == Manner::Spark => return (Admission::Suspect, None),
            Verdict::Bad | Verdict::None => {}
        }
        let user = if self.takes_tickets { self.by_ticket(head) } else { self.by_password(head) };
        let Some(user) = user else { return (Admission::Refused, None) };
        if self.asks() {
            self.give_cookie(Mechanism::Spnego, &user);
        }
        (Admission::Admitted, Some(user))
    }
}

/// The name and the password of a Basic authorization.
fn basic(head: &Head) -> Option<(String, Vec<u8>)> {
    let token = head.last("authorization")?.strip_prefix("Basic ")?;
    let decoded = BASE64.decode(token.trim().as_bytes()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (user, password) = (decoded.get(..colon)?, decoded.get(colon + 1..)?);
    Some((String::from_utf8(user.to_vec()).ok()?, password.to_vec()))
}
