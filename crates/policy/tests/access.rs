//! The matrix of roles: every action of every role on what is the asker's own, another owner's and another tenant's.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use expect_test::expect;
use model::principal::{Principal, Role, Scope};
use policy::{Action, Decision, Object, authorise, scope};
use support::{owner, principal};

/// How the answer is written in the matrix.
fn sign(decision: Decision) -> &'static str {
    match decision {
        Decision::Allowed => "yes",
        Decision::Denied { .. } => "no",
        Decision::Hidden => "hidden",
    }
}

fn matrix(roles: &[Role]) -> String {
    let asker = principal("ada/research", roles);
    let owners = [owner("ada/research"), owner("bob/research"), owner("ada/sales")];
    let row = |action: Action| {
        let gateway = sign(authorise(&asker, action, Object::Gateway));
        let [own, other, foreign] =
            owners.each_ref().map(|of| sign(authorise(&asker, action, Object::ApplicationOf(of))));
        let tenants = [&owners[0].tenant, &owners[2].tenant];
        let [tenant, other_tenant] = tenants.map(|of| sign(authorise(&asker, action, Object::Tenant(of))));
        let row = format!("{action:<18} {gateway:<6} {own:<6} {other:<6} {foreign:<6} {tenant:<6} {other_tenant}");
        format!("{}\n", row.trim_end())
    };
    let head = format!("{:<18} gate   own    other  foreign tenant other-tenant\n", "");
    head + &Action::ALL.into_iter().map(row).collect::<String>()
}

