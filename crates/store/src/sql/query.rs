//! Questions to the store, each answered by few rows of an index however many applications there are.

use engine::store::{AuditQuery, ListQuery, StoreError};
use model::application::Application;
use model::audit::{AuditId, AuditRecord};
use model::event::Event;
use model::id::{ApplicationId, ApplicationKind, EventId, Shard};
use model::principal::{Owner, Scope};
use model::time::Timestamp;

use super::columns::{self, COLUMNS, Tally};
use super::connection::Reads;
use super::ledger::{EVENTS, read_tally};
use super::list;
use super::lookup::lookup_key;
use super::value::{Row, Value, count};
use crate::{record, rules};

/// Something to ask, as data, so that it can go to another thread or be asked again.
pub(crate) trait Query: Clone + Send + Sync + 'static {
    type Output: Send + 'static;

    /// Whether its statements must see the same state of the data.
    const SNAPSHOT: bool = false;

    /// Whether it is a list, which must not keep the engine from its own questions.
    const LIST: bool = false;

    fn run<R: Reads>(self, reads: &mut R) -> impl Future<Output = Result<Self::Output, StoreError>> + Send;
}

#[derive(Clone)]
pub(crate) struct Get(pub(crate) ApplicationId);

impl Query for Get {
    type Output = Option<Application>;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM applications a WHERE a.id = ?1");
        one(reads.read_one(&sql, vec![columns::row_id(self.0).into()]).await?)
    }
}

#[derive(Clone)]
pub(crate) struct ByName {
    pub(crate) scope: Scope,
    pub(crate) kind: ApplicationKind,
    pub(crate) name: String,
}

impl Query for ByName {
    type Output = Option<Application>;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        let mut values = vec![lookup_key(&self.name).into(), columns::kind_number(self.kind).into()];
        let seen = match self.scope {
            Scope::Nothing => return Ok(None),
            Scope::Everything => "",
            Scope::Tenant(tenant) => {
                values.push(tenant.as_str().into());
                " AND a.owner_tenant = ?3"
            }
            Scope::Owner(Owner { tenant, user }) => {
                values.extend([tenant.as_str().into(), user.as_str().into()]);
                " AND a.owner_tenant = ?3 AND a.owner_user = ?4"
            }
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM applications a WHERE a.held_name = ?1 AND a.kind = ?2{seen} ORDER BY a.id DESC LIMIT 1"
        );
        one(reads.read_one(&sql, values).await?)
    }
}

fn one(row: Option<Row>) -> Result<Option<Application>, StoreError> {
    row.map(|mut row| columns::application(&mut row)).transpose()
}

#[derive(Clone)]
pub(crate) struct List(pub(crate) ListQuery);

impl Query for List {
    type Output = Vec<Application>;
    const LIST: bool = true;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        if self.0.scope == Scope::Nothing {
            return Ok(Vec::new());
        }
        let guide = list::choose(&self.0, reads).await?;
        let (sql, values) = list::statement(&self.0, guide, R::DIALECT);
        columns::applications(reads.read(&sql, values).await?)
    }
}

#[derive(Clone)]
pub(crate) struct Active {
    pub(crate) shard: Shard,
    pub(crate) after: Option<ApplicationId>,
    pub(crate) limit: u32,
}

impl Query for Active {
    type Output = Vec<Application>;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        let after = self.after.map_or(-1, columns::row_id);
        let sql = format!(
            "SELECT {COLUMNS} FROM applications a WHERE a.shard = ?1 AND a.active = 1 AND a.id > ?2 ORDER BY a.id LIMIT ?3"
        );
        columns::applications(
            reads.read(&sql, vec![self.shard.as_str().into(), after.into(), self.limit.into()]).await?,
        )
    }
}

/// Applications of a shard by an instant that is at most `now`: those of the queue, or those that are due.
#[derive(Clone)]
pub(crate) struct ByInstant {
    pub(crate) instant: Instant,
    pub(crate) shard: Shard,
    pub(crate) now: Timestamp,
    pub(crate) exclude: Vec<ApplicationId>,
    pub(crate) limit: u32,
}

/// The columns with instants that the engine waits for.
#[derive(Clone, Copy)]
pub(crate) enum Instant {
    Queued,
    Wake,
}

impl Instant {
    const fn column(self) -> &'static str {
        match self {
            Self::Queued => "queued_at",
            Self::Wake => "wake_at",
        }
    }
}

