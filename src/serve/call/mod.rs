//! One call: decide where it goes, open, forward, locate, move, refuse.

pub(crate) mod attached;
pub(crate) mod braking;
pub(crate) mod conn;
pub(crate) mod counting;
pub(crate) mod delegation;
pub(crate) mod early_answer;
pub(crate) mod exchange;
pub(crate) mod expired;
pub(crate) mod forward;
pub(crate) mod incoming;
pub(crate) mod keepalive;
pub(crate) mod leaving;
pub(crate) mod leftovers;
pub(crate) mod links;
pub(crate) mod locate;
pub(crate) mod moving;
mod negotiate;
pub(crate) mod open;
pub(crate) mod open_beeswax;
pub(crate) mod open_on;
pub(crate) mod outcome;
pub(crate) mod own_cookie;
mod paused;
pub(crate) mod refuse;
pub(crate) mod restarted;
pub(crate) mod serve;
mod tried;
