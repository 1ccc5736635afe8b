//! Laws of audit: what was recorded stays as it was, in its order.

use engine::store::{AuditQuery, NewApplication};
use model::audit::{AuditDecision, AuditEntry, AuditId, AuditRecord};

use super::{Lab, at, member, named};

fn entry(n: i64) -> AuditEntry {
    let owner = member(
        ["ada", "bob"][usize::try_from(n % 2).unwrap()],
        ["core", "data", "ops"][usize::try_from(n % 3).unwrap()],
    );
    let known = n % 5 != 0;
    AuditEntry {
        at: at(n),
        user: known.then_some(owner.user),
        tenant: known.then_some(owner.tenant),
        action: "create-application".to_owned(),
        object: format!("batch-{n} \u{1f980}"),
        decision: AuditDecision::ALL[usize::try_from(n % 4).unwrap()],
        rules: (0..n % 3).map(|rule| format!("forbid spark.rule.{rule}")).collect(),
        request_id: format!("r-{n}"),
    }
}

/// Newest first, by every filter alone and with another, in pages.
pub async fn the_record_can_be_searched(lab: Lab) {
    let entries: Vec<_> = (0..40).map(entry).collect();
    lab.store.record(entries[..25].to_vec()).await.unwrap();
    lab.store.record(Vec::new()).await.unwrap();
    lab.store.record(entries[25..].to_vec()).await.unwrap();
    let ada = member("ada", "core");
    for user in [None, Some(ada.user.clone())] {
        for tenant in [None, Some(ada.tenant.clone())] {
            for decision in [None, Some(AuditDecision::Denied), Some(AuditDecision::Unauthenticated)] {
                for (before, limit) in [(None, 7), (Some(AuditId(20)), 100), (Some(AuditId(1)), 5)] {
                    let query = AuditQuery { before, user: user.clone(), tenant: tenant.clone(), decision, limit };
                    let wanted = (1_u64..).zip(&entries).collect::<Vec<_>>().into_iter().rev().filter(|(id, entry)| {
                        before.is_none_or(|before| *id < before.0)
                            && (user.is_none() || user == entry.user)
                            && (tenant.is_none() || tenant == entry.tenant)
                            && decision.is_none_or(|decision| decision == entry.decision)
                    });
                    let wanted: Vec<_> = wanted.take(limit as usize).map(|(id, entry)| (id, entry.clone())).collect();
                    let found = lab.store.audit(&query).await.unwrap();
                    let found: Vec<_> = found.into_iter().map(|record| (record.id.0, record.entry)).collect();
                    assert_eq!(found, wanted, "{query:?}");
                }
            }
        }
    }
}

/// What let an application in is recorded with it, and only then.
pub async fn an_admission_is_recorded_with_its_application(lab: Lab) {
    let audited = || NewApplication { audit: Some(entry(1)), ..named("daily") };
    let accepted = lab.accept(audited()).await;
    lab.store.accept(audited()).await.unwrap_err();
    let found = lab.store.audit(&AuditQuery { limit: 9, ..AuditQuery::default() }).await.unwrap();
    let wanted = AuditEntry { object: accepted.id.to_string(), ..entry(1) };
    assert_eq!(found, [AuditRecord { id: AuditId(1), entry: wanted }]);
}

/// The record outlives its gateway, and only the oldest go when it is trimmed.
pub async fn the_record_is_kept(lab: Lab) {
    lab.store.record((0..10).map(entry).collect()).await.unwrap();
    let other = lab.another().await;
    let numbers = async || {
        let query = AuditQuery { limit: 100, ..AuditQuery::default() };
        other.audit(&query).await.unwrap().iter().map(|record| record.id.0).collect::<Vec<_>>()
    };
    assert_eq!(numbers().await.len(), 10);
    assert_eq!(other.trim_audit(20, 5).await.unwrap(), 0);
    assert_eq!(other.trim_audit(4, 5).await.unwrap(), 5);
    assert_eq!(other.trim_audit(4, 5).await.unwrap(), 1);
    assert_eq!(numbers().await, [10, 9, 8, 7]);
    lab.store.record(vec![entry(10)]).await.unwrap();
    assert_eq!(numbers().await, [11, 10, 9, 8, 7]);
}
