//! The drivers' pods as the watches told them, and how fresh that is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use model::id::AttemptId;
use spark_kubernetes::labels::Identity;
use tokio::time::Instant;

use super::cluster::place;

/// How long a watch may be silent before what it told is asked again. API servers send bookmarks every minute.
const FRESH_FOR: Duration = Duration::from_secs(90);

/// What the watches know.
pub(super) struct Pods {
    state: Mutex<State>,
}

struct State {
    by_attempt: HashMap<AttemptId, Arc<Pod>>,
    scopes: Vec<Scope>,
}

/// One watch: of one namespace, or of all.
struct Scope {
    namespace: Option<String>,
    heard_at: Option<Instant>,
    /// Why it isn't connected, for people.
    trouble: Option<String>,
}

impl Pods {
    pub(super) fn new(namespaces: &[Option<String>]) -> Self {
        let scope = |namespace: &Option<String>| Scope {
            namespace: namespace.clone(),
            heard_at: None,
            trouble: Some("it wasn't reached yet".to_owned()),
        };
        let scopes = namespaces.iter().map(scope).collect();
        Self { state: Mutex::new(State { by_attempt: HashMap::new(), scopes }) }
    }

    /// Notes a pod as it is.
    pub(super) fn put(&self, attempt: AttemptId, pod: Pod) {
        self.lock().by_attempt.insert(attempt, Arc::new(pod));
    }

    /// Notes that a pod is gone.
    pub(super) fn remove(&self, attempt: AttemptId) {
        self.lock().by_attempt.remove(&attempt);
    }

    /// Takes a whole list of one watch over; those that were known and aren't listed any more.
    pub(super) fn replace(&self, namespace: Option<&str>, listed: Vec<Pod>) -> Vec<(AttemptId, Arc<Pod>)> {
        let listed: HashMap<AttemptId, Arc<Pod>> =
            listed.into_iter().filter_map(|pod| Some((Identity::of(&pod)?.attempt, Arc::new(pod)))).collect();
        let mut state = self.lock();
        let missing = |(attempt, pod): &(&AttemptId, &Arc<Pod>)| {
            namespace.is_none_or(|namespace| place(pod).0 == namespace) && !listed.contains_key(attempt)
        };
        let gone: Vec<_> =
            state.by_attempt.iter().filter(missing).map(|(attempt, pod)| (*attempt, Arc::clone(pod))).collect();
        for (attempt, _) in &gone {
            state.by_attempt.remove(attempt);
        }
        state.by_attempt.extend(listed);
        gone
    }

    /// A pod as it was told last.
    pub(super) fn get(&self, attempt: AttemptId) -> Option<Arc<Pod>> {
        self.lock().by_attempt.get(&attempt).cloned()
    }

    /// A pod as it was told last, if all watches are fresh.
    pub(super) fn fresh(&self, attempt: AttemptId) -> Option<Arc<Pod>> {
        let state = self.lock();
        let fresh = |scope: &Scope| {
            scope.trouble.is_none() && scope.heard_at.is_some_and(|heard_at| heard_at.elapsed() < FRESH_FOR)
        };
        state.by_attempt.get(&attempt).filter(|_| state.scopes.iter().all(fresh)).cloned()
    }

    /// Every pod that is known.
    pub(super) fn all(&self) -> Vec<(AttemptId, Arc<Pod>)> {
        self.lock().by_attempt.iter().map(|(attempt, pod)| (*attempt, Arc::clone(pod))).collect()
    }

    /// Notes that a watch is connected and told something.
    pub(super) fn heard(&self, namespace: Option<&str>) {
        if let Some(scope) = self.lock().scopes.iter_mut().find(|scope| scope.namespace.as_deref() == namespace) {
            scope.heard_at = Some(Instant::now());
            scope.trouble = None;
        }
    }

    /// Notes that a watch isn't connected.
    pub(super) fn lost(&self, namespace: Option<&str>, trouble: String) {
        if let Some(scope) = self.lock().scopes.iter_mut().find(|scope| scope.namespace.as_deref() == namespace) {
            scope.trouble = Some(trouble);
        }
    }

    /// Why a watch isn't connected, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().scopes.iter().find_map(|scope| scope.trouble.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
