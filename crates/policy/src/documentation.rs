//! Keeps `docs/access.md` true: its tables are made from the code, and its examples are read as configuration.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use expect_test::expect_file;
use model::id::BackendKind;
use model::principal::Role;

use crate::access::{Action, Reach, reach};
use crate::builtin::{Guard, TABLE};
use crate::{AuthConfig, Policy, PolicyConfig, Principals, Tokens};

const PAGE: &str = include_str!("../../../docs/access.md");

/// The text between two markers replaced by a table.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let begin = format!("<!-- table: {name} -->\n");
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once("<!-- end of table -->").unwrap();
    format!("{before}{begin}\n{table}\n<!-- end of table -->{after}")
}

fn roles_table() -> String {
    let heads: String = Role::ALL.iter().map(|role| format!(" {role} |")).collect();
    let mut table = format!("| |{heads}\n|---|{}\n", "---|".repeat(Role::ALL.len()));
    let needs_role = |action: &Action| !matches!(action, Action::Probe | Action::ReadGateway | Action::Nothing);
    for action in Action::ALL.into_iter().filter(needs_role) {
        let cells = Role::ALL.into_iter().map(|role| match reach(role, action) {
            Reach::Nowhere => " |",
            Reach::Own => " own |",
            Reach::Tenant => " tenant |",
            Reach::All => " all |",
        });
        table.push_str(&format!("| {} |{}\n", action.as_str().replace('-', " "), cells.collect::<String>()));
    }
    table
}

fn builtin_table() -> String {
    let mut table = "| Rule | On | Keys | Asks | Why | Lifted |\n|---|---|---|---|---|---|\n".to_owned();
    for rule in TABLE.iter().filter(|rule| !matches!(rule.guard, Guard::Free)) {
        let kinds: Vec<&str> = rule.kinds.iter().map(|kind| kind.as_str()).collect();
        let on = if rule.kinds.len() == BackendKind::ALL.len() { "all".to_owned() } else { kinds.join(", ") };
        let keys: Vec<String> = rule.keys.iter().map(|key| format!("`{key}`")).collect();
        let asks = match rule.guard {
            Guard::Free | Guard::Refused => "refused".to_owned(),
            Guard::Passes(_) => "see why".to_owned(),
            Guard::Named(list, _) => format!("in `allow.{}`, or the backend's own", list.as_str()),
            Guard::NamedIfListed(list, _) => format!("in `allow.{}`, if it is there", list.as_str()),
        };
        let lifted = if rule.liftable { "can be" } else { "never" };
        let row = [rule.name, &on, &keys.join(" "), &asks, rule.reason, lifted].join(" | ");
        table.push_str(&format!("| {row} |\n"));
    }
    table
}

#[test]
fn tables_are_those_of_the_code() {
    let page = with_table(PAGE, "roles", &roles_table());
    let page = with_table(&page, "built-in rules", &builtin_table());
    expect_file!["../../../docs/access.md"].assert_eq(&page);
}

#[test]
fn examples_are_valid() {
    #[derive(Default, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sections {
        auth: AuthConfig,
        policy: PolicyConfig,
    }

    let examples: Vec<&str> = PAGE.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let sections: Sections = serde_saphyr::from_str(example).unwrap();
        assert_eq!(Tokens::compile(&sections.auth).err(), None);
        assert_eq!(Policy::compile(&sections.policy, Principals::Several).err(), None);
    }
}
