//! Calls from one end to the other in memory: clients, a router's connections and coordinators, without
//! sockets or clocks.

mod by_cookie;
mod coordinators;
mod credentials;
mod delegated;
mod http;
mod locating;
mod opens;
mod own_calls;
mod pairs;
mod plans;
mod read_ahead;
mod relocating;
mod tickets;
mod world;
