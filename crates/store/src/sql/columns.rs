//! How an application becomes a row and back.
//!
//! Besides what a query returns, a row carries what queries look for, derived here from the application: each of
//! those columns is null where a partial index has nothing to say. Texts of unbounded length (name, external id,
//! idempotency key) are looked up by digest, so that no index limits them.

use engine::store::StoreError;
use model::application::Application;
use model::id::{ApplicationId, ApplicationKind};
use model::principal::Owner;
use model::state::State;
use model::time::Timestamp;
use sha2::{Digest, Sha256};

use super::value::{Row, Value, corrupt, count};
use crate::{record, rules};

/// The columns that [`application`] reads, in their order; `a` is the table.
pub(crate) const COLUMNS: &str = "a.id, a.owner_user, a.owner_tenant, a.retry_of, a.backend, a.shard, a.state, a.wish, \
     a.version, a.accepted_at, a.spec, a.status";

/// The statement that [`inserted`] has the values for.
pub(crate) const INSERT: &str = "INSERT INTO applications (id, kind, owner_user, owner_tenant, accepted_at, name, external_id, \
     spec, backend, shard, retry_of, state, wish, version, status, held_name, queued_at, wake_at, \
     retained_since, active) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)";

/// The statement that [`changed`] has the values for.
pub(crate) const UPDATE: &str = "UPDATE applications SET state = ?2, wish = ?3, version = ?4, status = ?5, held_name = ?6, \
     queued_at = ?7, wake_at = ?8, retained_since = ?9, active = ?10 WHERE id = ?1";

/// The statement that [`moved`] has the values for.
pub(crate) const MOVE: &str = "UPDATE applications SET backend = ?2, shard = ?3, retry_of = ?4 WHERE id = ?1";

/// Bytes of a digest: enough that nobody can find two texts with the same one.
const DIGEST_BYTES: usize = 16;

/// What stands for a text, or for several that belong together, in an index.
pub(crate) type TextDigest = [u8; DIGEST_BYTES];

/// The digest of `parts`; lengths go in too, so that no two lists of parts look alike.
pub(crate) fn digest(parts: &[&str]) -> TextDigest {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part.as_bytes());
    }
    let mut short = [0; DIGEST_BYTES];
    short.copy_from_slice(&sha.finalize()[..DIGEST_BYTES]);
    short
}

/// What a name is held under: kinds have names of their own.
pub(crate) fn name_of_kind(kind: ApplicationKind, name: &str) -> TextDigest {
    digest(&[kind.as_str(), name])
}

/// What an idempotency key is stored under: keys of different owners never meet.
pub(crate) fn key_of_owner(owner: &Owner, key: &str) -> TextDigest {
    digest(&[owner.user.as_str(), owner.tenant.as_str(), key])
}

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

/// A new application as a row.
pub(crate) fn inserted(application: &Application) -> Result<Vec<Value>, StoreError> {
    let mut values = vec![
        row_id(application.id).into(),
        kind_number(application.id.kind()).into(),
        application.owner.user.as_str().into(),
        application.owner.tenant.as_str().into(),
        application.accepted_at.as_millis().into(),
        application.spec.name.as_deref().map(|name| digest(&[name])).into(),
        application.spec.external_id.as_deref().map(|id| digest(&[id])).into(),
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

fn status(application: &Application) -> Result<[Value; 9], StoreError> {
    let name = application.spec.name.as_deref().filter(|_| rules::holds_name(application));
    let millis = |at: Option<Timestamp>| Value::from(at.map(Timestamp::as_millis));
    Ok([
        application.state.as_str().into(),
        application.wish.as_str().into(),
        count(application.version).into(),
        record::write_status(application)?.into(),
        name.map(|name| name_of_kind(application.id.kind(), name)).into(),
        millis(rules::queued_at(application)),
        millis(application.wake_at()),
        millis(rules::retained_since(application)),
        application.state.is_active().then_some(1_i64).into(),
    ])
}

/// Rows of one kind that share a tally; a page by position counts tallies first, then rows within one block.
pub(crate) const BLOCK: i64 = 1_024;

/// A number that is kept up to date instead of being counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tally {
    pub(crate) scope: String,
    pub(crate) block: i64,
}

impl Tally {
    /// How many applications of a shard are accepted.
    pub(crate) fn queued(shard: &model::id::Shard) -> Self {
        Self { scope: format!("queued:{shard}"), block: 0 }
    }

    /// How many applications of a shard retention looks at.
    pub(crate) fn retained(shard: &model::id::Shard) -> Self {
        Self { scope: format!("retained:{shard}"), block: 0 }
    }

    /// The scope of the tallies of all applications of a kind, or of those of one owner.
    pub(crate) fn of_kind(kind: ApplicationKind, owner: Option<&model::id::UserName>) -> String {
        owner.map_or_else(|| format!("kind:{kind}"), |owner| format!("owner:{kind}:{owner}"))
    }
}

/// Every tally that an application is counted in.
pub(crate) fn tallies(application: &Application) -> Vec<Tally> {
    let (kind, owner) = (application.id.kind(), &application.owner.user);
    let block = i64::from(application.id.number()) / BLOCK;
    let mut tallies = [None, Some(owner)].map(|owner| Tally { scope: Tally::of_kind(kind, owner), block }).to_vec();
    tallies.extend((application.state == State::Accepted).then(|| Tally::queued(&application.shard)));
    tallies.extend(rules::retained_since(application).map(|_| Tally::retained(&application.shard)));
    tallies
}
