//! Names and labels, forth and back.

use k8s_openapi::api::core::v1::Pod;
use spark_kubernetes::labels::{self, Identity};
use spark_kubernetes::names;

use crate::support::{ATTEMPT, java, objects, placement};

fn driver() -> Pod {
    objects(&java(""), &placement("4.1")).unwrap().pod
}

#[test]
fn a_pod_tells_whose_it_is() {
    let identity = Identity::of(&driver()).unwrap();
    assert_eq!(identity.attempt.to_string(), ATTEMPT);
    assert_eq!(identity.application.unwrap().to_string(), "batch-12");
    assert_eq!(identity.instance, "gateway-1");
}

#[test]
fn forged_labels_are_not_believed() {
    let named = |name: &str| {
        let mut pod = driver();
        pod.metadata.name = Some(name.to_owned());
        pod
    };
    for name in
        ["other", "spark-01932d5e7c3a7b219f4d1a2b3c4d5e60-driver", "spark-01932d5e7c3a7b219f4d1a2b3c4d5e6f-exec-1"]
    {
        assert_eq!(Identity::of(&named(name)), None, "{name}");
    }
    for label in [labels::MANAGED_BY, labels::ATTEMPT, labels::INSTANCE] {
        let mut pod = driver();
        pod.metadata.labels.as_mut().unwrap().insert(label.to_owned(), "x".to_owned());
        let believed = Identity::of(&pod).map(|identity| identity.instance);
        assert_eq!(believed, (label == labels::INSTANCE).then(|| "x".to_owned()), "{label}");
    }
}

#[test]
fn a_pods_name_has_one_spelling() {
    let attempt = ATTEMPT.parse().unwrap();
    assert_eq!(names::attempt_of(&names::pod_name(attempt)), Some(attempt));
    for name in [format!("spark-{ATTEMPT}-driver"), names::pod_name(attempt).to_uppercase()] {
        assert_eq!(names::attempt_of(&name), None, "{name}");
    }
}

#[test]
fn a_selector_finds_what_a_gateway_made() {
    assert_eq!(
        labels::selector("gateway-1"),
        "app.kubernetes.io/managed-by=lamplighter,lamplighter.dev/instance=gateway-1"
    );
    let strange = labels::value("host/a@b");
    assert!(labels::is_value(&strange) && strange.len() == 32, "{strange}");
}
