//! How an application becomes a row and back.
//!
//! Besides what a query returns, a row carries what queries look for, derived here from the application: each of
//! those columns is null where a partial index has nothing to say.

use engine::store::StoreError;
use model::application::Application;
use model::id::{ApplicationId, ApplicationKind, Shard, TenantName};
use model::principal::{Owner, Scope};
use model::state::State;
use model::time::Timestamp;

use super::lookup::lookup_key;
use super::value::{Row, Value, corrupt, count};
use crate::{record, rules};

/// The columns that [`application`] reads, in their order; `a` is the table.
pub(crate) const COLUMNS: &str = "a.id, a.owner_user, a.owner_tenant, a.retry_of, a.backend, a.shard, a.state, a.wish, \
     a.version, a.accepted_at, a.spec, a.status";

/// The statement that [`inserted`] has the values for.
pub(crate) const INSERT: &str = "INSERT INTO applications (id, kind, owner_user, owner_tenant, accepted_at, name, held_name, \
     external_id, spec, backend, shard, retry_of, state, wish, version, status, queued_at, wake_at, \
     retained_since, active) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";

/// The statement that [`changed`] has the values for.
pub(crate) const UPDATE: &str = "UPDATE applications SET state = ?2, wish = ?3, version = ?4, status = ?5, \
     queued_at = ?6, wake_at = ?7, retained_since = ?8, active = ?9 WHERE id = ?1";

/// Frees the name of an application.
pub(crate) const FREE_NAME: &str = "UPDATE applications SET held_name = NULL WHERE id = ?1";

/// The statement that [`moved`] has the values for.
pub(crate) const MOVE: &str = "UPDATE applications SET backend = ?2, shard = ?3, retry_of = ?4 WHERE id = ?1";

/// The row of an id. Rows have the order of ids, and each kind has a range of its own.
pub(crate) fn row_id(id: ApplicationId) -> i64 {
    first_row(id.kind()) + i64::from(id.number())
}

/// The row of the first application of a kind.
pub(crate) const fn first_row(kind: ApplicationKind) -> i64 {
    kind_number(kind) << 32
}

/// The row after the last one that a kind can have.
pub(crate) const fn end_row(kind: ApplicationKind) -> i64 {
    (kind_number(kind) + 1) << 32
}

/// The number that stands for a kind.
pub(crate) const fn kind_number(kind: ApplicationKind) -> i64 {
    match kind {
        ApplicationKind::Batch => 0,
        ApplicationKind::Server => 1,
    }
}

/// The id of a row.
pub(crate) fn application_id(row: i64) -> Result<ApplicationId, StoreError> {
    let kind = ApplicationKind::ALL.into_iter().find(|kind| (first_row(*kind)..end_row(*kind)).contains(&row));
    let number = u32::try_from(row & 0xffff_ffff).ok();
    kind.zip(number)
        .and_then(|(kind, number)| ApplicationId::new(kind, number))
        .ok_or_else(|| corrupt(format_args!("no application has row {row}")))
}

/// Reads [`COLUMNS`].
pub(crate) fn application(row: &mut Row) -> Result<Application, StoreError> {
    let id = application_id(row.int()?)?;
    let owner = Owner { user: record::parse("user", &row.text()?)?, tenant: record::parse("tenant", &row.text()?)? };
    let retry_of = row.optional_int()?.map(application_id).transpose()?;
    let backend = record::parse("backend", &row.text()?)?;
    let shard = record::parse("shard", &row.text()?)?;
    let state = record::parse("state", &row.text()?)?;
    let wish = record::parse_wish(&row.text()?)?;
    let version = row.count()?;
    let accepted_at = Timestamp::from_millis(row.int()?);
    let spec = record::read_spec(&row.text()?)?;
    let record::Status { ready_at, ended_at, reason, attempts } = record::read_status(&row.text()?)?;
    Ok(Application {
        id,
        spec,
        owner,
        retry_of,
        backend,
        shard,
        state,
        reason,
        wish,
        attempts,
        accepted_at,
        ready_at,
        ended_at,
        version,
    })
}

/// Reads a page of [`COLUMNS`].
pub(crate) fn applications(rows: Vec<Row>) -> Result<Vec<Application>, StoreError> {
    rows.into_iter().map(|mut row| application(&mut row)).collect()
}

