//! Finds the cluster: a kubeconfig with its contexts, exec plug-ins and token files, or the account of the pod that
//! the gateway itself runs in.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::KubernetesBackendError;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The wait between two readings of the credentials.
const RECONNECT_PAUSE: Duration = Duration::from_secs(5);

/// Where the credentials are.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) context: Option<String>,
}

impl Credentials {
    async fn config(&self) -> Result<Config, KubernetesBackendError> {
        let mut config = match &self.kubeconfig {
            None if self.context.is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
                Config::incluster().map_err(KubernetesBackendError::InCluster)?
            }
            path => {
                let told = |source| KubernetesBackendError::Kubeconfig { path: path.clone(), source };
                let kubeconfig = match path {
                    Some(path) => Kubeconfig::read_from(path),
                    None => Kubeconfig::read(),
                };
                let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
                Config::from_custom_kubeconfig(kubeconfig.map_err(told)?, &options).await.map_err(told)?
            }
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        Ok(config)
    }
}

/// A client that is made again when its credentials have run out. Tokens that come from files or plug-ins are read
/// again by the client itself; certificates aren't.
pub(super) struct Connection {
    credentials: Credentials,
    current: Mutex<Current>,
    /// The API server's address, for people.
    pub(super) url: String,
}

struct Current {
    client: Arc<Client>,
    made_at: Instant,
}

impl Connection {
    pub(super) async fn new(credentials: Credentials) -> Result<Self, KubernetesBackendError> {
        let config = credentials.config().await?;
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(KubernetesBackendError::Client)?;
        let current = Mutex::new(Current { client: Arc::new(client), made_at: Instant::now() });
        Ok(Self { credentials, current, url })
    }

    /// The client to use now.
    pub(super) async fn client(&self) -> Client {
        let client = Arc::clone(&self.lock().client);
        let over = client.valid_until().is_some_and(|until| until <= jiff::Timestamp::now());
        if over { self.renewed().await } else { (*client).clone() }
    }

    /// Reads the credentials again, unless that was done a moment ago. What can't be read changes nothing.
    pub(super) async fn renewed(&self) -> Client {
        let known = {
            let mut current = self.lock();
            let known = (*current.client).clone();
            if current.made_at.elapsed() < RECONNECT_PAUSE {
                return known;
            }
            current.made_at = Instant::now();
            known
        };
        let made = match self.credentials.config().await {
            Ok(config) => Client::try_from(config).map_err(KubernetesBackendError::Client),
            Err(error) => Err(error),
        };
        match made {
            Ok(client) => {
                self.lock().client = Arc::new(client.clone());
                client
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "can't read the cluster's credentials again");
                known
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
