//! The HTTP server: every door to the engine, behind one set of guards.
//!
//! Start with [`routes`]: the one table of methods, paths, actions and handlers, from which the router is built.
//! A request passes, from the outside in: [`connection`] (limits of the connection), [`envelope`] (request id,
//! span, error bodies), [`guard`] (hosts, origins, who asks), the router, then per route the permission to do the
//! route's action and a limit of time. [`v1`] and [`livy_door`] speak the wire formats; neither knows the other.

pub(crate) mod access;
mod admission;
mod asker;
mod body;
mod closing;
mod connection;
mod envelope;
mod failure;
mod guard;
mod hosts;
mod livy_door;
mod meta;
mod metrics;
mod preflight;
mod query;
mod routes;
mod tls;
mod v1;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::backends::log::LogSource;
use engine::runtime::Engine;
use model::id::{BackendKind, BackendName};
use policy::Policy;
use tokio::sync::Semaphore;

pub(crate) use access::{Access, BearerTokens, SinglePrincipal};
pub(crate) use asker::Flood;
pub(crate) use closing::Closing;
pub(crate) use connection::{ConnectionLimits, Listener, serve};
pub(crate) use hosts::Hosts;
pub(crate) use metrics::{Measured, Metrics};
pub(crate) use preflight::Preflight;
pub(crate) use routes::router;
pub(crate) use tls::Tls;

/// What every request handler can reach.
pub(crate) struct App {
    /// The use cases.
    pub(crate) engine: Arc<Engine>,
    /// Where the logs of each backend's attempts are read; a backend without an entry keeps none.
    pub(crate) logs: BTreeMap<BackendName, Arc<dyn LogSource>>,
    /// What a submitter should hear about a specification before it is accepted. Livy's doors don't ask, as Livy
    /// doesn't.
    pub(crate) preflight: Preflight,
    /// Who asks, and what they may do.
    pub(crate) access: Arc<dyn Access>,
    /// What applications may be.
    pub(crate) policy: Policy,
    /// Of what kind each backend is.
    pub(crate) kinds: BTreeMap<BackendName, BackendKind>,
    /// Bounds the record of requests of nobody known.
    pub(crate) flood: Flood,
    /// Which hosts it answers for.
    pub(crate) hosts: Hosts,
    /// Limits of single requests.
    pub(crate) limits: RequestLimits,
    /// How the Livy doors behave.
    pub(crate) livy: LivySettings,
    /// The gateway's figures.
    pub(crate) metrics: Arc<Metrics>,
    /// Places of streams: of events, and of logs that are followed.
    pub(crate) streams: Arc<Semaphore>,
    /// Tells streams to end.
    pub(crate) closing: Closing,
}

/// Shared by all handlers.
pub(crate) type AppState = Arc<App>;

/// Limits of single requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestLimits {
    /// Bytes of a request body, as sent and decompressed.
    pub(crate) body_bytes_max: usize,
    /// Longest time for a body to arrive.
    pub(crate) body_timeout: Duration,
    /// Longest time to an answer; streams have begun theirs by then.
    pub(crate) answer_timeout: Duration,
    /// Longest time a DELETE waits for the application to end and go.
    pub(crate) delete_timeout: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 4 << 20,
            body_timeout: Duration::from_secs(20),
            answer_timeout: Duration::from_secs(60),
            delete_timeout: Duration::from_secs(120),
        }
    }
}

/// How the Livy doors behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LivySettings {
    /// What may be run; it holds for every door.
    pub(crate) rules: livy::create::Rules,
    /// Lines of a log that clients can page through.
    pub(crate) log_lines: usize,
}

impl Default for LivySettings {
    fn default() -> Self {
        Self { rules: livy::create::Rules::default(), log_lines: livy::log::CACHED_LINES }
    }
}
