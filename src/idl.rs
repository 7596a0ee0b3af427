//! The Thrift compiler's types for `HiveServer2`, Beeswax and Impala's additions (`idl/README.md`).
//!
//! For trusted peers only: the generated readers allocate what a length on the wire says. The data path never
//! uses them.

// The generated code is not ours to style: no formatting, no lints, no documentation of its items.
#[rustfmt::skip]
#[path = "../idl/gen/beeswax.rs"]
#[allow(warnings, clippy::all, clippy::pedantic, clippy::restriction, missing_docs)]
pub mod beeswax;

#[rustfmt::skip]
#[path = "../idl/gen/impala_service.rs"]
#[allow(warnings, clippy::all, clippy::pedantic, clippy::restriction, missing_docs)]
pub mod impala_service;

#[rustfmt::skip]
#[path = "../idl/gen/t_c_l_i_service.rs"]
#[allow(warnings, clippy::all, clippy::pedantic, clippy::restriction, missing_docs)]
pub mod t_c_l_i_service;
