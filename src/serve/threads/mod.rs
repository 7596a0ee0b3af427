//! Threads and what they share: workers, timers, signals to connections, recycled boxes, budgets of memory.

pub(in crate::serve) mod alarm;
pub mod memory;
pub(in crate::serve) mod signals;
pub(in crate::serve) mod spares;
pub mod workers;
