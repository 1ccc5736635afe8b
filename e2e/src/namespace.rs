//! A namespace of one's own, so that tests that run side by side don't see each other.

use std::{
    path::PathBuf,
    process,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::{
    core::v1::{Namespace as Object, ServiceAccount},
    rbac::v1::RoleBinding,
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::{
    cluster::{Cluster, connect},
    wait::until,
};

/// Pods end before their namespace does, and get their time to.
const DELETE_LIMIT: Duration = Duration::from_secs(120);

/// How strict the API server is with a namespace's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodSecurity {
    /// Everything goes.
    Privileged,
    /// What is known to break out doesn't.
    Baseline,
    /// What platform teams ask for.
    Restricted,
}

impl PodSecurity {
    fn label(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A namespace with a service account `spark` that drivers can run as; begins to be deleted when it is let go.
pub struct Namespace {
    name: String,
    client: Client,
    kubeconfig: PathBuf,
}

impl Namespace {
    /// Makes one. Its name begins with `prefix` and is no other's.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn create(cluster: &Cluster, prefix: &str, security: PodSecurity) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("{prefix}-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = Self { name, client: cluster.client().await?, kubeconfig: cluster.kubeconfig().to_owned() };
        let object: Object = serde_json::from_value(json!({"metadata": {
            "name": namespace.name,
            "labels": {"pod-security.kubernetes.io/enforce": security.label()},
        }}))?;
        Api::all(namespace.client()).create(&PostParams::default(), &object).await?;
        namespace.create_spark_account().await?;
        Ok(namespace)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The administrator's client, which belongs to the runtime that the namespace was made in.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// What of a kind is in it.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), &self.name)
    }

    /// Deletes it with all that it holds, and waits until that is gone.
    ///
    /// # Errors
    /// When the API server refuses, or when something stays.
    pub async fn delete(self) -> Result<()> {
        let namespaces: Api<Object> = Api::all(self.client());
        namespaces.delete(&self.name, &DeleteParams::default()).await?;
        until(&format!("namespace {} to be gone", self.name), DELETE_LIMIT, async || {
            Ok(namespaces.get_opt(&self.name).await?.is_none().then_some(()))
        })
        .await
    }

    /// The rights that Spark's documentation gives a driver; and what every pod has, its namespace's own account.
    async fn create_spark_account(&self) -> Result<()> {
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "spark"}}))?;
        self.api().create(&PostParams::default(), &account).await?;
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": "spark"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"kind": "ServiceAccount", "name": "spark", "namespace": self.name}],
        }))?;
        self.api().create(&PostParams::default(), &binding).await?;
        until("the default service account", DELETE_LIMIT, async || {
            Ok(self.api::<ServiceAccount>().get_opt("default").await?)
        })
        .await
        .map(drop)
    }
}

impl Drop for Namespace {
    /// Deleting needs a runtime, and the one of the test may be ending.
    fn drop(&mut self) {
        let (name, kubeconfig) = (self.name.clone(), self.kubeconfig.clone());
        let delete = move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let namespaces: Api<Object> = Api::all(connect(&kubeconfig).await?);
                match namespaces.delete(&name, &DeleteParams::default()).await {
                    Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
                    Err(error) => bail!(error),
                    Ok(_) => Ok(()),
                }
            })
        };
        let deleted = thread::spawn(delete).join();
        if let Ok(Err(error)) =
            deleted.map(|outcome| outcome.with_context(|| format!("delete namespace {}", self.name)))
        {
            eprintln!("{error:#}");
        }
    }
}
