//! Starts an attempt exactly once, ends it, or makes sure that it never starts.
//!
//! [`Shared::launch`] creates the driver's pod behind a scheduling gate, then at once everything that the pod owns and
//! the fence that says the attempt may start, then takes the gate away. What a crash leaves in between is one pod that
//! runs nowhere and owns the rest; the same launch made again completes it, and a stop removes it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use engine::backend::{AttemptRef, BackendError, LaunchOrder, Observation};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, NamespaceResourceScope};
use kube::api::{Api, PostParams};
use model::id::AttemptId;
use model::state::{Reason, ReasonCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spark_kubernetes::status::{self, PodState};
use spark_kubernetes::{Dependent, DriverObjects, DriverRequest, names};

use super::cluster::{Failure, is_held, place};
use super::fence::Verdict;
use super::folder::blocking;
use super::{Shared, lock};

/// How often a step is tried again whose object changed meanwhile.
const ROUNDS_MAX: u32 = 8;
const ROUND_PAUSE: Duration = Duration::from_millis(20);
/// The wait before a launch is tried again that a quota kept from happening.
const QUOTA_PAUSE: Duration = Duration::from_secs(5);
/// No launch is on its way longer than this.
const LAUNCH_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Shared {
    /// Makes sure that the attempt was started once.
    pub(super) async fn launch(self: &Arc<Self>, order: LaunchOrder) -> Result<Observation, BackendError> {
        let attempt = order.attempt.clone();
        let launched = Box::pin(self.launch_unless_full(&order)).await?;
        if waits_for_quota(&launched) {
            self.launch_when_there_is_room(order);
        }
        self.settle_watch(attempt.id, &launched);
        Ok(launched)
    }

    /// The objects of an order, made without a cluster.
    pub(super) fn objects(&self, order: &LaunchOrder) -> Result<DriverObjects, BackendError> {
        let tenant = &order.owner.tenant;
        let Some(placement) = self.config.placements.of(tenant) else {
            let (backend, tenant) = (&self.config.name, tenant);
            let told = format!("backend {backend} has no namespace for tenant {tenant}; configure a placement for it");
            return Err(BackendError::Refused(told));
        };
        let request = DriverRequest {
            attempt: &order.attempt.id,
            application: &order.attempt.application,
            number: order.number,
            owner: &order.owner,
            spec: &order.spec,
            placement,
            instance: &self.config.instance,
            gated: true,
        };
        spark_kubernetes::objects(&request).map_err(|problems| {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            BackendError::Refused(told.join("; "))
        })
    }

    async fn launch_unless_full(self: &Arc<Self>, order: &LaunchOrder) -> Result<Observation, BackendError> {
        if let Some(end) = self.end(order.attempt.id).await? {
            return Ok(end);
        }
        let objects = self.objects(order)?;
        self.watch(&order.attempt);
        match self.start(&order.attempt, &objects).await {
            Ok(seen) => Ok(seen),
            Err(Trouble::Api(Failure::Quota(message))) => {
                let waits_for = Reason::with_evidence(ReasonCode::QuotaExceeded, &message);
                Ok(Observation::Pending { waits_for: Some(waits_for) })
            }
            Err(Trouble::Api(Failure::Refused(message) | Failure::Missing(message))) => {
                Err(BackendError::Refused(message))
            }
            Err(Trouble::Api(failure)) => Err(failure.into()),
            Err(Trouble::Backend(error)) => Err(error),
        }
    }

    /// Tries a launch again until the quota lets it happen, or it is stopped.
    fn launch_when_there_is_room(self: &Arc<Self>, order: LaunchOrder) {
        let attempt = order.attempt.id;
        if !lock(&self.waiting_for_room).insert(attempt) {
            return;
        }
        let shared = Arc::clone(self);
        self.spawn(async move {
            loop {
                tokio::time::sleep(QUOTA_PAUSE).await;
                match Box::pin(shared.launch_unless_full(&order)).await {
                    Ok(seen) if waits_for_quota(&seen) => shared.tell(attempt, &seen).await,
                    Ok(seen) => break shared.tell(attempt, &seen).await,
                    // What is wrong is told to the engine, which asks again in a while.
                    Err(_) => break,
                }
            }
            lock(&shared.waiting_for_room).remove(&attempt);
        });
    }

    async fn start(self: &Arc<Self>, attempt: &AttemptRef, objects: &DriverObjects) -> Result<Observation, Trouble> {
        for _ in 0..ROUNDS_MAX {
            let Some(pod) = self.driver_pod(&objects.pod).await? else { continue };
            if !is_held(&pod) {
                return Ok(self.see(attempt, &pod, false).await?);
            }
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let wanted = Verdict::Launched { uid: uid.clone() };
            let (fence, made) =
                tokio::join!(self.fences.claim(&self.cluster, attempt, wanted.clone()), self.dependents(objects, &uid));
            let fence = fence?;
            if fence.verdict != wanted {
                // It was stopped, or its pod was deleted; this one came too late.
                self.cluster.delete_pod(&pod, None, false).await?;
                return Ok(self.see_nothing(attempt).await?);
            }
            made?;
            if fence.stopped {
                return Ok(self.see_nothing(attempt).await?);
            }
            self.make_folder(attempt).await?;
            match self.cluster.ungate(&pod).await {
                Ok(released) => return Ok(self.see(attempt, &released, false).await?),
                Err(Failure::Missing(_)) => return Ok(self.see_nothing(attempt).await?),
                // Somebody else released it, or changed its gates.
                Err(Failure::Conflict(_) | Failure::Refused(_)) => tokio::time::sleep(ROUND_PAUSE).await,
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(Failure::Conflict(format!("{} changes all the time", names::pod_name(attempt.id))).into())
    }

    /// The driver's pod, created unless it exists; `None` when it came and went.
    async fn driver_pod(&self, wanted: &Pod) -> Result<Option<Pod>, Failure> {
        let (namespace, name) = place(wanted);
        match self.cluster.create_pod(namespace, wanted).await {
            Ok(pod) => Ok(Some(pod)),
            Err(Failure::Taken(_)) => match self.cluster.pod(namespace, name).await? {
                Some(pod) if self.is_ours(&pod) => Ok(Some(pod)),
                Some(_) => Err(Failure::Refused(format!("pod {namespace}/{name} exists and isn't this gateway's"))),
                None => Ok(None),
            },
            Err(failure) => Err(failure),
        }
    }

    /// Creates everything that the pod owns, at once.
    async fn dependents(&self, objects: &DriverObjects, uid: &str) -> Result<(), Failure> {
        let dependents = objects.dependents(uid);
        let made = dependents.iter().map(|dependent| async move {
            match dependent {
                Dependent::Secret(object) => self.dependent(&**object, uid).await,
                Dependent::ConfigMap(object) => self.dependent(&**object, uid).await,
                Dependent::Service(object) => self.dependent(&**object, uid).await,
                Dependent::NetworkPolicy(object) => self.dependent(&**object, uid).await,
            }
        });
        try_join_all(made).await.map(|_| ())
    }

    async fn dependent<K>(&self, object: &K, uid: &str) -> Result<(), Failure>
    where
        K: Metadata<Ty = ObjectMeta>
            + k8s_openapi::Resource<Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let metadata = object.metadata();
        let name = metadata.name.as_deref().unwrap_or_default();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let created = self
            .cluster
            .call("create what the driver's pod needs", |client| async move {
                Api::<K>::namespaced(client, namespace).create(&PostParams::default(), object).await.map(|_| ())
            })
            .await;
        let Err(Failure::Taken(_)) = created else { return created };
        let found = self
            .cluster
            .call("read what the driver's pod needs", |client| async move {
                Api::<K>::namespaced(client, namespace).get_opt(name).await
            })
            .await?;
        let owners = found.as_ref().and_then(|found| found.metadata().owner_references.as_deref());
        if owners.unwrap_or_default().iter().any(|owner| owner.uid == uid) {
            return Ok(());
        }
        // One of a pod before this one goes in a moment; one that stays is somebody else's.
        Err(Failure::Conflict(format!("{} {namespace}/{name} exists and isn't this pod's", K::KIND)))
    }

    async fn make_folder(&self, attempt: &AttemptRef) -> Result<(), BackendError> {
        let (folder, attempt) = (self.folder(attempt.id), attempt.clone());
        let discarded = Arc::clone(&self.discarded);
        blocking("make the attempt's folder", move || match discarded.hold_off(attempt.id) {
            Some(_undisturbed) => folder.create(Some(attempt.application)),
            None => Ok(()),
        })
        .await
    }

    /// Ends the attempt, or makes sure that it never starts.
    pub(super) async fn stop(
        self: &Arc<Self>,
        attempt: &AttemptRef,
        grace: Duration,
    ) -> Result<Observation, BackendError> {
        for _ in 0..ROUNDS_MAX {
            if let Some(end) = self.end(attempt.id).await? {
                return Ok(end);
            }
            let stopped = match self.find(attempt.id).await? {
                Some(pod) if !is_held(&pod) => self.stop_released(attempt, &pod, grace).await?,
                held => self.stop_unreleased(attempt, held.as_ref()).await?,
            };
            if let Some(seen) = stopped {
                return Ok(seen);
            }
            tokio::time::sleep(ROUND_PAUSE).await;
        }
        Err(Failure::Conflict(format!("{} changes all the time", names::pod_name(attempt.id))).into())
    }

    /// `None` when it must be looked at again.
    async fn stop_released(
        self: &Arc<Self>,
        attempt: &AttemptRef,
        pod: &Pod,
        grace: Duration,
    ) -> Result<Option<Observation>, BackendError> {
        if matches!(status::read(pod), PodState::Ended(_)) {
            return self.see(attempt, pod, false).await.map(Some);
        }
        self.watch(attempt);
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        self.fences.note_stop(&self.cluster, attempt, uid).await?;
        // No grace at all would remove the pod before its driver ended.
        let seconds = u32::try_from(grace.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
        match self.cluster.delete_pod(pod, Some(seconds), false).await {
            Err(Failure::Conflict(_)) => return Ok(None),
            other => other?,
        }
        let seen = match self.find(attempt.id).await? {
            Some(pod) => self.see(attempt, &pod, false).await?,
            // A pod that no node had is gone at once, and can't say more than it did.
            None if pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) => {
                self.see(attempt, pod, true).await?
            }
            None => self.see_nothing(attempt).await?,
        };
        Ok(Some(seen))
    }

    /// Decides that it never starts; `None` when a launch was faster and it must be looked at again.
    async fn stop_unreleased(
        self: &Arc<Self>,
        attempt: &AttemptRef,
        held: Option<&Pod>,
    ) -> Result<Option<Observation>, BackendError> {
        let fence = self.fences.claim(&self.cluster, attempt, Verdict::Never).await;
        let fence = match fence {
            // Without the gateway's namespace nothing can be launched either.
            Err(Failure::Missing(_)) => return Ok(Some(Observation::NeverRan)),
            other => other?,
        };
        match (fence.verdict, held) {
            (Verdict::Never, held) => {
                if let Some(pod) = held {
                    self.cluster.delete_pod(pod, None, false).await?;
                }
                Ok(Some(Observation::NeverRan))
            }
            (Verdict::Launched { uid }, Some(pod)) => {
                self.fences.note_stop(&self.cluster, attempt, &uid).await?;
                // Only as it was seen, held: a launch may release it this very moment.
                match self.cluster.delete_pod(pod, None, true).await {
                    Err(Failure::Conflict(_)) => return Ok(None),
                    other => other?,
                }
                self.fences.bury(&self.cluster, attempt).await?;
                Ok(Some(Observation::NeverRan))
            }
            // Its pod was created after it was looked for, or is gone.
            (Verdict::Launched { .. }, None) => match self.find(attempt.id).await? {
                Some(_) => Ok(None),
                None => self.see_nothing(attempt).await.map(Some),
            },
        }
    }

    /// Removes every trace of an ended attempt but the decision that it never starts.
    pub(super) async fn discard(self: &Arc<Self>, attempt: &AttemptRef) -> Result<(), BackendError> {
        let pod = self.find(attempt.id).await?;
        if let Some(pod) = &pod
            && !is_held(pod)
            && !matches!(status::read(pod), PodState::Ended(_))
        {
            return Err(BackendError::unavailable("remove the attempt", "its driver is still there"));
        }
        self.discarded.add(attempt.id);
        if is_young(attempt.id) {
            self.fences.bury(&self.cluster, attempt).await?;
        } else {
            self.fences.remove(&self.cluster, attempt.id).await?;
        }
        if let Some(pod) = &pod {
            self.cluster.delete_pod(pod, Some(0), false).await?;
        }
        lock(&self.watched).remove(&attempt.id);
        self.forget_log(attempt.id);
        let (folder, discarded) = (self.folder(attempt.id), Arc::clone(&self.discarded));
        blocking("remove the attempt's folder", move || discarded.alone(|| folder.remove())).await
    }
}

/// Whether a launch of the attempt may still be on its way. Its id tells when it was planned.
fn is_young(attempt: AttemptId) -> bool {
    let Some(planned_at) = attempt.uuid().get_timestamp() else { return true };
    let (seconds, nanos) = planned_at.to_unix();
    let planned_at = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    SystemTime::now().duration_since(planned_at).map_or(true, |age| age < LAUNCH_AGE_MAX)
}

fn waits_for_quota(seen: &Observation) -> bool {
    let Observation::Pending { waits_for: Some(reason) } = seen else { return false };
    reason.code == ReasonCode::QuotaExceeded
}

/// Why a launch came to nothing.
enum Trouble {
    Api(Failure),
    Backend(BackendError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Api(failure)
    }
}

impl From<BackendError> for Trouble {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}