#[test]
fn submitter() {
    expect![[r#"
                           gate   own    other  foreign tenant other-tenant
        probe              yes    yes    yes    yes    yes    yes
        read-gateway       yes    yes    yes    yes    yes    yes
        nothing            yes    yes    yes    yes    yes    yes
        read-backends      yes    yes    yes    yes    yes    yes
        list-applications  yes    yes    hidden hidden no     hidden
        read-application   yes    yes    hidden hidden no     hidden
        read-logs          yes    yes    hidden hidden no     hidden
        read-events        yes    yes    hidden hidden no     hidden
        create-application yes    yes    hidden hidden no     hidden
        cancel-application yes    yes    hidden hidden no     hidden
        delete-application yes    yes    hidden hidden no     hidden
        retry-application  yes    yes    hidden hidden no     hidden
        read-audit         no     no     hidden hidden no     hidden
        read-metrics       no     no     hidden hidden no     hidden
    "#]]
    .assert_eq(&matrix(&[Role::Submitter]));
}

#[test]
fn viewer() {
    expect![[r#"
                           gate   own    other  foreign tenant other-tenant
        probe              yes    yes    yes    yes    yes    yes
        read-gateway       yes    yes    yes    yes    yes    yes
        nothing            yes    yes    yes    yes    yes    yes
        read-backends      yes    yes    yes    yes    yes    yes
        list-applications  yes    yes    yes    hidden yes    hidden
        read-application   yes    yes    yes    hidden yes    hidden
        read-logs          yes    yes    yes    hidden yes    hidden
        read-events        yes    yes    yes    hidden yes    hidden
        create-application no     no     no     hidden no     hidden
        cancel-application no     no     no     hidden no     hidden
        delete-application no     no     no     hidden no     hidden
        retry-application  no     no     no     hidden no     hidden
        read-audit         no     no     no     hidden no     hidden
        read-metrics       no     no     no     hidden no     hidden
    "#]]
    .assert_eq(&matrix(&[Role::Viewer]));
}

#[test]
fn tenant_admin() {
    expect![[r#"
                           gate   own    other  foreign tenant other-tenant
        probe              yes    yes    yes    yes    yes    yes
        read-gateway       yes    yes    yes    yes    yes    yes
        nothing            yes    yes    yes    yes    yes    yes
        read-backends      yes    yes    yes    yes    yes    yes
        list-applications  yes    yes    yes    hidden yes    hidden
        read-application   yes    yes    yes    hidden yes    hidden
        read-logs          yes    yes    yes    hidden yes    hidden
        read-events        yes    yes    yes    hidden yes    hidden
        create-application no     no     no     hidden no     hidden
        cancel-application yes    yes    yes    hidden yes    hidden
        delete-application yes    yes    yes    hidden yes    hidden
        retry-application  no     no     no     hidden no     hidden
        read-audit         no     no     no     hidden no     hidden
        read-metrics       no     no     no     hidden no     hidden
    "#]]
    .assert_eq(&matrix(&[Role::TenantAdmin]));
}

#[test]
fn operator() {
    expect![[r#"
                           gate   own    other  foreign tenant other-tenant
        probe              yes    yes    yes    yes    yes    yes
        read-gateway       yes    yes    yes    yes    yes    yes
        nothing            yes    yes    yes    yes    yes    yes
        read-backends      yes    yes    yes    yes    yes    yes
        list-applications  yes    yes    yes    yes    yes    yes
        read-application   yes    yes    yes    yes    yes    yes
        read-logs          yes    yes    yes    yes    yes    yes
        read-events        yes    yes    yes    yes    yes    yes
        create-application no     no     no     no     no     no
        cancel-application yes    yes    yes    yes    yes    yes
        delete-application yes    yes    yes    yes    yes    yes
        retry-application  no     no     no     no     no     no
        read-audit         no     no     no     no     no     no
        read-metrics       yes    yes    yes    yes    yes    yes
    "#]]
    .assert_eq(&matrix(&[Role::Operator]));
}

#[test]
fn auditor() {
    expect![[r#"
                           gate   own    other  foreign tenant other-tenant
        probe              yes    yes    yes    yes    yes    yes
        read-gateway       yes    yes    yes    yes    yes    yes
        nothing            yes    yes    yes    yes    yes    yes
        read-backends      no     hidden hidden hidden no     hidden
        list-applications  no     hidden hidden hidden no     hidden
        read-application   no     hidden hidden hidden no     hidden
        read-logs          no     hidden hidden hidden no     hidden
        read-events        no     hidden hidden hidden no     hidden
        create-application no     hidden hidden hidden no     hidden
        cancel-application no     hidden hidden hidden no     hidden
        delete-application no     hidden hidden hidden no     hidden
        retry-application  no     hidden hidden hidden no     hidden
        read-audit         yes    yes    yes    yes    yes    yes
        read-metrics       no     hidden hidden hidden no     hidden
    "#]]
    .assert_eq(&matrix(&[Role::Auditor]));
}

#[test]
fn monitor() {
    expect![[r#"
                           gate   own    other  foreign tenant other-tenant
        probe              yes    yes    yes    yes    yes    yes
        read-gateway       yes    yes    yes    yes    yes    yes
        nothing            yes    yes    yes    yes    yes    yes
        read-backends      no     hidden hidden hidden no     hidden
        list-applications  no     hidden hidden hidden no     hidden
        read-application   no     hidden hidden hidden no     hidden
        read-logs          no     hidden hidden hidden no     hidden
        read-events        no     hidden hidden hidden no     hidden
        create-application no     hidden hidden hidden no     hidden
        cancel-application no     hidden hidden hidden no     hidden
        delete-application no     hidden hidden hidden no     hidden
        retry-application  no     hidden hidden hidden no     hidden
        read-audit         no     hidden hidden hidden no     hidden
        read-metrics       yes    yes    yes    yes    yes    yes
    "#]]
    .assert_eq(&matrix(&[Role::Monitor]));
}

#[test]
fn nobody() {
    expect![[r#"
                           gate   own    other  foreign tenant other-tenant
        probe              yes    yes    yes    yes    yes    yes
        read-gateway       yes    yes    yes    yes    yes    yes
        nothing            yes    yes    yes    yes    yes    yes
        read-backends      no     hidden hidden hidden no     hidden
        list-applications  no     hidden hidden hidden no     hidden
        read-application   no     hidden hidden hidden no     hidden
        read-logs          no     hidden hidden hidden no     hidden
        read-events        no     hidden hidden hidden no     hidden
        create-application no     hidden hidden hidden no     hidden
        cancel-application no     hidden hidden hidden no     hidden
        delete-application no     hidden hidden hidden no     hidden
        retry-application  no     hidden hidden hidden no     hidden
        read-audit         no     hidden hidden hidden no     hidden
        read-metrics       no     hidden hidden hidden no     hidden
    "#]]
    .assert_eq(&matrix(&[]));
}

#[test]
fn roles_add_up_to_the_farthest_of_each() {
    let sign_of = |roles: &[Role], action, of: &str| {
        sign(authorise(&principal("ada", roles), action, Object::ApplicationOf(&owner(of))))
    };
    let both = [Role::Submitter, Role::Viewer];
    assert_eq!(sign_of(&both, Action::CancelApplication, "ada/research"), "yes");
    assert_eq!(sign_of(&both, Action::ReadLogs, "bob/research"), "yes");
    assert_eq!(sign_of(&both, Action::CancelApplication, "bob/research"), "no");
}

#[test]
fn a_denial_names_its_rule() {
    let rule = |roles: &[Role], action, of: &str| {
        authorise(&principal("ada", roles), action, Object::ApplicationOf(&owner(of)))
    };
    assert_eq!(
        rule(&[Role::Viewer], Action::CancelApplication, "bob/research"),
        Decision::Denied { rule: policy::access::NO_ROLE }
    );
    assert_eq!(
        rule(&[Role::Viewer, Role::Submitter], Action::CancelApplication, "bob/research"),
        Decision::Denied { rule: policy::access::NOT_FAR_ENOUGH }
    );
}

/// A list shows exactly what may be seen one by one.
#[test]
fn scopes_agree_with_decisions() {
    let role_sets = (0..1_u32 << Role::ALL.len()).map(|bits| {
        Role::ALL.into_iter().enumerate().filter(move |(index, _)| bits >> index & 1 == 1).map(|(_, role)| role)
    });
    for roles in role_sets.map(Iterator::collect::<Vec<_>>) {
        let asker = principal("ada/research", &roles);
        for action in Action::ALL {
            let scope = scope(&asker, action);
            for of in ["ada/research", "bob/research", "ada/sales", "bob/sales"].map(owner) {
                let allowed = authorise(&asker, action, Object::ApplicationOf(&of)).is_allowed();
                assert_eq!(scope.contains(&of), allowed, "{roles:?} {action} {of:?}");
            }
            let somewhere = authorise(&asker, action, Object::Gateway).is_allowed();
            assert_eq!(scope != Scope::Nothing, somewhere, "{roles:?} {action}");
        }
    }
}

#[test]
fn the_sole_user_may_do_everything_that_is_done_to_its_own() {
    let sole = Principal::sole("ada".parse().unwrap(), "default".parse().unwrap());
    for action in Action::ALL {
        assert!(authorise(&sole, action, Object::ApplicationOf(&owner("ada/default"))).is_allowed(), "{action}");
    }
}
