//! One small ConfigMap for each attempt that decides, once and for all gateways, whether the attempt may ever start.
//!
//! Start with [`Fences::claim`]. Whoever creates it first decides: a launch before it releases its pod, a stop before
//! it says that nothing runs. So a launch and a stop that meet agree, a launch that comes after its attempt was
//! discarded starts nothing, and a pod that somebody deleted is not made again.
//!
//! They are in the gateway's own namespace, where drivers have no rights, and outlive the pod; [`super::sweep`] removes
//! them a day later.

use std::collections::BTreeMap;

use engine::backend::AttemptRef;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use model::id::AttemptId;
use serde_json::json;
use spark_kubernetes::labels;

use super::cluster::{Cluster, Failure};

/// The label that tells fences from other config maps; its value is `yes`.
const FENCE: &str = "lamplighter.dev/fence";
/// Fences of one page of a list.
const PAGE: u32 = 500;
/// How often a claim is tried whose fence is removed again and again.
const CLAIMS_MAX: u32 = 5;

/// What is decided about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    pub(super) verdict: Verdict,
    /// Whether it was told to end.
    pub(super) stopped: bool,
}

/// Whether an attempt may start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It never starts.
    Never,
    /// The pod with this uid may have been released; no other ever is.
    Launched { uid: String },
}

/// The fences of one gateway.
pub(super) struct Fences {
    namespace: String,
    instance: String,
}

impl Fences {
    pub(super) fn new(namespace: String, instance: &str) -> Self {
        Self { namespace, instance: labels::value(instance) }
    }

