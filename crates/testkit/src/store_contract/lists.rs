//! Laws of lists: order, filters, pages, positions. They are compared with a model: all applications, filtered by hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::store::{Cursor, DynStore, ListQuery, NewApplication};
use futures::future::join_all;
use model::application::{Application, Wish};
use model::id::{ApplicationId, ApplicationKind, BackendName, UserName};
use model::label::Labels;
use model::principal::Scope;
use model::spec::ApplicationSpec;
use model::state::State;

use super::{Lab, at, batch, ids, member, spec};

const ALL: ListQuery = ListQuery {
    scope: Scope::Everything,
    kind: None,
    states: Vec::new(),
    backend: None,
    name: None,
    labels: Vec::new(),
    owner: None,
    external_id: None,
    after: None,
    limit: 1_000,
};

/// Forty applications whose properties repeat with different periods, so that every combination of a few occurs.
async fn population(lab: &Lab) -> Vec<Application> {
    let fence = lab.fence().await;
    let mut all = Vec::new();
    for n in 0..42_usize {
        let mut labels = Labels::default();
        labels.insert("team", ["core", "data"][n % 2]).unwrap();
        if n % 3 == 0 {
            labels.insert("nightly", "").unwrap();
        }
        let external_id = (n % 5 == 0).then(|| format!("run {}", n % 10));
        let new = NewApplication {
            kind: ApplicationKind::ALL[usize::from(n % 4 == 0)],
            spec: Arc::new(ApplicationSpec { name: Some(format!("name {n}")), labels, external_id, ..spec() }),
            owner: member(["ada", "bob", "eve"][n % 3], ["core", "data"][n % 5 % 2]),
            backend: BackendName::new(["local", "yarn"][n % 2]).unwrap(),
            // Several at the same instant, and not in the order of their numbers.
            at: at(i64::try_from(n * 7 % 11).unwrap()),
            ..batch()
        };
        let id = lab.accept(new).await.id;
        all.push(lab.bring(&fence, id, State::ALL[n % 7]).await);
    }
    all
}

/// What the query must answer.
fn by_hand(all: &[Application], query: &ListQuery) -> Vec<ApplicationId> {
    let place = |a: &Application| (a.accepted_at, a.id);
    let wanted = |a: &&Application| {
        query.scope.contains(&a.owner)
            && query.kind.is_none_or(|kind| a.id.kind() == kind)
            && (query.states.is_empty() || query.states.contains(&a.state))
            && query.backend.as_ref().is_none_or(|backend| a.backend == *backend)
            && query.name.as_deref().is_none_or(|name| a.spec.name.as_deref() == Some(name))
            && query.labels.iter().all(|(key, value)| a.spec.labels.get(key) == Some(value))
            && query.owner.as_ref().is_none_or(|user| a.owner.user == *user)
            && query.external_id.as_deref().is_none_or(|id| a.spec.external_id.as_deref() == Some(id))
            && query.after.is_none_or(|after| place(a) < (after.accepted_at, after.id))
    };
    let mut found: Vec<_> = all.iter().filter(wanted).collect();
    found.sort_by_key(|a| std::cmp::Reverse(place(a)));
    found.iter().take(query.limit as usize).map(|a| a.id).collect()
}

/// By the time of acceptance, then kind, then number, all descending.
pub async fn newest_come_first(lab: Lab) {
    let all = population(&lab).await;
    assert_eq!(ids(&lab.store.list(&ALL).await.unwrap()), by_hand(&all, &ALL));
    for limit in [0, 1, 5] {
        let query = ListQuery { limit, ..ALL };
        assert_eq!(ids(&lab.store.list(&query).await.unwrap()), by_hand(&all, &query));
    }
    let whole = lab.store.list(&ListQuery { limit: 1, ..ALL }).await.unwrap();
    assert_eq!(all.iter().find(|a| a.id == whole[0].id), whole.first(), "a list tells all of an application");
}