impl Query for ByInstant {
    type Output = Vec<Application>;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        let column = self.instant.column();
        let sql = format!(
            "SELECT {COLUMNS} FROM applications a WHERE a.shard = ?1 AND a.{column} <= ?2 ORDER BY a.{column}, a.id LIMIT ?3"
        );
        // Those that are left out come on top, instead of a statement whose text depends on them.
        let limit = u64::from(self.limit) + self.exclude.len() as u64;
        let values = vec![self.shard.as_str().into(), self.now.as_millis().into(), count(limit).into()];
        let mut found = columns::applications(reads.read(&sql, values).await?)?;
        found.retain(|application| !self.exclude.contains(&application.id));
        found.truncate(self.limit as usize);
        Ok(found)
    }
}

#[derive(Clone)]
pub(crate) struct NextDue(pub(crate) Shard, pub(crate) Timestamp);

impl Query for NextDue {
    type Output = Option<Timestamp>;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        let mut next: Option<i64> = None;
        for column in [Instant::Queued, Instant::Wake].map(Instant::column) {
            let sql = format!(
                "SELECT a.{column} FROM applications a WHERE a.shard = ?1 AND a.{column} > ?2 ORDER BY a.{column} LIMIT 1"
            );
            let values = vec![self.0.as_str().into(), self.1.as_millis().into()];
            let found = reads.read_one(&sql, values).await?.map(|mut row| row.int()).transpose()?;
            next = next.into_iter().chain(found).min();
        }
        Ok(next.map(Timestamp::from_millis))
    }
}

#[derive(Clone)]
pub(crate) struct QueueLength(pub(crate) Shard);

impl Query for QueueLength {
    type Output = u64;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        read_tally(reads, &Tally::queued(&self.0)).await
    }
}

#[derive(Clone)]
pub(crate) struct Expired {
    pub(crate) shard: Shard,
    pub(crate) ended_before: Option<Timestamp>,
    pub(crate) keep: Option<u64>,
    pub(crate) limit: u32,
}

impl Query for Expired {
    type Output = Vec<ApplicationId>;
    const SNAPSHOT: bool = true;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        let total = read_tally(reads, &Tally::retained(&self.shard)).await?;
        let sql = "SELECT a.retained_since, a.id FROM applications a WHERE a.shard = ?1 AND a.retained_since IS NOT NULL \
             ORDER BY a.retained_since, a.id LIMIT ?2";
        let (mut ends, mut ids) = (Vec::new(), Vec::new());
        for mut row in reads.read(sql, vec![self.shard.as_str().into(), self.limit.into()]).await? {
            ends.push(Timestamp::from_millis(row.int()?));
            ids.push(columns::application_id(row.int()?)?);
        }
        ids.truncate(rules::expired_count(&ends, total, self.ended_before, self.keep));
        Ok(ids)
    }
}

#[derive(Clone)]
pub(crate) struct Events(pub(crate) EventId, pub(crate) u32);

impl Query for Events {
    type Output = Vec<Event>;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        let sql = "SELECT id, body FROM events WHERE id > ?1 ORDER BY id LIMIT ?2";
        let rows = reads.read(sql, vec![count(self.0.0).into(), self.1.into()]).await?;
        rows.into_iter().map(|mut row| record::read_event(EventId(row.count()?), &row.text()?)).collect()
    }
}

#[derive(Clone)]
pub(crate) struct Audit(pub(crate) AuditQuery);

impl Query for Audit {
    type Output = Vec<AuditRecord>;
    const LIST: bool = true;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        let AuditQuery { before, user, tenant, decision, limit } = self.0;
        let before = before.map_or(i64::MAX, |before| i64::try_from(before.0).unwrap_or(i64::MAX));
        let mut values = vec![before.into(), limit.into()];
        let mut conditions = String::new();
        let filters = [
            ("user_name", user.as_ref().map(|user| user.as_str())),
            ("tenant", tenant.as_ref().map(|tenant| tenant.as_str())),
            ("decision", decision.map(|decision| decision.as_str())),
        ];
        for (column, value) in filters {
            if let Some(value) = value {
                values.push(value.into());
                conditions.push_str(&format!(" AND {column} = ?{}", values.len()));
            }
        }
        let sql = format!("SELECT id, body FROM audit WHERE id < ?1{conditions} ORDER BY id DESC LIMIT ?2");
        let rows = reads.read(&sql, values).await?;
        rows.into_iter().map(|mut row| record::read_audit(AuditId(row.count()?), &row.text()?)).collect()
    }
}

#[derive(Clone)]
pub(crate) struct LastEvent;

impl Query for LastEvent {
    type Output = EventId;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        let row = reads.read_one("SELECT value FROM counters WHERE name = ?1", vec![Value::from(EVENTS)]).await?;
        row.map_or(Ok(EventId(0)), |mut row| row.count().map(EventId))
    }
}