    /// Decides so, unless something was decided before; what holds now.
    pub(super) async fn claim(
        &self,
        cluster: &Cluster,
        attempt: &AttemptRef,
        wanted: Verdict,
    ) -> Result<Fence, Failure> {
        let fence = Fence { verdict: wanted, stopped: false };
        let made = &self.config_map(attempt, &fence);
        for _ in 0..CLAIMS_MAX {
            let created = cluster
                .call("decide whether the attempt starts", |client| async move {
                    Cluster::config_maps(client, &self.namespace).create(&PostParams::default(), made).await
                })
                .await;
            match created {
                Ok(_) => return Ok(fence),
                Err(Failure::Taken(_)) => {
                    if let Some(known) = self.read(cluster, attempt.id).await? {
                        return Ok(known);
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::Conflict(format!("{} comes and goes", name(attempt.id))))
    }

    /// What was decided.
    pub(super) async fn read(&self, cluster: &Cluster, attempt: AttemptId) -> Result<Option<Fence>, Failure> {
        let name = &name(attempt);
        let found = cluster
            .call("read what was decided about the attempt", |client| async move {
                Cluster::config_maps(client, &self.namespace).get_opt(name).await
            })
            .await?;
        Ok(found.map(|found| Fence::of(&found)))
    }

    /// Notes that a released attempt was told to end; a fence that is gone is made again.
    pub(super) async fn note_stop(&self, cluster: &Cluster, attempt: &AttemptRef, uid: &str) -> Result<(), Failure> {
        let noted = self.merge(cluster, attempt.id, &[(STOPPED, "yes")]).await;
        let Err(Failure::Missing(_)) = noted else { return noted };
        self.claim(cluster, attempt, Verdict::Launched { uid: uid.to_owned() }).await?;
        self.merge(cluster, attempt.id, &[(STOPPED, "yes")]).await
    }

    /// Decides that an attempt never starts which can't have started, or has ended, whatever was decided before.
    pub(super) async fn bury(&self, cluster: &Cluster, attempt: &AttemptRef) -> Result<(), Failure> {
        let noted = self.merge(cluster, attempt.id, &[(VERDICT, NEVER)]).await;
        let Err(Failure::Missing(_)) = noted else { return noted };
        match self.claim(cluster, attempt, Verdict::Never).await?.verdict {
            Verdict::Never => Ok(()),
            Verdict::Launched { .. } => self.merge(cluster, attempt.id, &[(VERDICT, NEVER)]).await,
        }
    }

    async fn merge(&self, cluster: &Cluster, attempt: AttemptId, data: &[(&str, &str)]) -> Result<(), Failure> {
        let data: BTreeMap<_, _> = data.iter().copied().collect();
        let (name, patch) = (&name(attempt), &Patch::Merge(json!({ "data": data })));
        cluster
            .call("note what was decided about the attempt", |client| async move {
                Cluster::config_maps(client, &self.namespace).patch(name, &PatchParams::default(), patch).await
            })
            .await
            .map(|_| ())
    }

    /// Fences that were made before `before`.
    pub(super) async fn older_than(
        &self,
        cluster: &Cluster,
        before: jiff::Timestamp,
    ) -> Result<Vec<AttemptId>, Failure> {
        let selector = format!("{FENCE}=yes,{}", labels::selector(&self.instance));
        let mut page = ListParams::default().labels(&selector).limit(PAGE);
        let mut old = Vec::new();
        loop {
            let found = cluster
                .call("list what was decided about attempts", |client| {
                    let page = page.clone();
                    async move { Cluster::config_maps(client, &self.namespace).list(&page).await }
                })
                .await?;
            old.extend(found.items.iter().filter_map(|fence| {
                let made_at = fence.metadata.creation_timestamp.as_ref()?.0;
                attempt_of(fence.metadata.name.as_deref()?).filter(|_| made_at < before)
            }));
            match found.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(old),
            }
        }
    }

    /// Forgets what was decided.
    pub(super) async fn remove(&self, cluster: &Cluster, attempt: AttemptId) -> Result<(), Failure> {
        let name = &name(attempt);
        let removed = cluster
            .call("forget what was decided about the attempt", |client| async move {
                Cluster::config_maps(client, &self.namespace).delete(name, &DeleteParams::default()).await.map(|_| ())
            })
            .await;
        match removed {
            Err(Failure::Missing(_)) => Ok(()),
            other => other,
        }
    }

    fn config_map(&self, attempt: &AttemptRef, fence: &Fence) -> ConfigMap {
        let labels = [
            (FENCE, "yes".to_owned()),
            (labels::MANAGED_BY, labels::MANAGER.to_owned()),
            (labels::INSTANCE, self.instance.clone()),
            (labels::APPLICATION, attempt.application.to_string()),
            (labels::ATTEMPT, attempt.id.to_string()),
        ];
        let data = match &fence.verdict {
            Verdict::Never => vec![(VERDICT, NEVER.to_owned())],
            Verdict::Launched { uid } => vec![(VERDICT, LAUNCHED.to_owned()), (POD_UID, uid.clone())],
        };
        let owned =
            |pairs: &[(&str, String)]| pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name(attempt.id)),
                labels: Some(owned(&labels)),
                ..ObjectMeta::default()
            },
            data: Some(owned(&data)),
            ..ConfigMap::default()
        }
    }
}

const VERDICT: &str = "verdict";
const NEVER: &str = "never";
const LAUNCHED: &str = "launched";
const POD_UID: &str = "pod-uid";
const STOPPED: &str = "stopped";
const NAME_PREFIX: &str = "lamplighter-";

impl Fence {
    /// What can't be understood forbids a start.
    fn of(config_map: &ConfigMap) -> Self {
        let data = config_map.data.as_ref();
        let says = |key: &str| data.and_then(|data| data.get(key)).map(String::as_str);
        let uid = says(POD_UID).filter(|_| says(VERDICT) == Some(LAUNCHED));
        let verdict = uid.map_or(Verdict::Never, |uid| Verdict::Launched { uid: uid.to_owned() });
        Self { verdict, stopped: says(STOPPED).is_some() }
    }
}

fn name(attempt: AttemptId) -> String {
    format!("{NAME_PREFIX}{attempt}")
}

fn attempt_of(name: &str) -> Option<AttemptId> {
    name.strip_prefix(NAME_PREFIX)?.parse().ok()
}