/// A new application as a row; it holds its name.
pub(crate) fn inserted(application: &Application) -> Result<Vec<Value>, StoreError> {
    let name = application.spec.name.as_deref().map(lookup_key);
    let mut values = vec![
        row_id(application.id).into(),
        kind_number(application.id.kind()).into(),
        application.owner.user.as_str().into(),
        application.owner.tenant.as_str().into(),
        application.accepted_at.as_millis().into(),
        name.clone().into(),
        name.into(),
        application.spec.external_id.as_deref().map(lookup_key).into(),
        record::write_spec(&application.spec)?.into(),
    ];
    values.extend(place(application));
    values.extend(status(application)?);
    Ok(values)
}

/// The changed part of an application.
pub(crate) fn changed(application: &Application) -> Result<Vec<Value>, StoreError> {
    let mut values = vec![row_id(application.id).into()];
    values.extend(status(application)?);
    Ok(values)
}

/// The rarely changed part of an application; `None` when it is as before.
pub(crate) fn moved(before: &Application, after: &Application) -> Option<Vec<Value>> {
    let (old, new) = (place(before), place(after));
    (old != new).then(|| std::iter::once(row_id(after.id).into()).chain(new).collect())
}

fn place(application: &Application) -> [Value; 3] {
    [application.backend.as_str().into(), application.shard.as_str().into(), application.retry_of.map(row_id).into()]
}

fn status(application: &Application) -> Result<[Value; 8], StoreError> {
    let millis = |at: Option<Timestamp>| Value::from(at.map(Timestamp::as_millis));
    Ok([
        application.state.as_str().into(),
        application.wish.as_str().into(),
        count(application.version).into(),
        record::write_status(application)?.into(),
        millis(rules::queued_at(application)),
        millis(application.wake_at()),
        millis(rules::retained_since(application)),
        application.state.is_active().then_some(1_i64).into(),
    ])
}

/// Numbers of one kind that share a tally. A page by position counts the tallies of large blocks first, then those of
/// small ones within one of them, then rows.
#[derive(Clone, Copy)]
pub(crate) enum Block {
    Large,
    Small,
}

impl Block {
    /// Rows of a block.
    pub(crate) const fn size(self) -> i64 {
        match self {
            Self::Large => 32 * Self::Small.size(),
            Self::Small => 1_024,
        }
    }
}

/// A number that is kept up to date instead of being counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tally {
    pub(crate) scope: String,
    pub(crate) block: i64,
}

impl Tally {
    /// How many applications of a shard are accepted.
    pub(crate) fn queued(shard: &Shard) -> Self {
        Self { scope: format!("queued:{shard}"), block: 0 }
    }

    /// How many applications of a shard retention looks at.
    pub(crate) fn retained(shard: &Shard) -> Self {
        Self { scope: format!("retained:{shard}"), block: 0 }
    }

    /// How many applications of a tenant haven't ended.
    pub(crate) fn open(tenant: &TenantName) -> Self {
        Self { scope: format!("open:{tenant}"), block: 0 }
    }

    /// The scope of the tallies of the applications of a kind that somebody may see. No name has a colon.
    pub(crate) fn of_kind(kind: ApplicationKind, scope: &Scope, block: Block) -> String {
        let size = block.size();
        match scope {
            Scope::Everything => format!("{size}:{kind}"),
            Scope::Tenant(tenant) => format!("{size}:{kind}:{tenant}"),
            Scope::Owner(Owner { tenant, user }) => format!("{size}:{kind}:{tenant}:{user}"),
            Scope::Nothing => String::new(),
        }
    }
}

/// Every tally that an application is counted in.
pub(crate) fn tallies(application: &Application) -> Vec<Tally> {
    let (kind, owner) = (application.id.kind(), &application.owner);
    let mut tallies = Vec::with_capacity(9);
    for scope in [Scope::Everything, Scope::Tenant(owner.tenant.clone()), Scope::Owner(owner.clone())] {
        for size in [Block::Large, Block::Small] {
            let block = i64::from(application.id.number()) / size.size();
            tallies.push(Tally { scope: Tally::of_kind(kind, &scope, size), block });
        }
    }
    tallies.extend((!application.state.is_terminal()).then(|| Tally::open(&owner.tenant)));
    tallies.extend((application.state == State::Accepted).then(|| Tally::queued(&application.shard)));
    tallies.extend(rules::retained_since(application).map(|_| Tally::retained(&application.shard)));
    tallies
}
