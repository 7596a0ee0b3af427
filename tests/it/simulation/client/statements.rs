//! What a client does with statements: runs them, looks at their results, cancels and closes them.

use hs2router::fake::client::texts;
use hs2router::idl::impala_service::{self as impala, TImpalaHiveServer2ServiceSyncClient as _};
use hs2router::idl::t_c_l_i_service::{self as cli, TTCLIServiceSyncClient as _};
use rand::RngExt as _;

use super::super::talk::{Hs2, NoResult, Talk};
use super::{AT_ONCE, DATABASES, Database, Goes, Operation, SimClient};

impl SimClient {
    pub(super) async fn execute(&self, talk: &mut Talk<Hs2>) -> Goes {
        let Some(session) = self.some_session() else { return self.open(talk).await };
        let tag = self.world.journal.tag(self.user.name());
        let rows = self.draw(|rng| if rng.random_bool(0.6) { 1 } else { rng.random_range(2..400) });
        let (delay, changes) = self.draw(|rng| (rng.random_bool(0.2), rng.random_bool(0.1)));
        let (statement, text) = match (rows, delay) {
            (1, _) if changes => {
                (format!("create table t /* {tag} */"), Some("Table has been created.".to_owned()))
            }
            (1, true) => (format!("/* {tag} */ select sleep(700)"), Some("true".to_owned())),
            (1, false) => (format!("select '{tag}'"), Some(tag)),
            _ => (format!("/* {tag} */ select * from rows({rows})"), None),
        };
        if let Some(handle) = self.start(talk, &session, &statement).await? {
            self.give_back(Operation { handle, session, text, fetched: 0, rows });
        }
        Ok(())
    }

    /// Has a statement executed.
    pub(super) async fn start(
        &self,
        talk: &mut Talk<Hs2>,
        session: &cli::TSessionHandle,
        statement: &str,
    ) -> Result<Option<cli::TOperationHandle>, ()> {
        let started = talk.call(|service| {
            let request =
                cli::TExecuteStatementReq::new(session.clone(), statement.to_owned(), None, true, None);
            service.execute_statement(request)
        });
        let started = started.await.map(|reply| (reply.status, reply.operation_handle));
        let Some(handle) = self.judge("ExecuteStatement", started, Some(session))? else { return Ok(None) };
        if handle.is_none() {
            self.violation("a statement began without a handle");
        }
        Ok(handle)
    }

    /// Changes what a session is made of, which goes with it when it moves.
    pub(super) async fn use_database(&self, talk: &mut Talk<Hs2>) -> Goes {
        let Some(session) = self.some_session() else { return self.open(talk).await };
        let tag = self.world.journal.tag(self.user.name());
        let name = DATABASES[self.draw(|rng| rng.random_range(0..DATABASES.len()))];
        let change = self.with_database(&session, |database| {
            let Database { changes, under_way, .. } = *database;
            *database = Database { name: None, changes: changes + 1, under_way: under_way + 1 };
            (database.changes, under_way == 0)
        });
        let used = self.start(talk, &session, &format!("/* {tag} */ use {name}")).await?;
        let Some(handle) = used else { return Ok(()) };
        self.with_database(&session, |database| {
            database.under_way -= 1;
            // Of two at the same time nobody knows which was the last.
            if change == Some((database.changes, true)) {
                database.name = Some(name);
            }
        });
        let closed =
            talk.call(|service| service.close_operation(cli::TCloseOperationReq::new(handle.clone())));
        let closed = closed.await.map(|closed| (closed.status, ()));
        self.judge("CloseOperation", closed, Some(&session)).map(drop)
    }

    /// Asks what a session is made of.
    pub(super) async fn ask_database(&self, talk: &mut Talk<Hs2>) -> Goes {
        let Some(session) = self.some_session() else { return self.open(talk).await };
        let tag = self.world.journal.tag(self.user.name());
        let before = self.with_database(&session, |database| *database);
        let asked = self.start(talk, &session, &format!("/* {tag} */ select current_database()")).await?;
        let Some(handle) = asked else { return Ok(()) };
        let known = before.filter(|_| self.with_database(&session, |database| *database) == before);
        // An answer that says what is not known is not looked at.
        if let Some(name) = known.and_then(|database| database.name) {
            let text = Some(name.to_owned());
            self.give_back(Operation { handle, session, text, fetched: 0, rows: 1 });
        } else {
            let closed =
                talk.call(|service| service.close_operation(cli::TCloseOperationReq::new(handle.clone())));
            let closed = closed.await.map(|closed| (closed.status, ()));
            self.judge("CloseOperation", closed, Some(&session))?;
        }
        Ok(())
    }

    pub(super) fn with_database<T>(
        &self,
        session: &cli::TSessionHandle,
        act: impl FnOnce(&mut Database) -> T,
    ) -> Option<T> {
        let mut sessions = self.user.sessions.borrow_mut();
        sessions.iter_mut().find(|known| known.handle == *session).map(|known| act(&mut known.database))
    }

