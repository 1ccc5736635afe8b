//! The engine: accepts applications and brings each to its end, exactly once.
//!
//! Decisions are pure. [`step::next_step`] looks at one application and says what to do next, as plain data;
//! [`reconciler::Reconciler`] does the same for a whole shard: inputs in, effects out, no I/O, no clock. It runs
//! under the deterministic simulation of `testkit` as it is, and [`runtime::Engine`] drives it in the real world.
//! The traits [`store::Store`] and [`backend::Backend`] are declared here and implemented elsewhere.

pub mod backend;
pub mod events;
pub mod perform;
pub mod reconciler;
pub mod runtime;
pub mod step;
pub mod store;
