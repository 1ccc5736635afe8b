//! The documents tell the truth about the tree: every path and link in them leads somewhere.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// What stands between backticks and looks like a path of the tree.
fn paths_in(text: &str) -> Vec<&str> {
    let tops = ["crates/", "docs/", "examples", "tests/", "xtask", "bench"];
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|part| !part.contains([' ', '*', '…']) && tops.iter().any(|top| part.starts_with(top))).collect()
}

/// The targets of links that don't leave the tree.
fn links_in(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.starts_with('#')).collect()
}

fn check(document: &str) -> usize {
    let text = std::fs::read_to_string(root().join(document)).unwrap();
    let folder = root().join(document).parent().unwrap().to_path_buf();
    let paths = paths_in(&text);
    let links = links_in(&text);
    for path in &paths {
        assert!(root().join(path).exists(), "{document} names {path}, which is not there");
    }
    for link in &links {
        assert!(
            folder.join(link.split('#').next().unwrap()).exists(),
            "{document} links to {link}, which is not there"
        );
    }
    paths.len() + links.len()
}

#[test]
fn every_path_and_link_leads_somewhere() {
    assert!(check("ARCHITECTURE.md") > 20, "the map names fewer places than it should");
    for document in [
        "README.md",
        "CONTRIBUTING.md",
        "docs/adr/README.md",
        "docs/from-livy.md",
        "docs/configuration.md",
        "docs/cli.md",
        "docs/access.md",
        "docs/kubernetes.md",
    ] {
        check(document);
    }
}
