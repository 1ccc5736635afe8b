//! The command line against a running gateway: what is printed where, and with which code commands end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod configuring;
mod cut;
mod examples;
mod fence;
mod gateway;
mod listing;
mod submitting;
