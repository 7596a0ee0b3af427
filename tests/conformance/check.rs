//! One assertion, and what a server must be for it to hold.

use crate::target::Target;

/// What kind of server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// Impala, or the simulated coordinator.
    Impala,
    /// Spark's Thrift Server.
    Spark,
    /// Hive's own `HiveServer2`.
    Hive,
}

/// Every flavor.
pub(crate) const ALL: &[Flavor] = &[Flavor::Impala, Flavor::Spark, Flavor::Hive];
/// Impala's own behaviour.
pub(crate) const IMPALA: &[Flavor] = &[Flavor::Impala];
/// Spark's own behaviour.
pub(crate) const SPARK: &[Flavor] = &[Flavor::Spark];
/// Hive's own behaviour.
pub(crate) const HIVE: &[Flavor] = &[Flavor::Hive];
/// What Spark has from Hive's service code, and Hive still has.
pub(crate) const SERVICE: &[Flavor] = &[Flavor::Spark, Flavor::Hive];

/// What a check needs besides the flavor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// A Beeswax port.
    Beeswax,
    /// A port with SASL.
    Sasl,
    /// A port with neither SASL nor HTTP.
    NoSasl,
    /// A port with HTTP.
    Http,
    /// A port without HTTP.
    Binary,
    /// A user who says a name.
    Login,
    /// Calls that may be sent before the last one is answered.
    Pipelines,
    /// Passwords that are checked.
    Passwords,
    /// A second user who can log in.
    SecondUser,
    /// The simulated coordinator's own statements.
    Simulated,
    /// The server itself, with no router between.
    Direct,
    /// A router between.
    Routed,
    /// A server that the tests started for themselves.
    Started,
}

/// One named assertion.
pub(crate) struct Check {
    /// A sentence with underscores.
    pub(crate) name: &'static str,
    /// Where the behaviour is known from: a file and function of Impala or Hive, or a measurement.
    pub(crate) source: &'static str,
    /// The flavors that behave so.
    pub(crate) flavors: &'static [Flavor],
    /// What else must be there.
    pub(crate) needs: &'static [Need],
    /// Panics when it does not hold.
    pub(crate) run: fn(&Target),
}

/// Lists checks: `flavors, [needs], "source" => function;`.
macro_rules! checks {
    ($($flavors:ident, [$($need:ident),*], $source:literal => $run:ident;)+) => {
        pub(super) const CHECKS: &[$crate::check::Check] = &[$($crate::check::Check {
            name: stringify!($run),
            source: $source,
            flavors: $crate::check::$flavors,
            needs: &[$($crate::check::Need::$need),*],
            run: $run,
        }),+];
    };
}
pub(crate) use checks;
