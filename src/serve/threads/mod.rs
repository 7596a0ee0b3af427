//! Threads and what they share: workers, timers, signals to connections, recycled boxes, budgets of memory.

pub(crate) mod alarm;
pub mod memory;
pub(crate) mod signals;
pub(crate) mod spares;
pub mod workers;
