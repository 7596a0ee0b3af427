//! Defaults that depend on the flavor, in words for the reference.

use std::fmt::Display;

use super::words::Words as _;
use crate::cluster::Flavor;
use crate::ids::Service;

/// The value for each flavor: `impala 64, hive and spark 500`.
fn of_flavors<T: Display + PartialEq>(of: impl Fn(Flavor) -> Option<T>) -> String {
    let mut values: Vec<(Option<T>, Vec<&str>)> = Vec::new();
    for flavor in Flavor::ALL {
        let value = of(*flavor);
        match values.iter_mut().find(|(known, _)| *known == value) {
            Some((_, flavors)) => flavors.push(flavor.word()),
            None => values.push((value, vec![flavor.word()])),
        }
    }
    let shown = |(value, flavors): &(Option<T>, Vec<&str>)| {
        let flavors = flavors.join(" and ");
        value.as_ref().map_or_else(|| format!("{flavors} 0"), |value| format!("{flavors} {value}"))
    };
    values.iter().map(shown).collect::<Vec<_>>().join(", ")
}

pub(super) fn hs2() -> String {
    of_flavors(|flavor| flavor.default_ports().hs2)
}

pub(super) fn beeswax() -> String {
    of_flavors(|flavor| flavor.default_ports().beeswax)
}

pub(super) fn hs2_http() -> String {
    of_flavors(|flavor| flavor.default_ports().hs2_http)
}

pub(super) fn web() -> String {
    of_flavors(|flavor| flavor.default_ports().web)
}

pub(super) fn service_threads() -> String {
    of_flavors(|flavor| Some(flavor.default_service_threads()))
}

/// What a listener is for, by its port.
pub(super) fn service() -> String {
    let ports = |flavor: Flavor| {
        let ports =
            Service::ALL.into_iter().filter_map(|service| Some((service, flavor.usual_port(service)?)));
        Some(ports.map(|(service, port)| format!("{port} {service}")).collect::<Vec<_>>().join(" and "))
    };
    let first = Service::BY_USE.map(Service::as_str).join(", ");
    format!(
        "the one that usually has this port ({}), else the first of {first} that the cluster has",
        of_flavors(ports)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flavors_of_one_value_are_named_together() {
        assert_eq!(service_threads(), "impala 64, hive and spark 500");
        assert_eq!(web(), "impala 25000, hive and spark 0");
    }
}
