//! Tickets of the router's own that are over soon.

use std::process::Command;
use std::time::Duration;
use std::{env, thread};

use hs2router::clock;
use hs2router::net::kerberos::Kerberos;

use crate::support::kdc;
use crate::support::tools::{self, Tool};

/// How long a ticket is good, in seconds. The library renews one when half of that is over, or when it has half a minute
/// left (MIT krb5: `acquire_cred.c` `kg_cred_time_to_refresh`), which comes first here.
const LIFE: u32 = 34;
/// The variable that says that there is one.
const BRIEF: &str = "HS2ROUTER_TEST_BRIEF";

#[test]
fn a_ticket_is_renewed_before_it_expires() {
    if !tools::present(&[Tool::Kdc]) {
        return;
    }
    let kdc = kdc::shared();
    let mut command = Command::new(env::current_exe().unwrap());
    let looks = "kerberos::renewal::looks_at_its_ticket_if_it_is_told_to";
    command.args([looks, "--exact", "--ignored", "--nocapture"]).env(BRIEF, "");
    // As `net/kerberos.rs::environment` has it.
    command.env("KRB5_CONFIG", kdc.config()).env("KRB5_CLIENT_KTNAME", kdc.brief_keytab(LIFE));
    let ran = command.env("KRB5CCNAME", "MEMORY:hs2router").output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
}

#[test]
#[ignore = "another test begins it as a process of its own, with a keytab"]
fn looks_at_its_ticket_if_it_is_told_to() {
    if env::var_os(BRIEF).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kerberos = Kerberos::of_system().unwrap().unwrap();
    let lifetime = || {
        let looked = kerberos.initiating(|provider| provider.lifetime("brief/localhost@TEST"));
        runtime.block_on(looked).unwrap().unwrap()
    };
    let (begin, whole, mut last) = (clock::now(), Duration::from_secs(LIFE.into()), lifetime());
    assert!(last <= whole, "{last:?}");
    // It gets shorter until there is another.
    loop {
        thread::sleep(Duration::from_millis(100));
        let left = lifetime();
        if left > last {
            assert!(last * 2 >= whole && last < whole, "it was renewed when {last:?} were left");
            return;
        }
        assert!(clock::now() - begin < whole, "it has not been renewed");
        last = left;
    }
}
