//! A real gateway on the cluster, with two tenants behind the fences that `spark-kubernetes` makes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, Namespace as NamespaceObject, ServiceAccount},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use spark_kubernetes::{
    Images, Placement,
    fence::{Subject, TenantFence, fence, home},
};
use tempfile::TempDir;
use testkit::gateway::{Client as GatewayClient, Gateway, Options};

use crate::{
    cluster::Cluster,
    namespace::{Namespace, PodSecurity},
    spark::Line,
    wait::until,
};

/// The gateway's backend for the cluster.
pub const BACKEND: &str = "cluster";
/// The service account of drivers. [`Namespace`] makes another one, `spark`, with many rights, which no driver may use.
pub const DRIVERS: &str = "drivers";
/// The gateway's own service account.
const GATEWAY: &str = "gateway";
/// Policies hold when the API server has heard of them.
const FENCE_LIMIT: Duration = Duration::from_secs(30);

/// Who asks the gateway for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// Submits for the tenant research.
    Ada,
    /// Submits for research, too.
    Carol,
    /// Submits for the tenant sales.
    Bob,
    /// Looks after the gateway, and reads its audit records.
    Olga,
}

impl User {
    const ALL: [Self; 4] = [Self::Ada, Self::Carol, Self::Bob, Self::Olga];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ada => "ada",
            Self::Carol => "carol",
            Self::Bob => "bob",
            Self::Olga => "olga",
        }
    }

    /// What proves that it is this user.
    #[must_use]
    pub fn token(self) -> String {
        format!("lamplighter_{}_of_these_tests", self.name())
    }

    fn entry(self) -> Value {
        let (tenant, roles) = match self {
            Self::Ada | Self::Carol => ("research", json!(["submitter"])),
            Self::Bob => ("sales", json!(["submitter"])),
            Self::Olga => ("platform", json!(["operator", "auditor"])),
        };
        let hash: String = Sha256::digest(self.token()).iter().map(|byte| format!("{byte:02x}")).collect();
        json!({ "user": self.name(), "tenant": tenant, "roles": roles, "sha256": hash })
    }
}

/// A gateway with the rights of a service account of its own, and the namespaces of its tenants, which enforce Pod
/// Security `restricted`.
pub struct Tenancy {
    /// The process.
    pub gateway: Gateway,
    /// The gateway's own namespace.
    pub home: Namespace,
    /// The namespace of the tenant research.
    pub research: Namespace,
    /// The namespace of the tenant sales.
    pub sales: Namespace,
    /// Holds the gateway's kubeconfig.
    _folder: TempDir,
}

impl Tenancy {
    /// Fences the tenants in, and starts the gateway.
    ///
    /// # Errors
    /// When the API server refuses, or the gateway doesn't come up.
    pub async fn start(cluster: &Cluster) -> Result<Self> {
        let home_space = Namespace::create(cluster, "home", PodSecurity::Restricted).await?;
        let research = Namespace::create(cluster, "research", PodSecurity::Restricted).await?;
        let sales = Namespace::create(cluster, "sales", PodSecurity::Restricted).await?;
        let account: ServiceAccount = serde_json::from_value(json!({ "metadata": { "name": GATEWAY } }))?;
        home_space.api().create(&PostParams::default(), &account).await?;
        let gateway = Subject::ServiceAccount { namespace: home_space.name().to_owned(), name: GATEWAY.to_owned() };
        apply(&home_space, home(home_space.name(), &gateway)).await?;
        for tenant in [&research, &sales] {
            let objects =
                fence(&TenantFence { gateway: Some(gateway.clone()), ..TenantFence::of(&placement(tenant)?) });
            apply(tenant, objects).await?;
            wait_until_fenced(cluster, tenant).await?;
        }
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_of_gateway(cluster, &home_space).await?.to_string())?;
        let mut config = config(&kubeconfig, &home_space, &[("research", &research), ("sales", &sales)]);
        config["allowed_hosts"] = cluster.address_of_this_machine().iter().map(ToString::to_string).collect();
        // There is no Spark on the gateway's side.
        let options = Options { config: serde_json::to_string(&config)?, ..Options::new(lamplighter()?, "/nowhere") };
        Ok(Self { gateway: Gateway::start(options)?, home: home_space, research, sales, _folder: folder })
    }

    /// A client of the gateway's.
    #[must_use]
    pub fn client(&self, user: User) -> GatewayClient {
        self.gateway.client().with_token(&user.token())
    }

    /// `lamplighter` as `user` types it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn command(&self, user: User, words: &[&str]) -> Result<tokio::process::Command> {
        let mut command = tokio::process::Command::new(lamplighter()?);
        command.args(words).current_dir(self.gateway.scratch()).kill_on_drop(true);
        command.env("LAMPLIGHTER_URL", self.gateway.url()).env("LAMPLIGHTER_TOKEN", user.token());
        Ok(command)
    }

    /// Removes everything from the cluster, and waits until it is gone.
    ///
    /// # Errors
    /// When something stays.
    pub async fn end(self) -> Result<()> {
        drop(self.gateway);
        for namespace in [self.research, self.sales, self.home] {
            namespace.delete().await?;
        }
        Ok(())
    }
}

