//! Counters, tallies and leases as one transaction sees them.
//!
//! They are read once, change in memory and are written once before the commit, however many commands share it.

use std::collections::BTreeMap;

use engine::store::StoreError;
use model::application::Application;
use model::audit::AuditId;
use model::id::{ApplicationId, ApplicationKind, EventId, Shard, TenantName};
use model::time::Timestamp;

use super::columns::{Tally, tallies};
use super::connection::{Reads, Writes};
use super::value::{Value, corrupt, count};
use crate::record;
use crate::rules::StoredLease;

/// The counter of events; those of numbers are called after their kind.
pub(crate) const EVENTS: &str = "events";
/// The counter of audit's records.
const AUDIT: &str = "audit";

/// What changes with almost every command. A transaction that is undone throws it away.
#[derive(Default)]
pub(crate) struct Ledger {
    counters: BTreeMap<String, Counter>,
    tallies: BTreeMap<Tally, i64>,
    stored_tallies: BTreeMap<Tally, u64>,
    leases: BTreeMap<Shard, Option<StoredLease>>,
}

struct Counter {
    value: u64,
    changed: bool,
}

impl Ledger {
    /// Reads the counters; nobody else writes meanwhile.
    pub(crate) async fn open(connection: &mut impl Reads) -> Result<Self, StoreError> {
        let mut counters = BTreeMap::new();
        for mut row in connection.read("SELECT name, value FROM counters", vec![]).await? {
            counters.insert(row.text()?, Counter { value: row.count()?, changed: false });
        }
        Ok(Self { counters, ..Self::default() })
    }

    fn counter(&mut self, name: &str) -> Result<&mut Counter, StoreError> {
        self.counters.get_mut(name).ok_or_else(|| corrupt(format_args!("the counter `{name}` is missing")))
    }

    /// The id that the next application of a kind will have.
    pub(crate) fn next_id(&mut self, kind: ApplicationKind) -> Result<ApplicationId, StoreError> {
        let number = u32::try_from(self.counter(kind.as_str())?.value).ok();
        number.and_then(|number| ApplicationId::new(kind, number)).ok_or(StoreError::NumbersExhausted(kind))
    }

    /// Takes that id.
    pub(crate) fn take_id(&mut self, kind: ApplicationKind) -> Result<(), StoreError> {
        self.advance(kind.as_str()).map(drop)
    }

    /// The id of one more event.
    pub(crate) fn take_event(&mut self) -> Result<EventId, StoreError> {
        self.advance(EVENTS).map(EventId)
    }

    /// The newest event.
    pub(crate) fn last_event(&mut self) -> Result<EventId, StoreError> {
        Ok(EventId(self.counter(EVENTS)?.value))
    }

    /// The id of one more record of audit.
    pub(crate) fn take_audit(&mut self) -> Result<AuditId, StoreError> {
        self.advance(AUDIT).map(AuditId)
    }

    /// The newest record of audit.
    pub(crate) fn last_audit(&mut self) -> Result<AuditId, StoreError> {
        Ok(AuditId(self.counter(AUDIT)?.value))
    }

    fn advance(&mut self, name: &str) -> Result<u64, StoreError> {
        let counter = self.counter(name)?;
        counter.value += 1;
        counter.changed = true;
        Ok(counter.value)
    }

    /// Counts an application where it is and no longer where it was.
    pub(crate) fn count(&mut self, before: Option<&Application>, after: Option<&Application>) {
        for (application, change) in [(before, -1), (after, 1)] {
            for tally in application.map(tallies).unwrap_or_default() {
                *self.tallies.entry(tally).or_default() += change;
            }
        }
    }

    /// How many applications of the shard are accepted.
    pub(crate) async fn queue_length(&mut self, connection: &mut impl Reads, shard: &Shard) -> Result<u64, StoreError> {
        self.tally(connection, Tally::queued(shard)).await
    }