    /// Fetches from several operations without waiting for one reply before the next call.
    pub(super) async fn fetch_at_once(&self, talk: &mut Talk<Hs2>) -> Goes {
        let operations: Vec<_> = (0..AT_ONCE).map_while(|_| self.take_operation()).collect();
        let asks: Vec<_> = operations
            .iter()
            .map(|operation| {
                let handle = &operation.handle;
                move |service: &mut Hs2| {
                    let orientation = cli::TFetchOrientation::FETCH_NEXT;
                    service.fetch_results(cli::TFetchResultsReq::new(handle.clone(), orientation, 50, None))
                }
            })
            .collect();
        let results = talk.call_all(&asks).await;
        drop(asks);
        for (operation, fetched) in operations.into_iter().zip(results) {
            self.take_rows(operation, fetched)?;
        }
        Ok(())
    }

    pub(super) async fn fetch(&self, talk: &mut Talk<Hs2>) -> Goes {
        let Some(operation) = self.take_operation() else { return self.execute(talk).await };
        let most = self.draw(|rng| rng.random_range(1..200));
        let orientation = cli::TFetchOrientation::FETCH_NEXT;
        let fetched = talk.call(|service| {
            let request = cli::TFetchResultsReq::new(operation.handle.clone(), orientation, most, None);
            service.fetch_results(request)
        });
        let fetched = fetched.await;
        self.take_rows(operation, fetched)
    }

    /// Whether the rows that came are the right ones.
    pub(super) fn take_rows(
        &self,
        mut operation: Operation,
        fetched: Result<cli::TFetchResultsResp, NoResult>,
    ) -> Goes {
        let fetched =
            fetched.map(|reply| (reply.status, (reply.results, reply.has_more_rows.unwrap_or(false))));
        let Some((set, more)) = self.judge("FetchResults", fetched, Some(&operation.session))? else {
            // Whether rows were lost with the reply is not known: a hole would be no surprise.
            return Ok(());
        };
        for row in set.iter().flat_map(texts) {
            let expected = operation.text.clone().unwrap_or_else(|| operation.fetched.to_string());
            if row.first() != Some(&expected) {
                self.violation(&format!("row {} is {row:?}, not {expected:?}", operation.fetched));
            }
            operation.fetched += 1;
        }
        if set.is_some() && !more && operation.fetched != operation.rows {
            self.violation(&format!("got {} of {} rows", operation.fetched, operation.rows));
        }
        self.give_back(operation);
        Ok(())
    }

    pub(super) async fn poll(&self, talk: &mut Talk<Hs2>) -> Goes {
        let Some(operation) = self.take_operation() else { return self.ask_session(talk).await };
        let polled = talk.call(|service| {
            service.get_operation_status(cli::TGetOperationStatusReq::new(operation.handle.clone(), None))
        });
        let polled = polled.await.map(|reply| (reply.status, ()));
        let goes = self.judge("GetOperationStatus", polled, Some(&operation.session)).map(drop);
        self.give_back(operation);
        goes
    }

    pub(super) async fn close_operation(&self, talk: &mut Talk<Hs2>) -> Goes {
        let Some(operation) = self.take_operation() else { return self.ask_session(talk).await };
        let impalas = self.draw(|rng| rng.random_bool(0.5));
        let closed = talk.call(|service| {
            let handle = operation.handle.clone();
            if impalas {
                let closed = service.close_impala_operation(impala::TCloseImpalaOperationReq::new(handle))?;
                Ok(closed.status)
            } else {
                Ok(service.close_operation(cli::TCloseOperationReq::new(handle))?.status)
            }
        });
        let closed = closed.await.map(|status| (status, ()));
        let closed = self.judge("CloseOperation", closed, Some(&operation.session))?;
        if closed.is_some() && self.draw(|rng| rng.random_bool(0.5)) {
            let profile = talk.call(|service| {
                let handle = Some(operation.handle.clone());
                let session = operation.session.clone();
                service.get_runtime_profile(impala::TGetRuntimeProfileReq::new(handle, session, None, None))
            });
            let profile = profile.await.map(|reply| (reply.status, reply.profile));
            if let Some(profile) = self.judge("GetRuntimeProfile", profile, Some(&operation.session))? {
                let id = hs2router::fake::Id(operation.handle.operation_id.guid.clone().try_into().unwrap());
                if !profile.unwrap_or_default().contains(&id.to_string()) {
                    self.violation("got the profile of another query");
                }
            }
        }
        Ok(())
    }

    pub(super) async fn cancel(&self, talk: &mut Talk<Hs2>) -> Goes {
        let Some(operation) = self.take_operation() else { return Ok(()) };
        let cancelled = talk.call(|service| {
            service.cancel_operation(cli::TCancelOperationReq::new(operation.handle.clone()))
        });
        let cancelled = cancelled.await.map(|reply| (reply.status, ()));
        self.judge("CancelOperation", cancelled, Some(&operation.session)).map(drop)
    }
}
