//! Who may do what, and what an application may be: pure decisions over typed configuration.
//!
//! Nothing here does I/O or reads a clock, so every decision can be printed, tested and shown in a dry run. Three
//! questions, each with one answer:
//!
//! - **Who asks?** [`Tokens::authenticate`] finds the principal of a bearer token.
//! - **May they?** [`authorise`] for one object, [`scope`] for lists, counts and events. [`access`] holds the table of
//!   roles.
//! - **May it run, and as what?** [`Policy::apply`] takes what was submitted and gives back what runs, with every
//!   change and every refusal, each with its rule.
//!
//! The configuration is read by [`AuthConfig`] and [`PolicyConfig`]; [`Tokens::compile`] and [`Policy::compile`] check
//! it whole and report all problems together.

pub mod access;
mod builtin;
pub mod config;
#[cfg(test)]
mod documentation;
mod location;
mod pattern;
mod rules;
mod token;
mod verdict;

pub use access::{Action, Decision, Object, authorise, scope};
pub use config::{AuthConfig, PolicyConfig, Problem, Step};
pub use rules::{Granted, Place, Policy, Principals, Quota};
pub use token::{TOKEN_BYTES_MIN, TokenHash, Tokens, new_token};
pub use verdict::{Change, ChangeKind, Refusal, Verdict};
