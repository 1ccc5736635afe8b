//! The statement of a list: one index finds and orders, the other filters are checked on what it finds.
//!
//! Which index that is, is decided by looking which filter leaves few applications, in the order in which filters
//! usually do. [`choose`] looks, [`statement`] writes.

use engine::store::{ListQuery, StoreError};
use model::principal::{Owner, Scope};
use model::state::State;

use super::columns::{COLUMNS, kind_number, row_id};
use super::connection::{Dialect, Reads};
use super::lookup::lookup_key;
use super::value::Value;

/// A filter that leaves fewer applications than this is walked without looking at the others.
const FEW: u32 = 1_000;

/// The filter whose index is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guide {
    ExternalId,
    Name,
    /// The label with this place in the query.
    Label(usize),
    States,
    Owner,
    /// What belongs to one owner.
    Member,
    Tenant,
    Backend,
    Kind,
    Nothing,
}

/// The text of the statement and its values.
pub(crate) fn statement(query: &ListQuery, guide: Guide, dialect: Dialect) -> (String, Vec<Value>) {
    let mut builder = Builder { query, dialect, values: Vec::new() };
    let states = distinct(&query.states);
    let sql = match (guide, states.len()) {
        // One walk per state, merged: an index over states orders only within one of them.
        (Guide::States, 2..) => {
            let arms: Vec<_> = states
                .iter()
                .map(|state| format!("SELECT * FROM ({}) AS {state}", builder.walk(guide, &[*state])))
                .collect();
            let limit = builder.bind(query.limit);
            format!("{} ORDER BY accepted_at DESC, id DESC LIMIT {limit}", arms.join(" UNION ALL "))
        }
        _ => builder.walk(guide, &states),
    };
    (sql, builder.values)
}

/// The states asked for; none when all are.
fn distinct(states: &[State]) -> Vec<State> {
    let distinct: Vec<_> = State::ALL.into_iter().filter(|state| states.contains(state)).collect();
    if distinct.len() == State::ALL.len() { Vec::new() } else { distinct }
}

/// The first guide that leaves few applications; when none does, the one that usually leaves the fewest.
///
/// PostgreSQL gathers statistics and decides for itself, so it isn't asked.
pub(crate) async fn choose<R: Reads>(query: &ListQuery, reads: &mut R) -> Result<Guide, StoreError> {
    let guides = guides(query);
    let usual = guides.first().copied().unwrap_or(Guide::Nothing);
    if guides.len() < 2 || R::DIALECT == Dialect::Postgres {
        return Ok(usual);
    }
    for guide in guides {
        let (sql, values) = probe(query, guide, R::DIALECT);
        if reads.read_one(&sql, values).await?.is_none() {
            return Ok(guide);
        }
    }
    Ok(usual)
}

/// The filters of a query, beginning with those that usually leave few.
fn guides(query: &ListQuery) -> Vec<Guide> {
    let states = distinct(&query.states);
    // Few applications are under way at any time; many have ended.
    let under_way = states.iter().all(|state| !state.is_terminal());
    let by_state = !states.is_empty();
    let mut guides = Vec::new();
    let mut add = |wanted: bool, guide| guides.extend(wanted.then_some(guide));
    add(query.external_id.is_some(), Guide::ExternalId);
    add(query.name.is_some(), Guide::Name);
    add(by_state && under_way, Guide::States);
    (0..query.labels.len()).for_each(|place| add(true, Guide::Label(place)));
    add(query.owner.is_some(), Guide::Owner);
    add(matches!(query.scope, Scope::Owner(_)), Guide::Member);
    add(by_state && !under_way, Guide::States);
    add(matches!(query.scope, Scope::Tenant(_)), Guide::Tenant);
    add(query.backend.is_some(), Guide::Backend);
    add(query.kind.is_some(), Guide::Kind);
    guides
}

/// A statement that finds a row when the guide alone leaves [`FEW`] applications or more.
fn probe(query: &ListQuery, guide: Guide, dialect: Dialect) -> (String, Vec<Value>) {
    let of_scope = matches!(guide, Guide::Member | Guide::Tenant);
    let alone = ListQuery {
        scope: if of_scope { query.scope.clone() } else { Scope::Everything },
        external_id: query.external_id.clone().filter(|_| guide == Guide::ExternalId),
        name: query.name.clone().filter(|_| guide == Guide::Name),
        owner: query.owner.clone().filter(|_| guide == Guide::Owner),
        backend: query.backend.clone().filter(|_| guide == Guide::Backend),
        kind: query.kind.filter(|_| guide == Guide::Kind),
        ..ListQuery::default()
    };
    let mut builder = Builder { query: &alone, dialect, values: Vec::new() };
    let mut conditions = Vec::new();
    let from = match guide {
        Guide::Label(place) => {
            conditions = builder.label(&query.labels[place]);
            "labels l".to_owned()
        }
        _ => builder.indexed(guide),
    };
    let states = if guide == Guide::States { distinct(&query.states) } else { Vec::new() };
    builder.filter(&mut conditions, &states);
    let offset = builder.bind(FEW - 1);
    (format!("SELECT 1 FROM {from} WHERE {} LIMIT 1 OFFSET {offset}", conditions.join(" AND ")), builder.values)
}

