//! The wire types of `/api/v1`, and the OpenAPI document made from them.
//!
//! Domain types carry no wire format; these twins do, so that what is promised to clients changes only here.
//! Start with [`create::NewApplication::parse`] for what a client sends, [`application::Application`] for what it
//! gets, [`problem::Problem`] for what it is told when something is wrong, and [`openapi()`] for all of it at once.

pub mod application;
pub mod audit;
pub mod backend;
pub mod create;
pub mod cursor;
pub mod dry_run;
pub mod event;
pub mod log;
mod openapi;
pub mod page;
pub mod problem;
mod redaction;
mod value;
pub mod version;

pub use application::Application;
pub use audit::AuditRecord;
pub use create::{ApplicationCreate, NewApplication};
pub use dry_run::DryRun;
pub use event::Event;
pub use log::{LogEntry, LogPage};
pub use openapi::openapi;
pub use page::Page;
pub use problem::{FieldProblem, Problem, ProblemCode};
pub use version::Version;
