//! The batch contract of Apache Livy's REST API, as pure functions.
//!
//! Clients written for Livy depend on more than its documentation says: the order of fields, the wording
//! of errors, what a negative page size means. All of that is kept here, measured against a recorded
//! Livy 0.9.0 (see `tests/wire/README.md`), so that nothing else in the gateway needs to know it. There
//! is no I/O, no clock and no HTTP server: the gateway's router hands in bytes and text and gets values back.
//!
//! Where to start: [`create::parse`] and [`create::validate`] for `POST /batches`, [`view`] and
//! [`to_json`] for what is answered, [`Rejection`] for everything that is refused, [`http`] for what
//! surrounds the bodies. What differs from Livy on purpose is listed in `tests/wire/differences.json`.

pub mod create;
pub mod http;
pub mod id;
pub mod log;
pub mod page;
pub mod query;
pub mod state;
pub mod view;

mod java_int;
mod java_uri;
mod json_reader;
mod json_writer;
mod rejection;

pub use json_writer::to_json;
pub use rejection::{Body, Rejection};
