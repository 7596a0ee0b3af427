//! Tries the router's own login at a port, and whether it may speak for a user there: for people who look for a
//! fault, on a connection that no client uses.

use std::error::Error;
use std::time::Duration;

use hyper::header::HeaderValue;
use tokio::time::timeout;

use crate::ids::{Family, Service, Transport};
use crate::net::dial::{Destination, dial};
use crate::net::stream::Network;
use crate::net::tls::handshake::secure;
use crate::net::tls::io::Io;
use crate::serve::link::login::authenticate;
use crate::serve::link::no_link::NoLink;
use crate::serve::link::no_verdict::Likely;
use crate::serve::link::own_call::reply_to;
use crate::serve::link::router_login::{NotLoggedIn, RouterLogin};
use crate::serve::message::coding::Form;
use crate::serve::message::http::link::HttpLink;
use crate::serve::message::link_end::{LinkEnd, ReadError};
use crate::serve::message::reply::Reply;
use crate::serve::settings::KerberosPlan;
use crate::wire::facts::Handle;
use crate::wire::hs2::open::{ForUser, Open};
use crate::wire::hs2::request;
use crate::wire::sasl::kerberos::one_line;
use crate::wire::verdict::succeeded;

/// `HIVE_CLI_SERVICE_PROTOCOL_V6`, the one that Impala speaks.
const PROTOCOL: i32 = 5;

/// What became of a login of the router's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginTried {
    /// The router has no ticket for the coordinator.
    NoTicket(String),
    /// The coordinator did not accept its ticket.
    Refused(String),
    /// It did, and opened a session for the user, which was closed again.
    Delegated {
        /// The user.
        user: String,
    },
    /// It did, but opened no session for the user.
    NotDelegated {
        /// The user.
        user: String,
        /// The beginning of what it said.
        text: String,
    },
    /// It did not say whether it opens one: it gave no answer, or another than to the question.
    Unanswered(String),
}

/// A login that is tried.
#[derive(Debug)]
pub struct OwnLogin<'a, N> {
    /// Who the router is, and who the coordinator is.
    pub plan: KerberosPlan,
    /// What dials.
    pub network: &'a N,
    /// The coordinator's port.
    pub destination: &'a Destination,
    /// What the port is: with HTTP, the router shows its ticket there, else in SASL.
    pub service: Service,
    /// What the coordinator is.
    pub family: Family,
    /// A session is opened for this user.
    pub user: &'a str,
    /// The time for each step: for the ticket, the dial, each handshake and each call.
    pub allowed: Duration,
}

impl<N: Network> OwnLogin<'_, N> {
    /// Logs in, opens a session, and closes it.
    pub async fn attempt(&self) -> LoginTried {
        self.open_and_close().await.unwrap_or_else(|failed| failed)
    }

    async fn open_and_close(&self) -> Result<LoginTried, LoginTried> {
        let open = Open { protocol: Some(PROTOCOL), ..Open::default() }.write();
        let open = ForUser::read(&open).map_err(unanswered)?.write(self.family, self.user, 1);
        let (reply, link) = self.call(self.link().await?, &open).await?;
        let (facts, user) = (reply.facts(), self.user.to_owned());
        let Some(session) = facts.handle().filter(|_| succeeded(reply.method(), facts)) else {
            let text = one_line(&String::from_utf8_lossy(facts.message()));
            return Ok(LoginTried::NotDelegated { user, text });
        };
        // If this fails, the coordinator closes the session with the connection, or once it was idle for long.
        let _closed = self.close(&session, link).await;
        Ok(LoginTried::Delegated { user })
    }

    /// Closes the session: on another link if this one serves no other call, as where no cookie stands for a ticket.
    async fn close(&self, session: &Handle, link: Option<LinkEnd<N::Stream>>) -> Result<(), LoginTried> {
        let link = match link {
            Some(link) => link,
            None => self.link().await?,
        };
        self.call(link, &request::close_session(session, 2)).await.map(drop)
    }

    /// A link on which the router is itself. Over HTTP, the coordinator judges that with the first call.
    async fn link(&self) -> Result<LinkEnd<N::Stream>, LoginTried> {
        let (login, allowed) = (RouterLogin::new(self.plan.clone()), self.allowed);
        let host = self.destination.host.name();
        let no_ticket = |error: NotLoggedIn| LoginTried::NoTicket(error.to_string());
        // Before the dial: a coordinator does not wait long for a login, and a ticket may take a while.
        if self.service == Service::Hs2Http {
            let head = login.head(host, allowed).await.map_err(no_ticket)?;
            let name = HeaderValue::try_from(self.destination.to_string()).map_err(unanswered)?;
            return Ok(LinkEnd::over_http(self.connect().await?, HttpLink::of_router(name, head)));
        }
        let ticket = login.begin(host, allowed).await.map_err(no_ticket)?;
        let mut stream = self.connect().await?;
        let verdict = authenticate(&mut stream, ticket, allowed, Likely::TicketRefused).await;
        verdict.map_err(|error| LoginTried::Refused(NoLink::of_router(error).to_string()))?;
        Ok(LinkEnd::new(stream, Transport::Sasl))
    }

    async fn connect(&self) -> Result<Io<N::Stream>, LoginTried> {
        let stream = dial(self.network, self.destination, self.allowed).await.map_err(unanswered)?;
        let secured = timeout(self.allowed, secure(stream, self.destination.tls.as_deref())).await;
        secured.map_err(|_elapsed| self.silent())?.map_err(unanswered)
    }

    /// Makes a call; returns the whole reply, and the link if it can serve another call.
    async fn call(
        &self,
        mut link: LinkEnd<N::Stream>,
        message: &[u8],
    ) -> Result<(Reply, Option<LinkEnd<N::Stream>>), LoginTried> {
        let exchange = async {
            let sent = link.send_message(message, self.allowed).await;
            sent.map_err(|(error, _)| unanswered(error))?;
            let mut reply = reply_to(message);
            while let Some(mut chunk) = link.read().await? {
                let taken = link.take(&mut reply, &mut chunk, Form::Payload).map_err(unanswered)?;
                if taken.done {
                    return Ok((reply, taken.clean.then_some(link)));
                }
            }
            Err(unanswered("it closed the connection"))
        };
        timeout(self.allowed, exchange).await.unwrap_or_else(|_elapsed| Err(self.silent()))
    }

    fn silent(&self) -> LoginTried {
        unanswered(format!("no answer within {:?}", self.allowed))
    }
}

fn unanswered(why: impl Into<Box<dyn Error>>) -> LoginTried {
    LoginTried::Unanswered(why.into().to_string())
}

impl From<ReadError> for LoginTried {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotLoggedIn(text) => Self::Refused(NotLoggedIn::Refused { text }.to_string()),
            ReadError::Failed(_) | ReadError::Refused(_) => unanswered(error),
        }
    }
}