/// Each filter alone, every pair, and all of them, at the beginning and after a cursor.
pub async fn every_filter_agrees_with_the_model(lab: Lab) {
    let all = population(&lab).await;
    let narrow: [fn(&mut ListQuery); 10] = [
        |query| query.scope = Scope::Tenant(member("bob", "core").tenant),
        |query| query.scope = Scope::Owner(member("bob", "core")),
        |query| query.kind = Some(ApplicationKind::Batch),
        |query| query.states = vec![State::Running],
        |query| query.states = vec![State::Failed, State::Accepted, State::Failed],
        |query| query.backend = Some(BackendName::new("local").unwrap()),
        |query| query.name = Some("name 10".into()),
        |query| query.labels.push(("team".into(), "core".into())),
        |query| query.owner = Some(UserName::new("bob").unwrap()),
        |query| query.external_id = Some("run 0".into()),
    ];
    for first in 0..narrow.len() {
        for second in first..narrow.len() {
            let mut query = ListQuery { limit: 7, ..ALL };
            narrow[first](&mut query);
            narrow[second](&mut query);
            let page = lab.store.list(&query).await.unwrap();
            assert_eq!(ids(&page), by_hand(&all, &query), "{query:?}");
            query.after = page.first().map(Cursor::after);
            assert_eq!(ids(&lab.store.list(&query).await.unwrap()), by_hand(&all, &query), "{query:?}");
        }
    }
    let mut everything = ALL;
    narrow.iter().for_each(|narrow| narrow(&mut everything));
    assert_eq!(ids(&lab.store.list(&everything).await.unwrap()), by_hand(&all, &everything));
}

/// Several labels must all be there; several states are alternatives; an unknown value finds nothing.
pub async fn labels_and_states_filter(lab: Lab) {
    let all = population(&lab).await;
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let queries = [
        ListQuery { labels: vec![label("team", "core"), label("nightly", "")], ..ALL },
        ListQuery { labels: vec![label("team", "core"), label("team", "core")], ..ALL },
        ListQuery { labels: vec![label("team", "core"), label("team", "data")], ..ALL },
        ListQuery { labels: vec![label("team", "cor")], ..ALL },
        ListQuery { labels: vec![label("team", "core\0")], ..ALL },
        ListQuery { labels: vec![label("team", "core"), label("\0", "")], ..ALL },
        ListQuery { name: Some("name 1\0".into()), ..ALL },
        ListQuery { states: State::ALL.to_vec(), limit: 9, ..ALL },
        ListQuery { states: vec![State::Starting, State::Running, State::Stopping], limit: 4, ..ALL },
        ListQuery { states: vec![State::Running, State::Failed], labels: vec![label("nightly", "")], ..ALL },
        ListQuery { name: Some("name".into()), ..ALL },
        ListQuery { external_id: Some(String::new()), ..ALL },
    ];
    for query in queries {
        assert_eq!(ids(&lab.store.list(&query).await.unwrap()), by_hand(&all, &query), "{query:?}");
    }
}

async fn walk(store: &DynStore, query: ListQuery) -> Vec<ApplicationId> {
    let (mut seen, mut query) = (Vec::new(), query);
    loop {
        let page = store.list(&query).await.unwrap();
        let Some(last) = page.last() else { return seen };
        query.after = Some(Cursor::after(last));
        seen.extend(ids(&page));
    }
}

/// Who walks through pages sees each of the applications that were there exactly once, whatever comes meanwhile.
pub async fn pages_are_complete_while_others_insert(lab: Lab) {
    let before: BTreeSet<_> = ids(&population(&lab).await).into_iter().collect();
    let store = Arc::clone(&lab.store);
    let insert = tokio::spawn(async move {
        for n in 0..60 {
            store.accept(NewApplication { at: at(n % 20), ..batch() }).await.unwrap();
        }
    });
    for limit in [1, 4, 9] {
        let seen = walk(&lab.store, ListQuery { limit, ..ALL }).await;
        let distinct: BTreeSet<_> = seen.iter().copied().collect();
        assert_eq!(distinct.len(), seen.len(), "nothing comes twice");
        assert!(distinct.is_superset(&before), "nothing is left out");
    }
    insert.await.unwrap();
    let states = vec![State::Accepted, State::Running];
    assert_eq!(walk(&lab.store, ListQuery { states: states.clone(), limit: 3, ..ALL }).await.len(), 12 + 60);
}

