//! The words of the gateway: identifiers, specifications, states and Spark's own notations.
//!
//! Nothing here does I/O or reads a clock; every other crate may depend on this one and it depends on
//! none of them. Start with [`application::Application`] for what is stored, and [`state`] for the one
//! table of states, transitions and reasons.

pub mod application;
pub mod audit;
pub mod duration;
pub mod event;
pub mod id;
pub mod label;
pub mod memory_size;
pub mod principal;
pub mod properties;
pub mod spark_conf;
pub mod spark_submit;
pub mod spec;
pub mod state;
pub mod time;
