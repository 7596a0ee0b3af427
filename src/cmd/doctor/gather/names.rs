//! Looks up names and addresses.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{World, unknown};
use crate::cmd::doctor::facts::Names;

/// Gives an address its name. It may block.
pub(in crate::cmd::doctor) type Reverse = dyn Fn(IpAddr) -> io::Result<Option<String>> + Send + Sync;

/// How many addresses of a name are asked for their names.
const MOST_ADDRESSES: usize = 8;

/// A host's name, its addresses, and their names.
pub(super) async fn of(host: &str, world: &World) -> Names {
    let addresses = match timeout(world.allowed, world.resolver.resolve(host)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return unknown(host, error.to_string()),
        Err(_elapsed) => return unknown(host, format!("no answer within {:?}", world.allowed)),
    };
    let mut named = Vec::new();
    for address in addresses.into_iter().take(MOST_ADDRESSES) {
        let reverse = Arc::clone(&world.reverse);
        let looked_up = timeout(world.allowed, spawn_blocking(move || reverse(address))).await;
        let name = looked_up.ok().and_then(Result::ok).and_then(Result::ok).flatten();
        named.push((address, name));
    }
    Names { name: host.to_owned(), addresses: Ok(named) }
}
