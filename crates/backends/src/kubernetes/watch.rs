//! One watch for each namespace, or one for all: what is listed first goes on being told without a gap.
//!
//! Start with [`watch`]. A watch that ends, and an API server ends many without a word, goes on at the version that
//! was told last, and nothing is lost. Only when that version is forgotten (410) everything is listed again, and what
//! is missing then counts as deleted.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{WatchEvent, WatchParams};
use spark_kubernetes::labels::{self, Identity};

use super::Shared;
use super::cluster::{Failure, api};
use crate::causes::with_causes;

/// When the API server ends a watch at the latest; it must be less than 295 seconds for the client.
const WATCH_SECONDS: u32 = 240;
/// A connected watch is silent no longer than this, because bookmarks come.
const SILENCE_MAX: Duration = Duration::from_secs(150);
/// The first wait after a watch failed, doubled each time up to the last.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Why a watch must be begun again.
enum Broken {
    /// Its version is forgotten; everything must be listed again.
    Expired,
    /// It couldn't be begun, and goes on where it was.
    Unheard(String),
}

/// Watches the drivers' pods of a namespace, or of all, until it is aborted.
pub(super) async fn watch(shared: Arc<Shared>, namespace: Option<String>) {
    let scope = namespace.as_deref();
    let mut pause = PAUSE_MIN;
    let mut version = None;
    loop {
        let from = match version.take() {
            Some(known) => Ok(known),
            None => list(&shared, scope).await,
        };
        let trouble = match from {
            Err(failure) => with_causes(&failure),
            Ok(mut known) => match hear(&shared, scope, &mut known).await {
                // Nothing is wrong with a watch that ends; API servers end many.
                Ok(()) => {
                    version = Some(known);
                    pause = PAUSE_MIN;
                    tokio::time::sleep(PAUSE_MIN).await;
                    continue;
                }
                Err(Broken::Unheard(why)) => {
                    version = Some(known);
                    why
                }
                Err(Broken::Expired) => "its version is forgotten".to_owned(),
            },
        };
        let place = scope.unwrap_or("all namespaces");
        tracing::debug!(backend = %shared.config.name, place, trouble, "watching drivers goes on in a moment");
        shared.pods.lost(scope, trouble);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

async fn list(shared: &Arc<Shared>, scope: Option<&str>) -> Result<String, Failure> {
    let listed = shared.cluster.pods(scope, &shared.selector).await?;
    let gone = shared.pods.replace(scope, listed.pods.clone());
    shared.pods.heard(scope);
    for pod in &listed.pods {
        shared.told(pod, false).await;
    }
    for (_, pod) in gone {
        shared.told(&pod, true).await;
    }
    shared.look_for_missing();
    Ok(listed.version)
}

/// Hears of changes behind `version`, and moves it on, until the watch ends.
async fn hear(shared: &Arc<Shared>, scope: Option<&str>, version: &mut String) -> Result<(), Broken> {
    let client = shared.cluster.client().await;
    let parameters = WatchParams::default().labels(&shared.selector).timeout(WATCH_SECONDS);
    let events = api(client, scope).watch(&parameters, version).await;
    if matches!(&events, Err(kube::Error::Api(status)) if status.code == 401) {
        shared.cluster.renew().await;
    }
    let mut events = pin!(events.map_err(|error| broken(&error))?);
    shared.pods.heard(scope);
    loop {
        let event = tokio::time::timeout(SILENCE_MAX, events.try_next()).await;
        // Silence for too long, a connection that breaks and an orderly end are all the same.
        let Ok(Ok(Some(event))) = event else { return Ok(()) };
        match event {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) => take(shared, pod, false, version).await,
            WatchEvent::Deleted(pod) => take(shared, pod, true, version).await,
            WatchEvent::Bookmark(bookmark) => version.clone_from(&bookmark.metadata.resource_version),
            WatchEvent::Error(status) => return Err(broken(&kube::Error::Api(status))),
        }
        shared.pods.heard(scope);
    }
}

async fn take(shared: &Arc<Shared>, pod: Pod, deleted: bool, version: &mut String) {
    if let Some(new) = &pod.metadata.resource_version {
        version.clone_from(new);
    }
    if let Some(identity) = Identity::of(&pod) {
        if deleted {
            shared.pods.remove(identity.attempt);
        } else {
            shared.pods.put(identity.attempt, pod.clone());
        }
    }
    shared.told(&pod, deleted).await;
}

fn broken(error: &kube::Error) -> Broken {
    match error {
        kube::Error::Api(status) if status.code == 410 => Broken::Expired,
        _ => Broken::Unheard(with_causes(error)),
    }
}

/// The selector of the drivers' pods that the gateway `instance` made.
pub(super) fn selector(instance: &str) -> String {
    labels::selector(instance)
}
