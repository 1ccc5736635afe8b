//! What tests share: contract suites for the engine's traits, the deterministic simulation, and starters for real servers.

pub mod backend_contract;
pub mod chance;
pub mod environment;
pub mod fake_kubernetes;
pub mod fake_spark;
pub mod gateway;
pub mod kill;
pub mod kubernetes_contract;
pub mod postgres;
pub mod simulation;
pub mod store_contract;