    /// How many applications of the tenant haven't ended.
    pub(crate) async fn open_of(
        &mut self,
        connection: &mut impl Reads,
        tenant: &TenantName,
    ) -> Result<u64, StoreError> {
        self.tally(connection, Tally::open(tenant)).await
    }

    async fn tally(&mut self, connection: &mut impl Reads, tally: Tally) -> Result<u64, StoreError> {
        let stored = match self.stored_tallies.get(&tally) {
            Some(stored) => *stored,
            None => read_tally(connection, &tally).await?,
        };
        self.stored_tallies.insert(tally.clone(), stored);
        Ok(stored.saturating_add_signed(self.tallies.get(&tally).copied().unwrap_or(0)))
    }

    /// The lease of the shard.
    pub(crate) async fn lease(
        &mut self,
        connection: &mut impl Reads,
        shard: &Shard,
    ) -> Result<Option<&StoredLease>, StoreError> {
        if !self.leases.contains_key(shard) {
            let stored = read_lease(connection, shard).await?;
            self.leases.insert(shard.clone(), stored);
        }
        Ok(self.leases.get(shard).and_then(Option::as_ref))
    }

    /// Replaces the lease of the shard.
    pub(crate) async fn set_lease(
        &mut self,
        connection: &mut impl Writes,
        shard: &Shard,
        lease: StoredLease,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO leases (shard, epoch, holder, expires_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (shard) DO UPDATE \
             SET epoch = excluded.epoch, holder = excluded.holder, expires_at = excluded.expires_at";
        let holder = lease.holder.as_ref().map(|holder| holder.as_str());
        let values =
            vec![shard.as_str().into(), count(lease.epoch).into(), holder.into(), lease.expires_at.as_millis().into()];
        connection.write(sql, values).await?;
        self.leases.insert(shard.clone(), Some(lease));
        Ok(())
    }

    /// Writes what changed, except leases, which were written at once.
    pub(crate) async fn close(self, connection: &mut impl Writes) -> Result<(), StoreError> {
        for (name, counter) in self.counters.iter().filter(|(_, counter)| counter.changed) {
            let values = vec![name.as_str().into(), count(counter.value).into()];
            connection.write("UPDATE counters SET value = ?2 WHERE name = ?1", values).await?;
        }
        for (tally, change) in self.tallies.into_iter().filter(|(_, change)| *change != 0) {
            let key = || vec![Value::from(tally.scope.as_str()), tally.block.into()];
            let add = "INSERT INTO tallies (scope, block, count) VALUES (?1, ?2, ?3) ON CONFLICT (scope, block) DO UPDATE \
                 SET count = tallies.count + excluded.count";
            connection.write(add, [key(), vec![change.into()]].concat()).await?;
            if change < 0 {
                connection.write("DELETE FROM tallies WHERE scope = ?1 AND block = ?2 AND count = 0", key()).await?;
            }
        }
        connection.flush().await
    }
}

/// A tally as it is stored; one that isn't there is zero.
pub(crate) async fn read_tally(connection: &mut impl Reads, tally: &Tally) -> Result<u64, StoreError> {
    let values = vec![tally.scope.as_str().into(), tally.block.into()];
    let row = connection.read_one("SELECT count FROM tallies WHERE scope = ?1 AND block = ?2", values).await?;
    row.map_or(Ok(0), |mut row| row.count())
}

async fn read_lease(connection: &mut impl Reads, shard: &Shard) -> Result<Option<StoredLease>, StoreError> {
    let sql = "SELECT epoch, holder, expires_at FROM leases WHERE shard = ?1";
    let Some(mut row) = connection.read_one(sql, vec![shard.as_str().into()]).await? else { return Ok(None) };
    let epoch = row.count()?;
    let holder = row.optional_text()?.map(|holder| record::parse("lease holder", &holder)).transpose()?;
    Ok(Some(StoredLease { epoch, holder, expires_at: Timestamp::from_millis(row.int()?) }))
}
