//! A Spark application as Kubernetes objects, and a driver's pod as a state: what `spark-submit` does for
//! `--master k8s://… --deploy-mode cluster`, as pure functions.
//!
//! Nothing here does I/O, reads a clock or draws a random number; everything outside is named after the attempt's id.
//!
//! - [`check`] tells all that is wrong with an application before anything is stored.
//! - [`objects`] makes the driver's pod and what belongs to it, from a [`DriverRequest`].
//! - [`status::read`] says where a driver stands.
//! - [`labels::Identity::of`] says whose pod it is.
//! - [`fence::fence`] makes what keeps a tenant's drivers inside their namespace.
//!
//! # What differs from spark-submit, and why
//!
//! | Here | There | Reason |
//! |---|---|---|
//! | the driver's configuration is in a Secret | in a ConfigMap | every driver of a namespace may read its ConfigMaps |
//! | names derive from the attempt | from name, time and chance | creating twice equals creating once |
//! | dependents are born owned, behind a scheduling gate | created after the pod, owned later | no pod waits for a missing volume, and a crash in between leaves one pod that owns the rest |
//! | contexts fit Pod Security `restricted`, for executors by a pod template | none before Spark 4.3 | drivers run strangers' code |
//! | secret-looking variables are references to the Secret | values in the pod | whoever may list pods reads them |
//! | `$` in arguments stays `$` | `$(NAME)` is replaced by Kubernetes | arguments are the user's |
//! | the network policy covers driver and executors, for every Spark | executors only, from Spark 4.2 | a driver's ports aren't authenticated |

mod conf;
mod driver;
mod environment;
mod executor;
pub mod fence;
mod files;
mod keys;
pub mod labels;
pub mod names;
mod objects;
mod placement;
mod reader;
mod resolve;
mod secure;
mod service;
mod size;
pub mod status;
pub mod version;

use std::fmt;

use model::id::{ApplicationId, AttemptId};
use model::principal::Owner;
use model::spec::ApplicationSpec;

pub use objects::{Dependent, DriverObjects, SCHEDULING_GATE};
pub use placement::{
    EventLog, EventLogClaim, ImagePattern, ImagePullPolicy, Images, InvalidImagePattern, Placement, SPARK_USER_ID,
    SparkImage,
};

/// One attempt to run an application on a cluster.
#[derive(Clone, Copy, Debug)]
pub struct DriverRequest<'a> {
    /// The attempt, from which all names derive.
    pub attempt: &'a AttemptId,
    /// The application it is of.
    pub application: &'a ApplicationId,
    /// The attempt's number, from 1.
    pub number: u32,
    /// Whom the application belongs to.
    pub owner: &'a Owner,
    /// What to run.
    pub spec: &'a ApplicationSpec,
    /// Where, and within which bounds.
    pub placement: &'a Placement,
    /// The gateway's id, which becomes a label.
    pub instance: &'a str,
    /// Whether the pod waits behind [`SCHEDULING_GATE`] until its dependents exist.
    pub gated: bool,
}

/// One thing that is wrong with an application or a placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A field of the specification, or a conf key.
    pub field: String,
    /// What is wrong and what to do, in a sentence without full stop. Never a secret.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Everything that is wrong with `spec` at `placement`, all at once; empty when [`objects`] can be made of it.
pub fn check(spec: &ApplicationSpec, placement: &Placement) -> Vec<Problem> {
    resolve::resolve(spec, placement).err().unwrap_or_default()
}

/// The objects of an attempt.
///
/// # Errors
/// The same problems as [`check`].
pub fn objects(request: &DriverRequest<'_>) -> Result<DriverObjects, Vec<Problem>> {
    let resolved = resolve::resolve(request.spec, request.placement)?;
    Ok(objects::build(request, &resolved))
}
