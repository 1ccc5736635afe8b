//! Finds out where an attempt stands: from what is kept on disk, from its pod, and from what was decided about it.
//!
//! Start with [`Shared::observe`]. An end is written down before anybody is told, and then it stays.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use engine::backend::{AttemptRef, BackendError, Ended, Observation};
use k8s_openapi::api::core::v1::Pod;
use model::id::{ApplicationId, AttemptId};
use model::state::ReasonCode;
use model::time::Timestamp;
use spark_kubernetes::labels::Identity;
use spark_kubernetes::names;
use tokio::time::Instant;

use super::cluster::{Failure, is_held};
use super::fence::{Fence, Verdict};
use super::folder::blocking;
use super::judge::{Circumstances, Over, Sight, depends_on_who_stopped, judge, shown};
use super::{Shared, Watched, lock};
use crate::causes::with_causes;

/// How long a pod that is gone is waited for, whose last words the watch may be about to tell.
const LAST_WORDS_MAX: Duration = Duration::from_secs(3);
const LAST_WORDS_PAUSE: Duration = Duration::from_millis(20);
/// The wait before an end is looked at again that couldn't be told.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Shared {
    /// Where the attempt stands now; changes are told from now on.
    pub(super) async fn observe(self: &Arc<Self>, attempt: &AttemptRef) -> Result<Observation, BackendError> {
        // Before looking, so that no change falls between.
        self.watch(attempt);
        let seen = self.look(attempt).await?;
        self.settle_watch(attempt.id, &seen);
        Ok(seen)
    }

    /// Where the attempt stands now.
    pub(super) async fn look(self: &Arc<Self>, attempt: &AttemptRef) -> Result<Observation, BackendError> {
        if let Some(end) = self.end(attempt.id).await? {
            return Ok(end);
        }
        if let Some(pod) = self.pods.fresh(attempt.id).filter(|pod| !is_held(pod)) {
            return self.see(attempt, &pod, false).await;
        }
        match self.find(attempt.id).await? {
            Some(pod) => self.see(attempt, &pod, false).await,
            None => self.see_nothing(attempt).await,
        }
    }

    /// How it ended, if that is written down.
    pub(super) async fn end(&self, attempt: AttemptId) -> Result<Option<Observation>, BackendError> {
        let folder = self.folder(attempt);
        blocking("read how the attempt ended", move || folder.end()).await
    }

    /// The attempt's pod, asked of the API server.
    pub(super) async fn find(&self, attempt: AttemptId) -> Result<Option<Pod>, Failure> {
        let name = names::pod_name(attempt);
        for namespace in self.config.placements.namespaces() {
            let found = self.cluster.pod(namespace, &name).await?;
            if let Some(pod) = found.filter(|pod| self.is_ours(pod)) {
                return Ok(Some(pod));
            }
        }
        Ok(None)
    }

    pub(super) fn is_ours(&self, pod: &Pod) -> bool {
        Identity::of(pod).is_some_and(|identity| identity.instance == self.instance)
    }

    /// Where the attempt stands by its pod, or by its pod's last words.
    pub(super) async fn see(
        self: &Arc<Self>,
        attempt: &AttemptRef,
        pod: &Pod,
        gone: bool,
    ) -> Result<Observation, BackendError> {
        let fence = if depends_on_who_stopped(pod, gone) || is_held(pod) {
            self.fences.read(&self.cluster, attempt.id).await?
        } else {
            None
        };
        let buried = fence.as_ref().is_some_and(|fence| fence.verdict == Verdict::Never);
        let stopped = fence.is_some_and(|fence| fence.stopped);
        match judge(pod, Circumstances { gone, stopped, now: now() }) {
            Sight::Held if buried => {
                self.cluster.delete_pod(pod, None, false).await?;
                Ok(Observation::NeverRan)
            }
            // Its launch isn't complete and must be repeated.
            Sight::Held => Ok(Observation::Absent),
            // It was discarded, and this is its pod going.
            _ if buried && gone => Ok(Observation::NeverRan),
            Sight::Alive(seen) => Ok(seen),
            Sight::Over(over) => self.conclude(attempt.id, Some(attempt.application), pod, over).await,
        }
    }

    /// Where an attempt stands that has no pod.
    pub(super) async fn see_nothing(self: &Arc<Self>, attempt: &AttemptRef) -> Result<Observation, BackendError> {
        let patience = Instant::now() + LAST_WORDS_MAX;
        loop {
            if let Some(end) = self.end(attempt.id).await? {
                return Ok(end);
            }
            let fence = match self.fences.read(&self.cluster, attempt.id).await? {
                None => return Ok(Observation::Absent),
                Some(Fence { verdict: Verdict::Never, .. }) => return Ok(Observation::NeverRan),
                Some(fence) => fence,
            };
            // A pod is there before it is said that it may start, so only looking after that tells that it is gone.
            if let Some(pod) = self.find(attempt.id).await? {
                return Box::pin(self.see(attempt, &pod, false)).await;
            }
            // Somebody else is about to write down how it ended, or that it never started.
            let wait = (fence.stopped || self.pods.get(attempt.id).is_some()) && Instant::now() < patience;
            if !wait {
                return self.lose(attempt, &fence).await;
            }
            tokio::time::sleep(LAST_WORDS_PAUSE).await;
        }
    }

    async fn lose(&self, attempt: &AttemptRef, fence: &Fence) -> Result<Observation, BackendError> {
        let reason = if fence.stopped { ReasonCode::DriverLost } else { ReasonCode::PodDeleted };
        let evidence = format!("pod {} was deleted while nobody watched", names::pod_name(attempt.id));
        let end = Observation::Lost { reason, evidence: Some(evidence) };
        self.write_end(attempt.id, Some(attempt.application), end).await
    }

    /// Writes down how the attempt ended, unless that is done, and tells it.
    async fn conclude(
        &self,
        attempt: AttemptId,
        application: Option<ApplicationId>,
        pod: &Pod,
        over: Over,
    ) -> Result<Observation, BackendError> {
        if let Some(known) = self.end(attempt).await? {
            self.tell(attempt, &known).await;
            return Ok(known);
        }
        let end = match over {
            Over::NeverRan => Observation::NeverRan,
            Over::Lost { reason, evidence } => Observation::Lost { reason, evidence: Some(evidence) },
            Over::Exited { exit, started_at, at, stopped, cause } => {
                let telling = !exit.is_success() && !stopped;
                let evidence = if telling { self.last_error_line(attempt, pod).await } else { None };
                Observation::Exited(Ended { exit, started_at, at, stopped, cause, evidence })
            }
        };
        self.write_end(attempt, application, end).await
    }

    async fn write_end(
        &self,
        attempt: AttemptId,
        application: Option<ApplicationId>,
        end: Observation,
    ) -> Result<Observation, BackendError> {
        let folder = self.folder(attempt);
        let discarded = Arc::clone(&self.discarded);
        let end = blocking("write down how the attempt ended", move || {
            let Some(_undisturbed) = discarded.hold_off(attempt) else { return Ok(Observation::NeverRan) };
            // The first one to write is right for ever.
            if let Some(known) = folder.end()? {
                return Ok(known);
            }
            folder.create(application)?;
            folder.write_end(&end)?;
            Ok(end)
        })
        .await?;
        self.tell(attempt, &end).await;
        Ok(end)
    }

    /// Takes what a watch told.
    pub(super) async fn told(self: &Arc<Self>, pod: &Pod, gone: bool) {
        let Some(identity) = Identity::of(pod).filter(|identity| identity.instance == self.instance) else { return };
        if self.discarded.contains(identity.attempt) {
            return;
        }
        let watched = lock(&self.watched).contains_key(&identity.attempt);
        self.follow_log(identity.attempt, pod);
        if gone || (watched && depends_on_who_stopped(pod, gone)) {
            return self.conclude_aside(&identity, pod.clone(), gone);
        }
        if !watched {
            return;
        }
        match judge(pod, Circumstances { gone, stopped: false, now: now() }) {
            Sight::Held => {}
            Sight::Alive(seen) => self.tell(identity.attempt, &seen).await,
            Sight::Over(_) => self.conclude_aside(&identity, pod.clone(), gone),
        }
    }

    /// Finds out how an attempt ended without holding up the watch.
    fn conclude_aside(self: &Arc<Self>, identity: &Identity, pod: Pod, gone: bool) {
        let shared = Arc::clone(self);
        let Some(application) = identity.application else {
            tracing::warn!(pod = shown(&pod), "this pod doesn't say which application it is of");
            return;
        };
        let attempt = AttemptRef { id: identity.attempt, application, binding: String::new() };
        self.spawn(async move {
            loop {
                match shared.see(&attempt, &pod, gone).await {
                    Ok(seen) => return shared.tell(attempt.id, &seen).await,
                    Err(error) => {
                        let error = with_causes(&error);
                        tracing::warn!(attempt = %attempt.id, error, "can't find out how an attempt ended; trying again");
                        tokio::time::sleep(AGAIN_AFTER).await;
                    }
                }
            }
        });
    }

    /// Tells changes of the attempt from now on.
    pub(super) fn watch(&self, attempt: &AttemptRef) {
        if let Entry::Vacant(entry) = lock(&self.watched).entry(attempt.id) {
            entry.insert(Watched { attempt: attempt.clone(), told: None });
        }
    }

    /// Looks at those that are watched and have no pod, as far as the watches know: one that came and went between
    /// two lists is told by nobody else.
    pub(super) fn look_for_missing(self: &Arc<Self>) {
        let watched: Vec<AttemptRef> = lock(&self.watched).values().map(|watched| watched.attempt.clone()).collect();
        for attempt in watched.into_iter().filter(|attempt| self.pods.get(attempt.id).is_none()) {
            let shared = Arc::clone(self);
            self.spawn(async move {
                if let Ok(seen) = shared.look(&attempt).await {
                    shared.tell(attempt.id, &seen).await;
                }
            });
        }
    }

    /// Ends the watching of what has nothing more to tell.
    pub(super) fn settle_watch(&self, attempt: AttemptId, seen: &Observation) {
        let mut watched = lock(&self.watched);
        match seen {
            Observation::Pending { .. } | Observation::Running { .. } => {
                if let Some(watched) = watched.get_mut(&attempt) {
                    watched.told.get_or_insert_with(|| seen.clone());
                }
            }
            Observation::Absent | Observation::Exited(_) | Observation::NeverRan | Observation::Lost { .. } => {
                watched.remove(&attempt);
            }
        }
    }

    /// Tells a change of a watched attempt, once.
    pub(super) async fn tell(&self, attempt: AttemptId, seen: &Observation) {
        let news = match (lock(&self.watched).entry(attempt), seen) {
            (Entry::Vacant(_), _) | (_, Observation::Absent) => false,
            (Entry::Occupied(watched), _) if watched.get().told.as_ref() == Some(seen) => false,
            (Entry::Occupied(mut watched), Observation::Pending { .. } | Observation::Running { .. }) => {
                let told = watched.get_mut().told.replace(seen.clone());
                // Whoever launched it expects nothing else.
                told.is_some() || *seen != Observation::Pending { waits_for: None }
            }
            (Entry::Occupied(watched), _) => {
                watched.remove();
                true
            }
        };
        if news {
            // Without a receiver there is nobody to tell.
            let _ = self.changes.send((attempt, seen.clone())).await;
        }
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}
