//! impala-shell 4.3, of 2023, gets from three coordinators what it gets from one: over HTTP it opens a connection
//! for each call, keeps no cookie but `impala.auth`, and its library of Thrift is another.

use super::on_impala::{SHELL, through_and_direct, users};
use crate::support::clients::{self, Dialect, Login, Shell, Target};
use crate::support::fleet::{Door, Fleet, Plan};
use crate::support::tools::{self, Tool};

/// What it speaks, and by which door.
const WAYS: [(Door, Dialect); 4] = [
    (Door::Http, Dialect::Hs2(Login::NoSasl)),
    (Door::Http, Dialect::Hs2(Login::Plain)),
    (Door::Hs2, Dialect::Hs2(Login::Plain)),
    (Door::Beeswax, Dialect::Beeswax(Login::Plain)),
];

fn fleet(login: Login) -> Fleet {
    Fleet::with(Plan { http: true, users: users(login), ..Plan::default() })
}

fn by(door: Door, target: &Target) -> Target {
    Target { over_http: door == Door::Http, ..target.clone() }
}

#[test]
fn an_old_impala_shell_gets_the_same_from_three_coordinators_as_from_one() {
    if !tools::present(&[Tool::OldShell]) {
        return;
    }
    for (door, dialect) in WAYS {
        let (Dialect::Hs2(login) | Dialect::Beeswax(login) | Dialect::StrictHs2(login)) = dialect;
        let fleet = fleet(login);
        let run = |target: &Target| clients::run_impala_shell(Shell::Old, &by(door, target), dialect, SHELL);
        let text = through_and_direct(&fleet, door, run).rows().join("\n");
        for expected in ["1\tx\tNULL", "Query (id=", "Sql Statement: select 7", "functional"] {
            assert!(text.contains(expected), "{door:?}, {dialect:?}: no {expected:?} in {text}");
        }
    }
}

#[test]
fn ctrl_c_in_an_old_impala_shell_reaches_the_owner_of_the_statement() {
    if !tools::present(&[Tool::OldShell, Tool::Python]) {
        return;
    }
    for (door, dialect) in WAYS {
        let (Dialect::Hs2(login) | Dialect::Beeswax(login) | Dialect::StrictHs2(login)) = dialect;
        let fleet = fleet(login);
        let target = by(door, &fleet.target(door));
        let statements = ["select sleep(600000)", "select 'still here'"];
        let shown = clients::interrupt_impala_shell(Shell::Old, &target, dialect, statements);
        assert!(shown.lasted < 30.0, "{door:?}: the statement was not cancelled: {shown:?}");
        assert!(shown.short.iter().any(|line| line.contains("still here")), "{shown:?}");
        let (cancels, begun) = if door == Door::Beeswax {
            (fleet.calls("Cancel"), fleet.calls("query"))
        } else {
            (fleet.calls("CancelOperation"), fleet.calls("ExecuteStatement"))
        };
        assert!(!cancels.is_empty(), "{door:?}: nobody was asked to cancel");
        for (place, call) in &cancels {
            let (home, _) = begun.iter().find(|(_, begun)| begun.operation == call.operation).unwrap();
            assert_eq!(place, home, "{door:?}: the cancel came to the wrong coordinator");
        }
    }
}
