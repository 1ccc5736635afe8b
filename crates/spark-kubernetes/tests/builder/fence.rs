//! The fence around a tenant.

use std::collections::BTreeMap;

use expect_test::{expect, expect_file};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use spark_kubernetes::Placement;
use spark_kubernetes::fence::{Subject, TenantFence, fence, home};

use crate::support::{self, placement};

fn tenant() -> TenantFence {
    let mut placement: Placement = placement("4.1");
    placement.images.also_allowed.push("registry.test/team/*".parse().unwrap());
    TenantFence {
        gateway: Some(Subject::ServiceAccount { namespace: "lamplighter".to_owned(), name: "gateway".to_owned() }),
        quota: BTreeMap::from([("pods".to_owned(), "50".to_owned()), ("requests.cpu".to_owned(), "40".to_owned())]),
        disk_limit: Some("20Gi".to_owned()),
        ..TenantFence::of(&placement)
    }
}

#[test]
fn the_whole_fence() {
    let tenant = tenant();
    let all = [fence(&tenant), home("lamplighter", tenant.gateway.as_ref().unwrap())].concat();
    let shown = serde_json::to_string_pretty(&all).unwrap();
    expect_file!["golden/fence.json"].assert_eq(&(shown + "\n"));
}

/// A misspelled field would vanish on the way through Kubernetes' types.
#[test]
fn every_field_is_one_of_kubernetes() {
    fn through<T: Serialize + DeserializeOwned>(object: &Value) -> Value {
        support::json(&serde_json::from_value::<T>(object.clone()).unwrap())
    }
    for object in fence(&tenant()) {
        let kind = object["kind"].as_str().unwrap().to_owned();
        let back = match kind.as_str() {
            "Namespace" => through::<Namespace>(&object),
            "ServiceAccount" => through::<ServiceAccount>(&object),
            "Role" => through::<Role>(&object),
            "RoleBinding" => through::<RoleBinding>(&object),
            "ResourceQuota" => through::<ResourceQuota>(&object),
            "LimitRange" => through::<LimitRange>(&object),
            "NetworkPolicy" => through::<NetworkPolicy>(&object),
            "ValidatingAdmissionPolicy" => through::<ValidatingAdmissionPolicy>(&object),
            "ValidatingAdmissionPolicyBinding" => through::<ValidatingAdmissionPolicyBinding>(&object),
            other => panic!("{other} is no part of a fence"),
        };
        assert_eq!(back, object, "{kind}");
    }
}

#[test]
fn a_gateway_in_the_namespace_is_not_taken_for_a_driver() {
    let gateway = Subject::ServiceAccount { namespace: "spark-jobs".to_owned(), name: "gateway".to_owned() };
    let objects = fence(&TenantFence { gateway: Some(gateway), ..tenant() });
    let policy = objects.iter().find(|object| object["kind"] == "ValidatingAdmissionPolicy").unwrap();
    let condition = policy["spec"]["matchConditions"][0]["expression"].as_str().unwrap();
    expect![[r#"request.userInfo.username.startsWith("system:serviceaccount:spark-jobs:") && request.userInfo.username != "system:serviceaccount:spark-jobs:gateway""#]].assert_eq(condition);
}

#[test]
fn without_policies_per_attempt_the_namespace_admits_itself() {
    let objects = fence(&TenantFence { policy_per_attempt: false, blocked_networks: Vec::new(), ..tenant() });
    let policy = objects.iter().find(|object| object["kind"] == "NetworkPolicy").unwrap();
    assert_eq!(policy["spec"]["ingress"], json!([{ "from": [{ "podSelector": {} }] }]));
    assert_eq!(policy["spec"]["egress"][2]["to"][0], json!({ "ipBlock": { "cidr": "0.0.0.0/0" } }));
}
