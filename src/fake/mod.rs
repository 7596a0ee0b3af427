//! Simulated coordinators.
