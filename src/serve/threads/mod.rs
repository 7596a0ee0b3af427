//! Worker threads and what they use: timers, signals to connections, recycled boxes, and budgets of memory.

pub(crate) mod alarm;
pub mod memory;
pub(crate) mod signals;
pub(crate) mod spares;
pub mod workers;
