//! Worker threads and what they use: timers, signals to connections, and budgets of memory.

pub(crate) mod alarm;
pub mod memory;
pub(crate) mod signals;
pub mod workers;