struct Builder<'a> {
    query: &'a ListQuery,
    dialect: Dialect,
    values: Vec<Value>,
}

impl Builder<'_> {
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    /// The applications in the order of the guide's index.
    fn indexed(&self, guide: Guide) -> String {
        let index = match guide {
            Guide::ExternalId => "applications_by_external_id",
            Guide::Name => "applications_by_name",
            Guide::States => "applications_by_state",
            Guide::Owner => "applications_by_owner",
            Guide::Member => "applications_by_member",
            Guide::Tenant => "applications_by_tenant",
            Guide::Backend => "applications_by_backend",
            Guide::Kind => "applications_by_kind",
            Guide::Nothing | Guide::Label(_) => "applications_by_time",
        };
        format!("applications a{}", self.dialect.indexed_by(index))
    }

    fn label(&mut self, (key, value): &(String, String)) -> Vec<String> {
        vec![format!("l.key = {}", self.bind(key.as_str())), format!("l.value = {}", self.bind(value.as_str()))]
    }

    fn walk(&mut self, guide: Guide, states: &[State]) -> String {
        let mut labels = self.query.labels.clone();
        let (from, mut conditions, place) = match guide {
            Guide::Label(place) => {
                let label = labels.swap_remove(place);
                let from = format!("labels l {} applications a ON a.id = l.id", self.dialect.join());
                (from, self.label(&label), "l")
            }
            _ => (self.indexed(guide), vec![], "a"),
        };
        self.filter(&mut conditions, states);
        self.filter_labels(&mut conditions, &labels);
        self.continue_after(&mut conditions, place);
        let filter = if conditions.is_empty() { String::new() } else { format!("WHERE {} ", conditions.join(" AND ")) };
        let limit = self.bind(self.query.limit);
        format!("SELECT {COLUMNS} FROM {from} {filter}ORDER BY {place}.accepted_at DESC, {place}.id DESC LIMIT {limit}")
    }

    fn filter(&mut self, conditions: &mut Vec<String>, states: &[State]) {
        let query = self.query;
        let mut equal = |column: &str, value: Option<Value>| {
            if let Some(value) = value {
                let value = self.bind(value);
                conditions.push(format!("a.{column} = {value}"));
            }
        };
        equal("kind", query.kind.map(|kind| kind_number(kind).into()));
        equal("backend", query.backend.as_ref().map(|backend| backend.as_str().into()));
        equal("name", query.name.as_deref().map(|name| lookup_key(name).into()));
        equal("external_id", query.external_id.as_deref().map(|id| lookup_key(id).into()));
        equal("owner_user", query.owner.as_ref().map(|user| user.as_str().into()));
        match &query.scope {
            Scope::Everything | Scope::Nothing => {}
            Scope::Tenant(tenant) => equal("owner_tenant", Some(tenant.as_str().into())),
            Scope::Owner(Owner { tenant, user }) => {
                equal("owner_tenant", Some(tenant.as_str().into()));
                equal("owner_user", Some(user.as_str().into()));
            }
        }
        if let [state] = states {
            equal("state", Some(state.as_str().into()));
        } else if !states.is_empty() {
            let states: Vec<_> = states.iter().map(|state| self.bind(state.as_str())).collect();
            conditions.push(format!("a.state IN ({})", states.join(", ")));
        }
    }

    fn filter_labels(&mut self, conditions: &mut Vec<String>, labels: &[(String, String)]) {
        for (key, value) in labels {
            let (key, value) = (self.bind(key.as_str()), self.bind(value.as_str()));
            conditions.push(format!(
                "EXISTS (SELECT 1 FROM labels x WHERE x.key = {key} AND x.value = {value} AND x.accepted_at = a.accepted_at AND x.id = a.id)"
            ));
        }
    }

    fn continue_after(&mut self, conditions: &mut Vec<String>, place: &str) {
        if let Some(after) = self.query.after {
            let (at, id) = (self.bind(after.accepted_at.as_millis()), self.bind(row_id(after.id)));
            conditions.push(format!("({place}.accepted_at, {place}.id) < ({at}, {id})"));
        }
    }
}
