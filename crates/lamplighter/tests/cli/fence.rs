//! The page about Kubernetes as its readers follow it: its example is configuration, from which fences are made.

use std::path::Path;

use serde_json::Value;

use crate::gateway::{Done, command_at, done};

const PAGE: &str = include_str!("../../../../docs/kubernetes.md");

fn lamplighter(folder: &Path, line: &str) -> Done {
    let mut command = command_at("http://127.0.0.1:1", folder, &line.split(' ').collect::<Vec<_>>());
    done(command.env_clear().env("HOME", folder))
}

#[test]
fn the_example_of_the_page_is_in_order_and_fences_its_tenants() {
    let folder = tempfile::tempdir().unwrap();
    let examples: Vec<&str> = PAGE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [example] = examples[..] else { unreachable!("the page has one example") };
    std::fs::write(folder.path().join("lamplighter.yaml"), example).unwrap();

    let checked = lamplighter(folder.path(), "config check lamplighter.yaml");
    assert_eq!((checked.code, checked.stdout.as_str()), (0, "lamplighter.yaml is in order\n"), "{}", checked.stderr);

    let fenced = lamplighter(folder.path(), "config fence lamplighter.yaml cluster");
    assert_eq!(fenced.code, 0, "{}", fenced.stderr);
    let list: Value = serde_json::from_str(&fenced.stdout).unwrap();
    let count = |kind: &str, namespace: &str| {
        let of_kind = list["items"].as_array().unwrap().iter().filter(|item| item["kind"] == kind);
        of_kind.filter(|item| item["metadata"]["namespace"] == namespace).count()
    };
    for tenant in ["spark-research", "spark-sales"] {
        let counts = ["ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"].map(|kind| count(kind, tenant));
        assert_eq!(counts, [1, 2, 2, 1], "drivers and the gateway have a role each in {tenant}");
    }
    assert_eq!(["Role", "RoleBinding"].map(|kind| count(kind, "lamplighter")), [1, 1]);
    assert!(fenced.stdout.contains("registry.example/research/"), "images of the configuration are allowed");

    assert_eq!(lamplighter(folder.path(), "config fence lamplighter.yaml elsewhere").code, 78);
}
