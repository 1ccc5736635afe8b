//! What this crate promises, checked from outside. `support` has the applications that the others build.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "statuses are written where they are checked")]

mod against_spark_submit;
mod fence;
mod identity;
mod laws;
mod manifests;
mod refusals;
mod sizes;
mod status;
mod support;
