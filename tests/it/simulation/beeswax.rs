//! A simulated client that speaks Beeswax: its connection is its session, and ends with all that was run on
//! it.

use hs2router::fake::Id;
use hs2router::idl::beeswax::{self as bw, TBeeswaxServiceSyncClient as _};
use hs2router::idl::impala_service::TImpalaServiceSyncClient;
use rand::RngExt as _;

use super::client::{Goes, SimClient};
use super::talk::{Beeswax, NoResult, Talk};

/// The calls of one connection at most.
const CALLS: std::ops::Range<u32> = 5..25;

/// A query that was not closed.
#[derive(Clone)]
struct Query {
    handle: bw::QueryHandle,
    /// Its only cell, or none: then it has numbered rows.
    text: Option<String>,
    fetched: i64,
    rows: i64,
}

impl SimClient {
    /// Connects, calls, leaves.
    pub(super) async fn connect_by_beeswax(&self) {
        let Some(mut talk) = self.come_in::<Beeswax>().await else { return };
        let mut queries = Vec::new();
        for _ in 0..self.draw(|rng| rng.random_range(CALLS)) {
            if self.one_query_thing(&mut talk, &mut queries).await.is_err() {
                return;
            }
            self.pause().await;
        }
        let abruptly = self.draw(|rng| rng.random_bool(0.3));
        talk.leave(abruptly);
    }

    async fn one_query_thing(&self, talk: &mut Talk<Beeswax>, queries: &mut Vec<Query>) -> Goes {
        let count = queries.len();
        let at = self.draw(|rng| rng.random_range(0..count.max(1)));
        match self.draw(|rng| rng.random_range(0..100)) {
            0..30 => self.query(talk, queries).await,
            _ if count == 0 => self.query(talk, queries).await,
            30..60 => self.fetch_query(talk, queries, at).await,
            60..70 => self.query_state(talk, &queries[at]).await,
            70..80 => self.query_profile(talk, &queries[at]).await,
            80..88 => {
                let pinged = talk.call(TImpalaServiceSyncClient::ping_impala_service).await;
                self.judge_thrown("PingImpalaService", pinged).map(drop)
            }
            _ => {
                let query = queries.swap_remove(at);
                let closed = talk.call(|service| service.close(query.handle.clone())).await;
                self.judge_thrown("close", closed).map(drop)
            }
        }
    }

    async fn query(&self, talk: &mut Talk<Beeswax>, queries: &mut Vec<Query>) -> Goes {
        let tag = self.world.journal.tag(self.user.name());
        let rows = self.draw(|rng| if rng.random_bool(0.6) { 1 } else { rng.random_range(2..300) });
        let (statement, text) = match rows {
            1 => (format!("select '{tag}'"), Some(tag)),
            _ => (format!("/* {tag} */ select * from rows({rows})"), None),
        };
        let begun = talk.call(|service| {
            let query = bw::Query::new(statement.clone(), Vec::new(), String::new());
            service.query(query)
        });
        if let Some(handle) = self.judge_thrown("query", begun.await)? {
            queries.push(Query { handle, text, fetched: 0, rows });
        }
        Ok(())
    }

    async fn fetch_query(&self, talk: &mut Talk<Beeswax>, queries: &mut Vec<Query>, at: usize) -> Goes {
        let mut query = queries.swap_remove(at);
        let most = self.draw(|rng| rng.random_range(1..200));
        let fetched = talk.call(|service| service.fetch(query.handle.clone(), false, most)).await;
        // Whether rows were lost with a reply is not known: a hole would be no surprise.
        let Some(results) = self.judge_thrown("fetch", fetched)? else { return Ok(()) };
        for line in results.data.unwrap_or_default() {
            let expected = query.text.clone().unwrap_or_else(|| query.fetched.to_string());
            if line.split('\t').next() != Some(expected.as_str()) {
                self.violation(&format!("line {} is {line:?}, not {expected:?}", query.fetched));
            }
            query.fetched += 1;
        }
        if !results.has_more.unwrap_or(false) && query.fetched != query.rows {
            self.violation(&format!("got {} of {} lines", query.fetched, query.rows));
        }
        queries.push(query);
        Ok(())
    }

    async fn query_state(&self, talk: &mut Talk<Beeswax>, query: &Query) -> Goes {
        let state = talk.call(|service| service.get_state(query.handle.clone())).await;
        self.judge_thrown("get_state", state).map(drop)
    }

    async fn query_profile(&self, talk: &mut Talk<Beeswax>, query: &Query) -> Goes {
        let profile = talk.call(|service| service.get_runtime_profile(query.handle.clone())).await;
        if let Some(profile) = self.judge_thrown("GetRuntimeProfile", profile)? {
            let id = Id::from_text(query.handle.id.as_deref().unwrap_or_default()).to_string();
            if !profile.contains(&id) {
                self.violation("got the profile of another query");
            }
        }
        Ok(())
    }

    /// What came of a call; an error ends the connection, `None` is a call that failed and may.
    fn judge_thrown<T>(&self, method: &str, result: Result<T, NoResult>) -> Result<Option<T>, ()> {
        match result {
            Ok(value) => {
                self.say(&format!("{method}: done"));
                Ok(Some(value))
            }
            Err(NoResult::Thrown(message) | NoResult::Exception(message)) => {
                self.say(&format!("{method}: {}", message.trim()));
                if !self.may_be_refused(&message) {
                    self.violation(&format!("{method}: {}", message.trim()));
                }
                Ok(None)
            }
            Err(no_result) => {
                self.say(&format!("{method}: {no_result}"));
                self.judge_no_result(method, &no_result);
                Err(())
            }
        }
    }
}
