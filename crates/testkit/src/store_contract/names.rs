//! Laws of names: who has one, and until when.

use std::sync::Arc;

use engine::store::NewApplication;
use futures::future::join_all;
use model::application::Wish;
use model::id::ApplicationKind::{Batch, Server};
use model::principal::{Owner, Scope};
use model::state::State;

use super::{Lab, at, batch, member, named, outcome};

/// Two applications of one kind never have the same name; those of different kinds may.
pub async fn names_are_unique_per_kind(lab: Lab) {
    let batch = lab.accept(named("daily")).await;
    let server = lab.accept(NewApplication { kind: Server, ..named("daily") }).await;
    let refused = lab.store.accept(named("daily")).await.unwrap_err();
    assert_eq!(refused.to_string(), "the name `daily` is taken by batch-0");
    assert_eq!(lab.store.get_by_name(&Scope::Everything, Batch, "daily").await.unwrap(), Some(batch));
    assert_eq!(lab.store.get_by_name(&Scope::Everything, Server, "daily").await.unwrap(), Some(server));
    assert_eq!(lab.store.get_by_name(&Scope::Everything, Batch, "Daily").await.unwrap(), None);
    lab.accept(named("Daily")).await;
}

/// Nobody learns another owner's names: neither by taking one, nor by looking one up.
pub async fn names_of_owners_never_meet(lab: Lab) {
    let of = |owner: &Owner| NewApplication { owner: owner.clone(), ..named("daily") };
    let owners = [("ada", "core"), ("bob", "core"), ("ada", "data")].map(|(user, tenant)| member(user, tenant));
    let mut held = Vec::new();
    for owner in &owners {
        held.push(lab.accept(of(owner)).await);
        assert_eq!(outcome(&lab.store.accept(of(owner)).await), "name taken");
    }
    let found = async |scope: Scope| lab.store.get_by_name(&scope, Batch, "daily").await.unwrap();
    for (owner, holder) in owners.iter().zip(&held) {
        assert_eq!(found(Scope::Owner(owner.clone())).await.as_ref(), Some(holder));
    }
    assert_eq!(found(Scope::Everything).await.as_ref(), Some(&held[2]), "the highest number");
    assert_eq!(found(Scope::Tenant(owners[0].tenant.clone())).await.as_ref(), Some(&held[1]));
    assert_eq!(found(Scope::Owner(member("bob", "data"))).await, None);
    assert_eq!(found(Scope::Nothing).await, None);
}

/// Also at the same instant.
pub async fn one_of_many_gets_the_name(lab: Lab) {
    let other = lab.another().await;
    let racers = (0..16).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &lab.store } else { &other });
        tokio::spawn(async move { store.accept(named("daily")).await })
    });
    let outcomes: Vec<_> = join_all(racers).await.iter().map(|joined| outcome(joined.as_ref().unwrap())).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "ok").count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "name taken").count(), 15);
}

/// A name is free when its holder is removed, or has ended and is to be deleted, whichever came first.
pub async fn a_name_is_free_when_its_holder_is_gone(lab: Lab) {
    let fence = lab.fence().await;
    let taken = async |name: &str| lab.store.get_by_name(&Scope::Everything, Batch, name).await.unwrap().is_some();

    let deleted_after = lab.accept(named("a")).await;
    lab.bring(&fence, deleted_after.id, State::Succeeded).await;
    assert!(taken("a").await);
    lab.wish(deleted_after.id, Wish::Delete).await;
    assert!(!taken("a").await);
    lab.accept(named("a")).await;

    let deleted_before = lab.accept(named("b")).await;
    lab.bring(&fence, deleted_before.id, State::Stopping).await;
    lab.wish(deleted_before.id, Wish::Delete).await;
    assert!(taken("b").await);
    assert_eq!(outcome(&lab.store.accept(named("b")).await), "name taken");
    lab.change(&fence, deleted_before.id, |next| super::step_to(next, State::Cancelled)).await;
    assert!(!taken("b").await);
    let successor = lab.accept(named("b")).await;
    lab.store.remove(&fence, deleted_before.id, at(9)).await.unwrap();
    assert_eq!(lab.store.get_by_name(&Scope::Everything, Batch, "b").await.unwrap(), Some(successor));
}

/// What ended or was cancelled keeps its name, because it can still be looked up.
pub async fn a_name_is_kept_by_ended_applications(lab: Lab) {
    let fence = lab.fence().await;
    for (name, end) in [("a", State::Succeeded), ("b", State::Failed), ("c", State::Cancelled)] {
        let holder = lab.accept(named(name)).await;
        lab.wish(holder.id, Wish::Cancel).await;
        lab.bring(&fence, holder.id, end).await;
        assert_eq!(outcome(&lab.store.accept(named(name)).await), "name taken", "{end}");
    }
    let nameless = [lab.accept(batch()).await, lab.accept(batch()).await];
    assert_ne!(nameless[0].id, nameless[1].id);
}

/// No text is a bad name to a store, whatever the doors think of it.
pub async fn names_of_any_length_and_spelling(lab: Lab) {
    for name in ["", " ", "nul\0inside", "'; DROP TABLE applications; --", "été 🎉", &"long".repeat(5_000)] {
        let holder = lab.accept(named(name)).await;
        assert_eq!(lab.store.get_by_name(&Scope::Everything, Batch, name).await.unwrap(), Some(holder), "{name:?}");
        assert_eq!(outcome(&lab.store.accept(named(name)).await), "name taken", "{name:?}");
    }
}
