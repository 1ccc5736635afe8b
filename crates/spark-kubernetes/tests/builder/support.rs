//! Applications and placements for tests.

use model::id::{ApplicationId, ApplicationKind, AttemptId};
use model::label::Labels;
use model::principal::Owner;
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use serde_json::Value;
use spark_kubernetes::{DriverObjects, DriverRequest, Images, Placement, Problem};

/// The attempt of every test that doesn't say otherwise.
pub(crate) const ATTEMPT: &str = "01932d5e-7c3a-7b21-9f4d-1a2b3c4d5e6f";

/// A tenant's placement with one Spark and nothing else allowed.
pub(crate) fn placement(spark: &str) -> Placement {
    Placement::new("spark-jobs", "spark", Images::one(spark.parse().unwrap(), "registry.test/spark:1"))
}

/// A Java program in its image, with `conf` as lines of a properties file.
pub(crate) fn java(conf: &str) -> ApplicationSpec {
    ApplicationSpec {
        name: None,
        resource: "local:///opt/spark/examples/jars/spark-examples.jar".to_owned(),
        class_name: Some("org.apache.spark.examples.SparkPi".to_owned()),
        args: vec!["1000".to_owned()],
        conf: SparkConf::from_properties(conf).unwrap(),
        proxy_user: None,
        spark: None,
        labels: Labels::default(),
        external_id: None,
        limits: Limits::default(),
    }
}

/// A Python program in its image, with `conf` as lines of a properties file.
pub(crate) fn python(conf: &str) -> ApplicationSpec {
    ApplicationSpec {
        resource: "local:///opt/spark/examples/src/main/python/pi.py".to_owned(),
        class_name: None,
        args: vec!["10".to_owned()],
        ..java(conf)
    }
}

/// The objects of `spec`'s first attempt by the user `user`.
pub(crate) fn objects_for(
    user: &str,
    spec: &ApplicationSpec,
    placement: &Placement,
) -> Result<DriverObjects, Vec<Problem>> {
    spark_kubernetes::objects(&DriverRequest {
        attempt: &ATTEMPT.parse::<AttemptId>().unwrap(),
        application: &ApplicationId::new(ApplicationKind::Batch, 12).unwrap(),
        number: 1,
        owner: &Owner { user: user.parse().unwrap(), tenant: "team-a".parse().unwrap() },
        spec,
        placement,
        instance: "gateway-1",
        gated: true,
    })
}

/// [`objects_for`] some user.
pub(crate) fn objects(spec: &ApplicationSpec, placement: &Placement) -> Result<DriverObjects, Vec<Problem>> {
    objects_for("ann", spec, placement)
}

/// What the driver reads at its start.
pub(crate) fn properties(objects: &DriverObjects) -> SparkConf {
    let text = &objects.secret.string_data.as_ref().unwrap()["spark.properties"];
    SparkConf::from_properties(text).unwrap()
}

/// Any of Kubernetes' types as JSON.
pub(crate) fn json(object: &impl k8s_openapi::serde::Serialize) -> Value {
    serde_json::to_value(object).unwrap()
}

/// One problem per line.
pub(crate) fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}
