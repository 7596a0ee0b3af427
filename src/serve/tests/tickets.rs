//! Tickets over HTTP where the router judges them: which clients are slowed down, and what they get while too many are
//! judged.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::FutureExt as _;
use parking_lot::Mutex;

use super::world::{World, in_memory};
use crate::clock;
use crate::cluster::brake::Who;
use crate::ids::Transport::{Http, Sasl};
use crate::net::kerberos::{Kerberos, Provider, Tokens};
use crate::serve::call::links::Links;
use crate::serve::connections::Listed;
use crate::serve::fleet::entrance::Entrance;
use crate::serve::fleet::tickets::Tickets;
use crate::session::delegation::Rules;
use crate::wire::sasl::kerberos::{Context, KerberosError, Stepped};
use crate::wire::thrift::MessageType;
use crate::wire::write::Writer;

/// Takes the token `good`, which is ann's, and no other.
#[derive(Debug)]
struct Judge;

impl Provider for Judge {
    fn accept(&self, _principal: Option<&str>, _tokens: Tokens) -> Result<Box<dyn Context>, KerberosError> {
        Ok(Box::new(Self))
    }

    fn initiate(&self, _principal: &str, _target: &str) -> Result<Box<dyn Context>, KerberosError> {
        Err(KerberosError::new("No credentials cache found"))
    }

    fn lifetime(&self, _principal: &str) -> Result<Duration, KerberosError> {
        Err(KerberosError::new("No credentials cache found"))
    }
}

impl Context for Judge {
    fn step(&mut self, token: &[u8]) -> Result<Stepped, KerberosError> {
        if token == b"good" {
            Ok(Stepped { token: Vec::new(), is_established: true })
        } else {
            Err(KerberosError::new("A token was invalid"))
        }
    }

    fn wrap(&mut self, bytes: &[u8]) -> Result<Vec<u8>, KerberosError> {
        Ok(bytes.to_vec())
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<Vec<u8>, KerberosError> {
        Ok(token.to_vec())
    }

    fn principal(&mut self) -> Result<String, KerberosError> {
        Ok("ann@R".to_owned())
    }
}

/// A router that judges tickets like this.
struct Judging {
    world: World,
    kerberos: Arc<Kerberos>,
}

impl Judging {
    fn new() -> Self {
        Self { world: World::of(1, Sasl), kerberos: Arc::new(Kerberos::new(Arc::new(Judge)).unwrap()) }
    }

    /// The head of the answer to a call with this token, on a connection of its own.
    async fn answer(&self, token: &[u8]) -> String {
        let rules = Rules { realms: ["R".to_owned()].into(), ..Rules::default() };
        let tickets =
            Tickets { kerberos: Arc::clone(&self.kerberos), principal: None, rules: Arc::new(rules) };
        let entrance = Entrance { tickets: Some(Arc::new(tickets)), ..self.world.entrance() };
        let links = Links::over_http(
            Arc::clone(&self.world.fleet),
            &Listed::alone(self.world.shared.next_connection()),
        );
        let mut client = self.world.connect_with(Http, links, entrance).await;
        client.fields = format!("Authorization: Negotiate {}\r\n", BASE64.encode(token));
        let call = Writer::message(MessageType::Call, b"CloseSession", 7, |arguments| {
            arguments.structure(1, |_nothing| ());
        });
        client.head(&call).await
    }

    /// For how long another bad token would have its client wait.
    fn next_wait(&self) -> Duration {
        let who = Who::by_ticket(super::world::ADDRESS.into());
        self.world.fleet.brake.lock().note_in_vain(who, clock::now())
    }
}

#[tokio::test]
async fn refused_tickets_slow_their_client_down_until_one_is_good() {
    in_memory(async {
        let judging = Judging::new();
        for _ in 0..10 {
            let answer = judging.answer(b"bad").await;
            assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        }
        assert_eq!(judging.next_wait(), Duration::from_millis(10));
        assert!(judging.answer(b"good").await.starts_with("HTTP/1.1 200"));
        assert_eq!(judging.next_wait(), Duration::ZERO);
    })
    .await;
}

#[tokio::test]
async fn while_too_many_are_judged_others_are_asked_to_come_again_and_nothing_counts_against_them() {
    in_memory(async {
        let judging = Judging::new();
        let (tell, told) = mpsc::channel();
        let (go_on, waits) = mpsc::channel::<()>();
        let waits = Arc::new(Mutex::new(waits));
        let mut waiting = Vec::new();
        loop {
            let (tell, waits) = (tell.clone(), Arc::clone(&waits));
            let mut work = Box::pin(judging.kerberos.accepting(move |_judge| {
                let _begun = tell.send(());
                let _ended = waits.lock().recv();
            }));
            if let Some(refused) = (&mut work).now_or_never() {
                refused.unwrap_err();
                break;
            }
            waiting.push(work);
            if waiting.len() == 2 {
                // Both threads are at it, so that none takes anything out of the queue.
                assert_eq!(told.iter().take(2).count(), 2);
            }
        }
        for _ in 0..20 {
            let answer = judging.answer(b"good").await.to_lowercase();
            assert!(
                answer.starts_with("http/1.1 503") && answer.contains("\r\nretry-after: 1\r\n"),
                "{answer}"
            );
            assert!(!answer.contains("www-authenticate"), "{answer}");
        }
        assert_eq!(judging.next_wait(), Duration::ZERO);
        drop((go_on, waiting));
        // What nobody waits for any more is taken out of the queue.
        while judging.kerberos.accepting(|_judge| ()).await.is_err() {}
        assert!(judging.answer(b"good").await.starts_with("HTTP/1.1 200"));
    })
    .await;
}
