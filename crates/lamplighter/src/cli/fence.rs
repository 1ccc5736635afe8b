//! `lamplighter config fence`: what keeps tenants apart on a cluster, made from the configuration that they run under.

use std::path::PathBuf;

use serde_json::{Value, json};
use spark_kubernetes::Placement;
use spark_kubernetes::fence::{Subject, TenantFence, fence, home};

use super::Failure;
use super::failure::Code;
use crate::config::{ClusterConfig, Config};

/// Arguments of `config fence`.
#[derive(Debug, clap::Args)]
pub(crate) struct FenceArgs {
    /// The configuration file
    pub(super) file: PathBuf,
    /// The cluster, by the name of its backend
    backend: String,
    /// The gateway's service account in its own namespace
    #[arg(long, value_name = "NAME", default_value = "lamplighter")]
    account: String,
}

/// The objects as one list, for `kubectl apply -f -`.
///
/// # Errors
/// With [`Code::Config`] when no backend of the name is a cluster.
pub(super) fn objects(args: &FenceArgs, config: &Config) -> Result<String, Failure> {
    let Some(cluster) = config.kubernetes.0.get(&args.backend) else {
        let message = format!("there is no `{}` under `kubernetes`", args.backend);
        return Err(Failure::new(message).with_code(Code::Config));
    };
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items(cluster, &args.account) });
    Ok(format!("{list:#}\n"))
}

fn items(cluster: &ClusterConfig, account: &str) -> Vec<Value> {
    let gateway = Subject::ServiceAccount { namespace: cluster.namespace.clone(), name: account.to_owned() };
    // What is wrong with them was told when the configuration was loaded.
    let placements = cluster.placements(&[], &mut Vec::new());
    let of_tenant =
        |placement: &Placement| fence(&TenantFence { gateway: Some(gateway.clone()), ..TenantFence::of(placement) });
    let tenants = placements.default.iter().chain(placements.tenants.values()).flat_map(of_tenant);
    home(&cluster.namespace, &gateway).into_iter().chain(tenants).collect()
}
