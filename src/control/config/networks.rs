//! Lists of networks: `["10.0.0.0/8", "192.0.2.1"]`.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Fault, Problems};
use super::value::{Value, bad_value, string, wrong_type};

const EXPECTED: &str = "a network such as \"10.0.0.0/8\" or an IP address";

impl Value for Vec<IpNet> {
    fn kind() -> String {
        "list of networks".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, key: &'static str, problems: &mut Problems) -> Option<Self> {
        let Some(list) = value.get_ref().as_array() else {
            let fault = wrong_type(value.get_ref(), "a list of networks such as [\"10.0.0.0/8\"]");
            problems.add(&value.span(), key, fault);
            return None;
        };
        let mut read = |one: &Spanned<DeValue<'_>>| {
            let network = network(one.get_ref());
            network.map_err(|fault| problems.add(&one.span(), key, fault)).ok()
        };
        // All are read, so that every problem is noted.
        let networks: Vec<_> = list.iter().map(&mut read).collect();
        networks.into_iter().collect()
    }
}

/// A network, or an address, which is a network of its own.
fn network(value: &DeValue<'_>) -> Result<IpNet, Fault> {
    let text = string(value, EXPECTED)?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network: IpNet = text.parse().map_err(|_| bad_value(text, "is not a network", EXPECTED))?;
    if network.trunc() != network {
        let (why, remedy) =
            ("has bits behind its prefix".to_owned(), format!("write \"{}\"", network.trunc()));
        return Err(Fault::BadValue { value: text.to_owned(), why, remedy });
    }
    Ok(network)
}
