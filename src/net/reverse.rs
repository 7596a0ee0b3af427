//! The names of addresses, as this machine's resolver has them.

use std::io;
use std::net::IpAddr;

/// The name of an address; `None` if it has none. It blocks, for as long as the resolver takes.
///
/// # Errors
/// When the resolver fails.
pub fn name_of(address: IpAddr) -> io::Result<Option<String>> {
    let name = dns_lookup::lookup_addr(&address)?;
    // Without a name the resolver prints the address.
    let is_address = name.split('%').next().is_some_and(|text| text.parse::<IpAddr>().is_ok());
    Ok((!is_address).then_some(name))
}
