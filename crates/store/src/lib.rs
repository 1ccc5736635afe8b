//! Where applications, leases and events are kept: in memory, in SQLite or in PostgreSQL.
//!
//! All three keep the contract of [`engine::store::Store`] and pass `testkit::store_contract`. What a command may
//! do is decided once, in `rules`, so that the stores can't disagree; what is written is decided once, in `record`
//! and `sql`. Start with [`memory::MemoryStore`], which is the contract in its shortest form.

mod error;
pub mod memory;
pub mod postgres;
mod record;
mod rules;
mod schema;
mod sql;
pub mod sqlite;

pub use error::OpenError;