/// Deletes every application whose number passes the test.
async fn delete(lab: &Lab, all: &mut Vec<Application>, gone: impl Fn(u32) -> bool) {
    let fence = lab.fence().await;
    let end = async |id: ApplicationId| {
        let stored = lab.wish(id, Wish::Delete).await;
        if !stored.state.is_terminal() {
            let end = if stored.state == State::Stopping { State::Cancelled } else { State::Failed };
            lab.change(&fence, id, |next| super::step_to(next, end)).await;
        }
        lab.store.remove(&fence, id, at(9)).await.unwrap();
    };
    join_all(all.iter().filter(|a| gone(a.id.number())).map(|a| end(a.id))).await;
    all.retain(|a| !gone(a.id.number()));
}

async fn check_positions(lab: &Lab, all: &[Application], offsets: &[u32]) {
    let owners = ["ada", "bob", "nobody"].map(|user| Scope::Owner(member(user, "core")));
    let tenants = ["core", "data"].map(|tenant| Scope::Tenant(member("ada", tenant).tenant));
    for kind in ApplicationKind::ALL {
        for scope in [Scope::Everything, Scope::Nothing].into_iter().chain(owners.clone()).chain(tenants.clone()) {
            let seen = all.iter().filter(|a| a.id.kind() == kind && scope.contains(&a.owner));
            let mut seen: Vec<_> = seen.map(|a| a.id).collect();
            seen.sort();
            for &offset in offsets {
                let page = lab.store.list_by_position(&scope, kind, offset, 5).await.unwrap();
                let expected: Vec<_> = seen.iter().skip(offset as usize).take(5).copied().collect();
                assert_eq!(ids(&page.applications), expected, "{kind} of {scope:?} from {offset}");
                assert_eq!(page.total, seen.len() as u64, "{scope:?}");
            }
        }
    }
}

/// Who may see nothing finds nothing, whatever the filters.
pub async fn nothing_is_found_where_nothing_may_be_seen(lab: Lab) {
    population(&lab).await;
    assert_eq!(lab.store.list(&ListQuery { scope: Scope::Nothing, ..ALL }).await.unwrap(), []);
}

/// A position is what counting by hand gives, also after deletions.
pub async fn positions_agree_with_the_model(lab: Lab) {
    let offsets = [0, 1, 4, 7, 10, 30, 41, 1_000, u32::MAX];
    check_positions(&lab, &[], &offsets).await;
    let mut all = population(&lab).await;
    check_positions(&lab, &all, &offsets).await;
    delete(&lab, &mut all, |number| number % 3 == 1 || number < 4).await;
    check_positions(&lab, &all, &offsets).await;
    delete(&lab, &mut all, |_| true).await;
    check_positions(&lab, &all, &offsets).await;
}

/// Also among so many that a store won't count them one by one.
pub async fn positions_cross_blocks(lab: Lab) {
    let users = ["ada", "bob", "ada", "eve"];
    let accept =
        |n: usize| lab.accept(NewApplication { owner: member(users[n % 4], ["core", "data"][n % 3 % 2]), ..batch() });
    let mut all = join_all((0..2_600).map(accept)).await;
    all.sort_by_key(|a| a.id);
    let offsets = [0, 510, 512, 1_020, 1_024, 1_298, 2_047, 2_048, 2_597, 2_600];
    check_positions(&lab, &all, &offsets).await;
    delete(&lab, &mut all, |number| (1_000..2_100).contains(&number)).await;
    check_positions(&lab, &all, &offsets).await;
}
