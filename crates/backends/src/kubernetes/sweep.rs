//! Removes what nobody needs any more: pods that ended long ago, pods of launches that were overtaken by a stop, and
//! day-old decisions about attempts whose pods are gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use model::id::AttemptId;
use spark_kubernetes::status::{self, PodState};

use super::Shared;
use super::cluster::{Failure, is_held};
use super::fence::Verdict;
use super::folder::blocking;
use super::look::now;
use crate::causes::with_causes;

/// How often pods are looked over.
const PODS_EVERY: Duration = Duration::from_secs(60);
/// Fences are looked over once in so many rounds.
const FENCES_EVERY: u32 = 60;
/// How old a fence is that goes: longer than any launch can be on its way.
const FENCE_AGE: Duration = Duration::from_secs(25 * 60 * 60);
/// How long a launch takes at most between its pod and its fence.
const HELD_AGE: Duration = Duration::from_secs(120);
/// The pause between two removals, so that a long sweep leaves room for others.
const PACE: Duration = Duration::from_millis(20);

/// Sweeps now and then until it is aborted.
pub(super) async fn sweep(shared: Arc<Shared>) {
    let mut round = 0_u32;
    loop {
        tokio::time::sleep(PODS_EVERY).await;
        round = round.wrapping_add(1);
        let mut swept = shared.sweep_pods().await;
        if swept.is_ok() && round.is_multiple_of(FENCES_EVERY) {
            swept = shared.sweep_fences(FENCE_AGE).await;
        }
        if let Err(failure) = swept {
            let error = with_causes(&failure);
            tracing::debug!(backend = %shared.config.name, error, "removing what nobody needs goes on later");
        }
    }
}

impl Shared {
    /// Removes pods that are needed no more.
    pub(super) async fn sweep_pods(&self) -> Result<(), Failure> {
        for (attempt, pod) in self.pods.all() {
            let needless =
                if is_held(&pod) { self.is_overtaken(attempt, &pod).await? } else { self.is_kept(attempt, &pod).await };
            if needless {
                self.cluster.delete_pod(&pod, None, is_held(&pod)).await?;
                tokio::time::sleep(PACE).await;
            }
        }
        Ok(())
    }

    /// Removes decisions older than `age` about attempts that have no pod.
    pub(super) async fn sweep_fences(&self, age: Duration) -> Result<(), Failure> {
        let before = jiff::Timestamp::now() - jiff::SignedDuration::try_from(age).unwrap_or_default();
        let old = self.fences.older_than(&self.cluster, before).await?;
        let mut living = HashSet::new();
        for namespace in self.config.placements.namespaces() {
            let listed = self.cluster.pods(Some(namespace), &self.selector).await?;
            living.extend(
                listed
                    .pods
                    .iter()
                    .filter_map(|pod| spark_kubernetes::labels::Identity::of(pod).map(|identity| identity.attempt)),
            );
        }
        for attempt in old.into_iter().filter(|attempt| !living.contains(attempt)) {
            self.fences.remove(&self.cluster, attempt).await?;
            tokio::time::sleep(PACE).await;
        }
        Ok(())
    }

    /// Whether the pod was left by a launch that came too late.
    async fn is_overtaken(&self, attempt: AttemptId, pod: &Pod) -> Result<bool, Failure> {
        let young = pod
            .metadata
            .creation_timestamp
            .as_ref()
            .is_none_or(|created| created.0.as_millisecond() > now().before(HELD_AGE).as_millis());
        if young {
            return Ok(false);
        }
        let fence = self.fences.read(&self.cluster, attempt).await?;
        Ok(fence.is_some_and(|fence| fence.stopped || fence.verdict == Verdict::Never))
    }

    /// Whether the driver ended long ago and everything about it is kept here.
    async fn is_kept(&self, attempt: AttemptId, pod: &Pod) -> bool {
        let PodState::Ended(ended) = status::read(pod) else { return false };
        let long_ago = now().before(self.config.ended_pods_kept);
        if ended.finished_at.is_none_or(|finished| finished > long_ago) {
            return false;
        }
        let folder = self.folder(attempt);
        let kept = blocking("see what is kept", move || Ok(folder.end()?.is_some() && folder.log_is_over()?)).await;
        kept.unwrap_or(false)
    }
}