fn placement(tenant: &Namespace) -> Result<Placement> {
    let mut images = Images::one("3.5".parse()?, Line::V3_5.image());
    images.lines.extend(Images::one("4".parse()?, Line::V4.image()).lines);
    Ok(Placement::new(tenant.name(), DRIVERS, images))
}

/// YAML's subset with the braces.
fn config(kubeconfig: &Path, home: &Namespace, tenants: &[(&str, &Namespace)]) -> Value {
    let placement = |namespace: &Namespace| {
        json!({
            "namespace": namespace.name(),
            "service_account": DRIVERS,
            "images": { "3.5": Line::V3_5.image(), "4": Line::V4.image() },
        })
    };
    let tenants: serde_json::Map<_, _> =
        tenants.iter().map(|(name, namespace)| ((*name).to_owned(), placement(namespace))).collect();
    json!({
        "local": { "enabled": false },
        "kubernetes": { BACKEND: { "kubeconfig": kubeconfig, "namespace": home.name(), "tenants": tenants } },
        "auth": { "tokens": User::ALL.map(User::entry) },
    })
}

/// The program, as `cargo build` made it beside this test; made now when it isn't there.
fn lamplighter() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("a test lies in a folder `deps`")?;
    let program = folder.join("lamplighter");
    if !program.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "--package", "lamplighter"]).status()?;
        ensure!(built.success() && program.exists(), "{} could not be built", program.display());
    }
    Ok(program)
}

/// A kubeconfig with a token of the gateway's service account.
async fn kubeconfig_of_gateway(cluster: &Cluster, home: &Namespace) -> Result<Value> {
    let spec = TokenRequestSpec { expiration_seconds: Some(3_600), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let accounts: Api<ServiceAccount> = home.api();
    let granted = accounts.create_token_request(GATEWAY, &PostParams::default(), &request).await?;
    let token = granted.status.context("a token was granted")?.token;
    let administrator = Kubeconfig::read_from(cluster.kubeconfig())?;
    let current = administrator.current_context.clone().context("the kubeconfig names a context")?;
    let context = administrator.contexts.iter().find(|context| context.name == current);
    let of_cluster = context.and_then(|named| named.context.as_ref()).context("the context is there")?.cluster.clone();
    let clusters = serde_json::to_value(&administrator.clusters)?;
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "gateway",
        "clusters": clusters,
        "contexts": [{ "name": "gateway", "context": { "cluster": of_cluster, "user": "gateway" } }],
        "users": [{ "name": "gateway", "user": { "token": token } }],
    }))
}

/// Applies objects as `kubectl apply` does. Those of the whole cluster go with the namespace.
async fn apply(namespace: &Namespace, objects: Vec<Value>) -> Result<()> {
    let namespaces: Api<NamespaceObject> = Api::all(namespace.client());
    let uid = namespaces.get(namespace.name()).await?.uid();
    for mut object in objects {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        if kind.starts_with("ValidatingAdmissionPolicy") {
            object["metadata"]["ownerReferences"] =
                json!([{ "apiVersion": "v1", "kind": "Namespace", "name": namespace.name(), "uid": uid }]);
        }
        let object: DynamicObject = serde_json::from_value(object)?;
        let api = api_of(namespace, &object)?;
        let applied = api.patch(&object.name_any(), &PatchParams::apply("e2e").force(), &Patch::Apply(&object)).await;
        applied.with_context(|| format!("apply {kind} {}", object.name_any()))?;
    }
    Ok(())
}

fn api_of(namespace: &Namespace, object: &DynamicObject) -> Result<Api<DynamicObject>> {
    let types = object.types.as_ref().context("an object says what it is")?;
    let resource = ApiResource::from_gvk(&types.try_into()?);
    Ok(match object.namespace() {
        Some(name) => Api::namespaced_with(namespace.client(), &name, &resource),
        None => Api::all_with(namespace.client(), &resource),
    })
}

/// Asks as drivers' account until the answer is the fence's.
async fn wait_until_fenced(cluster: &Cluster, tenant: &Namespace) -> Result<()> {
    let account = format!("system:serviceaccount:{}:{DRIVERS}", tenant.name());
    // Not a pod: Pod Security would refuse it first.
    let config_maps: Api<ConfigMap> = Api::namespaced(impersonator(cluster, account).await?, tenant.name());
    let probe: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "probe" } }))?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    until("the fence to hold", FENCE_LIMIT, async || {
        let refused =
            config_maps.create(&dry_run, &probe).await.err().map(|error| error.to_string()).unwrap_or_default();
        Ok(refused.contains("lamplighter:").then_some(()))
    })
    .await
}

async fn impersonator(cluster: &Cluster, user: String) -> Result<Client> {
    let mut kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
    for named in &mut kubeconfig.auth_infos {
        if let Some(auth) = named.auth_info.as_mut() {
            auth.impersonate = Some(user.clone());
        }
    }
    Ok(Client::try_from(kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
}
