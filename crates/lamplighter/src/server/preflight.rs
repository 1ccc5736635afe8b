//! What a submitter should hear about a specification before it is accepted, beyond what makes it impossible: missing
//! files, sizes that Spark can't read.
//!
//! Looking for files can hang, on a network's file system for instance. So few look at once, and nobody waits long:
//! what hangs holds a few threads and no more.

use std::sync::Arc;
use std::time::Duration;

use api::ProblemCode;
use engine::backend::Problem;
use http::{HeaderValue, header};
use model::id::BackendName;
use model::spec::ApplicationSpec;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::failure::Failure;

/// Specifications looked at, at once.
const LOOKS_MAX: usize = 8;
/// Longest time to the result, waiting for a turn included.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks at a specification that shall run on a backend (the default one when absent).
type Look = dyn Fn(Option<&BackendName>, &ApplicationSpec) -> Vec<Problem> + Send + Sync;

/// The looks, with their limits.
pub(crate) struct Preflight {
    look: Arc<Look>,
    turns: Arc<Semaphore>,
    patience: Duration,
}

impl Preflight {
    /// Looks with `look`, which may block.
    pub(crate) fn new(
        look: impl Fn(Option<&BackendName>, &ApplicationSpec) -> Vec<Problem> + Send + Sync + 'static,
    ) -> Self {
        Self { look: Arc::new(look), turns: Arc::new(Semaphore::new(LOOKS_MAX)), patience: PATIENCE }
    }

    /// Looks, and gives the specification back with what the submitter should hear about it.
    ///
    /// # Errors
    /// 503 when looking takes too long.
    pub(super) async fn look(
        &self,
        backend: Option<BackendName>,
        spec: ApplicationSpec,
    ) -> Result<(ApplicationSpec, Vec<Problem>), Failure> {
        let deadline = Instant::now() + self.patience;
        let turn = timeout_at(deadline, Arc::clone(&self.turns).acquire_owned()).await.map_err(|_| too_slow())?;
        let look = Arc::clone(&self.look);
        let looking = tokio::task::spawn_blocking(move || {
            let problems = look(backend.as_ref(), &spec);
            // A look that nobody waits for any more still has its turn.
            drop(turn);
            (spec, problems)
        });
        let looked = timeout_at(deadline, looking).await.map_err(|_| too_slow())?;
        looked.map_err(|_| Failure::new(ProblemCode::Internal))
    }
}

fn too_slow() -> Failure {
    Failure::new(ProblemCode::Unavailable)
        .detail("looking for the application's files takes too long; is their file system in order?")
        .header(header::RETRY_AFTER, HeaderValue::from_static("5"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::sync::mpsc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn looks_that_hang_hold_a_few_threads_only() {
        let (release, hang) = mpsc::channel::<()>();
        let hang = std::sync::Mutex::new(hang);
        let preflight = Preflight {
            patience: Duration::from_millis(50),
            ..Preflight::new(move |_, _| {
                // Until the sender is dropped.
                let _ = hang.lock().unwrap().recv();
                Vec::new()
            })
        };
        let spec = api::NewApplication::parse(br#"{"resource": "/x.py"}"#).unwrap().spec;
        for _ in 0..LOOKS_MAX + 2 {
            let failure = preflight.look(None, spec.clone()).await.unwrap_err();
            assert_eq!(failure.code, ProblemCode::Unavailable);
        }
        assert_eq!(preflight.turns.available_permits(), 0);
        drop(release);
        drop(preflight.turns.acquire_many(u32::try_from(LOOKS_MAX).unwrap()).await.unwrap());
        assert_eq!(preflight.look(None, spec.clone()).await.unwrap(), (spec, Vec::new()));
    }
}
