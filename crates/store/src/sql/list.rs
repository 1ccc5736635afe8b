//! The statement of a list: one index finds and orders, the other filters are checked on what it finds.
//!
//! Which index that is, is decided by how few applications a filter usually leaves, not by the database's guess.

use engine::store::ListQuery;
use model::state::State;

use super::columns::{COLUMNS, kind_number, row_id};
use super::connection::Dialect;
use super::lookup::lookup_key;
use super::value::Value;

/// The filter whose index is walked.
enum Guide {
    ExternalId,
    Name,
    Label,
    States,
    Owner,
    Backend,
    Kind,
    Nothing,
}

/// The text of the statement and its values.
pub(crate) fn statement(query: &ListQuery, dialect: Dialect) -> (String, Vec<Value>) {
    let mut builder = Builder { query, dialect, values: Vec::new() };
    let guide = guide(query);
    let states = distinct(&query.states);
    let sql = match (&guide, states.len()) {
        // One walk per state, merged: an index over states orders only within one of them.
        (Guide::States, 2..) => {
            let arms: Vec<_> = states
                .iter()
                .map(|state| format!("SELECT * FROM ({}) AS {state}", builder.walk(&guide, &[*state])))
                .collect();
            let limit = builder.bind(query.limit);
            format!("{} ORDER BY accepted_at DESC, id DESC LIMIT {limit}", arms.join(" UNION ALL "))
        }
        _ => builder.walk(&guide, &states),
    };
    (sql, builder.values)
}

/// The states asked for; none when all are.
fn distinct(states: &[State]) -> Vec<State> {
    let distinct: Vec<_> = State::ALL.into_iter().filter(|state| states.contains(state)).collect();
    if distinct.len() == State::ALL.len() { Vec::new() } else { distinct }
}

fn guide(query: &ListQuery) -> Guide {
    let states = distinct(&query.states);
    // Few applications are under way at any time; many have ended.
    let under_way = states.iter().all(|state| !state.is_terminal());
    if query.external_id.is_some() {
        Guide::ExternalId
    } else if query.name.is_some() {
        Guide::Name
    } else if !states.is_empty() && under_way {
        Guide::States
    } else if !query.labels.is_empty() {
        Guide::Label
    } else if query.owner.is_some() {
        Guide::Owner
    } else if !states.is_empty() {
        Guide::States
    } else if query.backend.is_some() {
        Guide::Backend
    } else if query.kind.is_some() {
        Guide::Kind
    } else {
        Guide::Nothing
    }
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

    fn walk(&mut self, guide: &Guide, states: &[State]) -> String {
        let indexed = |index: &str| format!("applications a{}", self.dialect.indexed_by(index));
        let mut labels = self.query.labels.as_slice();
        let (from, mut conditions, place) = match (guide, labels) {
            (Guide::Label, [(key, value), others @ ..]) => {
                labels = others;
                let (join, key, value) = (self.dialect.join(), self.bind(key.as_str()), self.bind(value.as_str()));
                let from = format!("labels l {join} applications a ON a.id = l.id");
                (from, vec![format!("l.key = {key}"), format!("l.value = {value}")], "l")
            }
            (Guide::ExternalId, _) => (indexed("applications_by_external_id"), vec![], "a"),
            (Guide::Name, _) => (indexed("applications_by_name"), vec![], "a"),
            (Guide::States, _) => (indexed("applications_by_state"), vec![], "a"),
            (Guide::Owner, _) => (indexed("applications_by_owner"), vec![], "a"),
            (Guide::Backend, _) => (indexed("applications_by_backend"), vec![], "a"),
            (Guide::Kind, _) => (indexed("applications_by_kind"), vec![], "a"),
            (Guide::Nothing | Guide::Label, _) => (indexed("applications_by_time"), vec![], "a"),
        };
        self.filter(&mut conditions, states);
        self.filter_labels(&mut conditions, labels);
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
