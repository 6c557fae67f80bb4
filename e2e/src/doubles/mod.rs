//! Servers that stand in for real ones, and do what those do on a bad day.

pub mod endpoint;
pub mod relay;
pub mod slow_registry;
