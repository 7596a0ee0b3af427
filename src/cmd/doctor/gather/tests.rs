use std::io;

use super::*;
use crate::cmd::doctor::judge::judge;

/// A world in which `fleet` stands for two hosts, `one` for one whose address has the name `reverse`, and nothing
/// listens anywhere.
fn world(reverse: Option<&'static str>) -> World {
    let resolver = Resolver::Given(Arc::new(|name| match name {
        "fleet" => Ok(["127.0.0.2", "127.0.0.3"].map(|address| address.parse().unwrap()).into()),
        "one" => Ok(vec![IpAddr::from([127, 0, 0, 2])]),
        _ => Err(io::ErrorKind::NotFound.into()),
    }));
    World { resolver, reverse: Arc::new(move |_| Ok(reverse.map(str::to_owned))), allowed: ANSWER_TIME }
}

/// The names of the findings about this host in this world, of which nothing but the name is looked at.
async fn found(host: &str, world: World) -> Vec<&'static str> {
    let config = format!(
        "[[cluster]]\nflavor = \"hive\"\ncoordinators = [{{ host = \"{host}\", hs2 = 1, hs2_http = 0 }}]\n"
    );
    let config = Config::parse("test", &config).unwrap();
    let cluster = config.clusters.first().unwrap();
    let tickets = Tickets { kerberos: None, user: "nobody".into(), allowed: TICKET_TIME };
    let facts = Facts { clusters: vec![self::cluster(cluster, &world, &tickets).await], ..Facts::default() };
    judge(&facts, crate::clock::time_of_day()).iter().map(|one| one.kind.name).collect()
}

#[tokio::test]
async fn a_name_is_judged_by_its_addresses_and_their_names() {
    assert_eq!(found("one", world(Some("ONE."))).await, ["names", "port-unreachable"]);
    assert_eq!(found("one", world(Some("two"))).await, ["reverse-name-differs", "port-unreachable"]);
    assert_eq!(found("one", world(None)).await, ["reverse-name-differs", "port-unreachable"]);
    assert_eq!(found("fleet", world(None)).await, ["name-of-several", "port-unreachable"]);
    assert_eq!(found("nobody", world(None)).await, ["name-unresolved"]);
}

#[tokio::test]
async fn a_reverse_name_that_does_not_come_is_not_waited_for() {
    let (keep, never) = std::sync::mpsc::channel::<()>();
    let never = parking_lot::Mutex::new(never);
    let slow = World {
        reverse: Arc::new(move |_| {
            // Ended by a drop.
            let _told = never.lock().recv();
            Ok(None)
        }),
        allowed: Duration::from_millis(20),
        ..world(None)
    };
    let names = names::of("one", &slow).await;
    assert_eq!(names.addresses.unwrap(), [(IpAddr::from([127, 0, 0, 2]), None)]);
    drop(keep);
}
