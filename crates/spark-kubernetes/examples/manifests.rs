//! Prints what an application is on a cluster, for `kubectl apply -f -`:
//!
//! ```text
//! manifests NAMESPACE fence IMAGE
//! manifests NAMESPACE driver IMAGE SPARK RESOURCE CLASS|- [KEY=VALUE...] [-- ARGUMENT...]
//! ```

use std::env;
use std::error::Error;

use model::id::{ApplicationId, ApplicationKind, AttemptId};
use model::label::Labels;
use model::principal::Owner;
use model::spark_conf::{SparkConf, parse_assignment};
use model::spec::{ApplicationSpec, Limits};
use serde_json::{Value, json};
use spark_kubernetes::fence::{TenantFence, fence};
use spark_kubernetes::{DriverRequest, Images, Placement, objects};
use uuid::Uuid;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let items = match arguments[..] {
        [namespace, "fence", image] => fence(&TenantFence::of(&placement(namespace, "4", image)?)),
        [namespace, "driver", image, spark, resource, class, ref rest @ ..] => {
            driver(&placement(namespace, spark, image)?, &spec(resource, class, rest)?)?
        }
        _ => return Err("see the head of this example for what to say".into()),
    };
    println!("{:#}", json!({ "apiVersion": "v1", "kind": "List", "items": items }));
    Ok(())
}

fn placement(namespace: &str, spark: &str, image: &str) -> Result<Placement, Box<dyn Error>> {
    Ok(Placement::new(namespace, "spark", Images::one(spark.parse()?, image)))
}

fn spec(resource: &str, class: &str, rest: &[&str]) -> Result<ApplicationSpec, Box<dyn Error>> {
    let (conf, args) = match rest.iter().position(|word| *word == "--") {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &[][..]),
    };
    let conf: Vec<(String, String)> = conf.iter().map(|pair| parse_assignment(pair)).collect::<Result<_, _>>()?;
    Ok(ApplicationSpec {
        name: None,
        resource: resource.to_owned(),
        class_name: (class != "-").then(|| class.to_owned()),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        conf: SparkConf::from_entries(conf)?,
        proxy_user: None,
        spark: None,
        labels: Labels::default(),
        external_id: None,
        limits: Limits::default(),
    })
}

/// The objects with their secrets, dependents first: nothing here waits for the pod's uid.
fn driver(placement: &Placement, spec: &ApplicationSpec) -> Result<Vec<Value>, Box<dyn Error>> {
    let request = DriverRequest {
        attempt: &AttemptId::new(Uuid::now_v7()),
        application: &ApplicationId::new(ApplicationKind::Batch, 0).ok_or("0 is a number")?,
        number: 1,
        owner: &Owner { user: "example".parse()?, tenant: "example".parse()? },
        spec,
        placement,
        instance: "example",
        gated: false,
    };
    let objects = objects(&request)
        .map_err(|problems| problems.iter().map(|problem| format!("{problem}\n")).collect::<String>())?;
    Ok(vec![
        serde_json::to_value(&objects.secret)?,
        serde_json::to_value(&objects.config_map)?,
        serde_json::to_value(&objects.service)?,
        serde_json::to_value(&objects.network_policy)?,
        serde_json::to_value(&objects.pod)?,
    ])
}
