//! Commands as data, and what each of them does inside a transaction.
//!
//! A command checks first and writes then, so one that is refused leaves the transaction as it was and the others
//! of the group go on. A command keeps what it was told until it is answered, so that it can be run again.

use engine::store::{Accepted, Fence, KEY_KEPT, Lease, LeaseRequest, NewApplication, Save, StoreError};
use model::application::{Application, Wish};
use model::audit::AuditEntry;
use model::event::EventKind;
use model::id::{ApplicationId, HolderId};
use model::time::Timestamp;
use tokio::sync::oneshot;

use super::columns;
use super::connection::Writes;
use super::ledger::Ledger;
use super::lookup::{TextDigest, lookup_key};
use super::query::{Get, Query};
use super::replay::Replay;
use super::value::{Value, corrupt, count};
use crate::{record, rules};

/// What a client of the store waits for.
pub(crate) struct Slot<T> {
    outcome: Option<Result<T, StoreError>>,
    sender: oneshot::Sender<Result<T, StoreError>>,
}

/// Why a transaction can't go on; it is told to every client that shared it.
pub(crate) type Broken = std::sync::Arc<dyn std::error::Error + Send + Sync>;

impl<T> Slot<T> {
    /// A slot and where its answer will come out.
    pub(crate) fn new() -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { outcome: None, sender }, receiver)
    }

    fn fill(&mut self, outcome: Result<T, StoreError>) -> Result<(), Broken> {
        if let Err(StoreError::Unavailable(cause)) = outcome {
            return Err(cause.into());
        }
        self.outcome = Some(outcome);
        Ok(())
    }

    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    /// Answers, now that the outcome is durable, or that it can't be known.
    fn answer(self, committed: Result<(), &Broken>) {
        let answer = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(corrupt("a command was committed before it ran")),
            (Err(broken), _) => Err(StoreError::unavailable(broken.clone())),
        };
        // Who doesn't wait any more needs no answer.
        drop(self.sender.send(answer));
    }
}

/// A command that waits for its turn.
pub(crate) enum Command {
    Accept(Box<NewApplication>, Slot<Accepted>),
    Save(Fence, Box<Save>, Slot<()>),
    Wish(ApplicationId, Wish, Timestamp, Slot<Option<Application>>),
    Remove(Fence, ApplicationId, Timestamp, Slot<()>),
    Lease(LeaseRequest, Slot<Option<Lease>>),
    Release(Fence, HolderId, Slot<()>),
    Record(Vec<AuditEntry>, Slot<()>),
    TrimEvents { keep: u64, limit: u32, slot: Slot<u64> },
    TrimAudit { keep: u64, limit: u32, slot: Slot<u64> },
}

impl Command {
    /// Runs it in the open transaction and keeps the outcome.
    pub(crate) async fn run<C: Writes>(&mut self, transaction: &mut Transaction<'_, C>) -> Result<(), Broken> {
        match self {
            Self::Accept(new, slot) => slot.fill(transaction.accept(new.as_ref().clone()).await),
            Self::Save(fence, save, slot) => slot.fill(transaction.save(fence, save.as_ref().clone()).await),
            Self::Wish(id, wish, at, slot) => slot.fill(transaction.wish(*id, *wish, *at).await),
            Self::Remove(fence, id, at, slot) => slot.fill(transaction.remove(fence, *id, *at).await),
            Self::Lease(request, slot) => slot.fill(transaction.lease(request).await),
            Self::Release(fence, holder, slot) => slot.fill(transaction.release(fence, holder).await),
            Self::Record(entries, slot) => slot.fill(transaction.record(entries).await),
            Self::TrimEvents { keep, limit, slot } => slot.fill(transaction.trim_events(*keep, *limit).await),
            Self::TrimAudit { keep, limit, slot } => slot.fill(transaction.trim_audit(*keep, *limit).await),
        }
    }

    /// Whether its client has gone. It may have been told that the command failed, so it must not run any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Accept(_, slot) => slot.is_abandoned(),
            Self::Save(_, _, slot) | Self::Remove(_, _, _, slot) | Self::Release(_, _, slot) => slot.is_abandoned(),
            Self::Wish(_, _, _, slot) => slot.is_abandoned(),
            Self::Lease(_, slot) => slot.is_abandoned(),
            Self::Record(_, slot) => slot.is_abandoned(),
            Self::TrimEvents { slot, .. } | Self::TrimAudit { slot, .. } => slot.is_abandoned(),
        }
    }

    /// Tells the client how it ended.
    pub(crate) fn answer(self, committed: Result<(), &Broken>) {
        match self {
            Self::Accept(_, slot) => slot.answer(committed),
            Self::Save(_, _, slot) | Self::Remove(_, _, _, slot) | Self::Release(_, _, slot) => slot.answer(committed),
            Self::Wish(_, _, _, slot) => slot.answer(committed),
            Self::Lease(_, slot) => slot.answer(committed),
            Self::Record(_, slot) => slot.answer(committed),
            Self::TrimEvents { slot, .. } | Self::TrimAudit { slot, .. } => slot.answer(committed),
        }
    }
}

/// An open transaction with its counters.
pub(crate) struct Transaction<'a, C> {
    pub(crate) connection: &'a mut C,
    pub(crate) ledger: Ledger,
}

impl<C: Writes> Transaction<'_, C> {
    async fn accept(&mut self, new: NewApplication) -> Result<Accepted, StoreError> {
        let key = new.idempotency.as_ref().map(|key| Replay::new(&new.owner, key, new.at));
        if let Some(replay) = key
            && let Some(known) = replay.run(self.connection).await?
        {
            return Ok(Accepted::Replayed(known));
        }
        self.check_name(&new).await?;
        if new.queue_max.is_some() {
            let length = self.ledger.queue_length(self.connection, &new.shard).await?;
            rules::check_queue(length, new.queue_max)?;
        }
        if new.tenant_max.is_some() {
            let open = self.ledger.open_of(self.connection, &new.owner.tenant).await?;
            rules::check_tenant(open, new.tenant_max)?;
        }
        let id = self.ledger.next_id(new.kind)?;
        let audit = rules::admission(new.audit.clone(), id);
        let application = rules::accepted(id, new);
        let values = columns::inserted(&application)?;
        self.ledger.take_id(application.id.kind())?;
        self.connection.write(columns::INSERT, values).await?;
        self.write_labels(&application).await?;
        if let Some(Replay { key, fingerprint, .. }) = key {
            self.write_key(key, fingerprint, application.id).await?;
        }
        self.record(audit.as_slice()).await?;
        self.ledger.count(None, Some(&application));
        self.append(application.accepted_at, EventKind::Accepted, &application).await?;
        Ok(Accepted::Created(application))
    }

    async fn write_key(&mut self, key: TextDigest, fingerprint: [u8; 32], id: ApplicationId) -> Result<(), StoreError> {
        let sql = "INSERT INTO keys (digest, fingerprint, application) VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO UPDATE \
             SET fingerprint = excluded.fingerprint, application = excluded.application, spent_at = NULL";
        self.connection.write(sql, vec![key.into(), fingerprint.into(), columns::row_id(id).into()]).await
    }

    /// Keeps the key of a removed application for a while, and forgets a few that were kept long enough.
    async fn spend_key(&mut self, id: ApplicationId, at: Timestamp) -> Result<(), StoreError> {
        let forget = "DELETE FROM keys WHERE digest IN (SELECT digest FROM keys WHERE spent_at <= ?1 ORDER BY spent_at LIMIT 16)";
        self.connection.write(forget, vec![at.before(KEY_KEPT).as_millis().into()]).await?;
        let spend = "UPDATE keys SET spent_at = ?2 WHERE application = ?1";
        self.connection.write(spend, vec![columns::row_id(id).into(), at.as_millis().into()]).await
    }

    async fn check_name(&mut self, new: &NewApplication) -> Result<(), StoreError> {
        let Some(name) = &new.spec.name else { return Ok(()) };
        let (tenant, user) = (new.owner.tenant.as_str(), new.owner.user.as_str());
        let values = vec![lookup_key(name).into(), columns::kind_number(new.kind).into(), tenant.into(), user.into()];
        let sql =
            "SELECT id FROM applications WHERE held_name = ?1 AND kind = ?2 AND owner_tenant = ?3 AND owner_user = ?4";
        let holder = self.connection.read_one(sql, values).await?;
        let Some(mut row) = holder else { return Ok(()) };
        Err(StoreError::NameTaken { name: name.clone(), holder: columns::application_id(row.int()?)? })
    }

    async fn write_labels(&mut self, application: &Application) -> Result<(), StoreError> {
        for values in label_rows(application) {
            let sql = "INSERT INTO labels (key, value, accepted_at, id) VALUES (?1, ?2, ?3, ?4)";
            self.connection.write(sql, values).await?;
        }
        Ok(())
    }

    async fn stored(&mut self, id: ApplicationId) -> Result<Option<Application>, StoreError> {
        Get(id).run(self.connection).await
    }

    async fn check_fence(&mut self, fence: &Fence) -> Result<(), StoreError> {
        let lease = self.ledger.lease(self.connection, &fence.shard).await?;
        rules::check_fence(fence, lease)
    }

    async fn save(&mut self, fence: &Fence, save: Save) -> Result<(), StoreError> {
        self.check_fence(fence).await?;
        let stored = self.stored(save.next.id).await?;
        rules::check_save(fence, stored.as_ref(), &save)?;
        let stored = stored.ok_or(StoreError::Conflict(save.next.id))?;
        let next = rules::saved(&stored, save.next);
        self.replace(&stored, &next).await?;
        match save.event {
            Some(kind) => self.append(save.at, kind, &next).await,
            None => Ok(()),
        }
    }

    async fn wish(&mut self, id: ApplicationId, wish: Wish, at: Timestamp) -> Result<Option<Application>, StoreError> {
        let Some(stored) = self.stored(id).await? else { return Ok(None) };
        let Some(next) = rules::wished(&stored, wish) else { return Ok(Some(stored)) };
        self.replace(&stored, &next).await?;
        self.append(at, EventKind::Wish(wish), &next).await?;
        Ok(Some(next))
    }

    async fn replace(&mut self, before: &Application, after: &Application) -> Result<(), StoreError> {
        self.connection.write(columns::UPDATE, columns::changed(after)?).await?;
        if let Some(values) = columns::moved(before, after) {
            self.connection.write(columns::MOVE, values).await?;
        }
        if rules::holds_name(before) && !rules::holds_name(after) {
            self.connection.write(columns::FREE_NAME, vec![columns::row_id(after.id).into()]).await?;
        }
        self.ledger.count(Some(before), Some(after));
        Ok(())
    }

    async fn remove(&mut self, fence: &Fence, id: ApplicationId, at: Timestamp) -> Result<(), StoreError> {
        self.check_fence(fence).await?;
        let Some(stored) = self.stored(id).await? else { return Ok(()) };
        rules::check_remove(fence, &stored)?;
        for values in label_rows(&stored) {
            let sql = "DELETE FROM labels WHERE key = ?1 AND value = ?2 AND accepted_at = ?3 AND id = ?4";
            self.connection.write(sql, values).await?;
        }
        self.connection.write("DELETE FROM applications WHERE id = ?1", vec![columns::row_id(id).into()]).await?;
        self.spend_key(id, at).await?;
        self.ledger.count(Some(&stored), None);
        self.append(at, EventKind::Removed, &stored).await
    }

    async fn lease(&mut self, request: &LeaseRequest) -> Result<Option<Lease>, StoreError> {
        let stored = self.ledger.lease(self.connection, &request.shard).await?;
        let Some((stored, lease)) = rules::grant(request, stored) else { return Ok(None) };
        self.ledger.set_lease(self.connection, &request.shard, stored).await?;
        Ok(Some(lease))
    }

    async fn release(&mut self, fence: &Fence, holder: &HolderId) -> Result<(), StoreError> {
        let stored = self.ledger.lease(self.connection, &fence.shard).await?;
        match rules::released(fence, holder, stored) {
            Some(lease) => self.ledger.set_lease(self.connection, &fence.shard, lease).await,
            None => Ok(()),
        }
    }

    async fn record(&mut self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        for entry in entries {
            let id = self.ledger.take_audit()?.0;
            let sql = "INSERT INTO audit (id, user_name, tenant, decision, body) VALUES (?1, ?2, ?3, ?4, ?5)";
            let user = entry.user.as_ref().map(|user| user.as_str());
            let tenant = entry.tenant.as_ref().map(|tenant| tenant.as_str());
            let body = record::write_audit(entry)?;
            let values =
                vec![count(id).into(), user.into(), tenant.into(), entry.decision.as_str().into(), body.into()];
            self.connection.write(sql, values).await?;
        }
        Ok(())
    }

    async fn trim_events(&mut self, keep: u64, limit: u32) -> Result<u64, StoreError> {
        let last = self.ledger.last_event()?.0;
        self.trim("events", last, keep, limit).await
    }

    async fn trim_audit(&mut self, keep: u64, limit: u32) -> Result<u64, StoreError> {
        let last = self.ledger.last_audit()?.0;
        self.trim("audit", last, keep, limit).await
    }

    /// Forgets the oldest rows of a table whose ids have no gaps, so that they count themselves.
    async fn trim(&mut self, table: &str, last: u64, keep: u64, limit: u32) -> Result<u64, StoreError> {
        let first = self.connection.read_one(&format!("SELECT min(id) FROM {table}"), vec![]).await?;
        let Some(first) = first.map(|mut row| row.optional_int()).transpose()?.flatten() else { return Ok(0) };
        let first = u64::try_from(first).map_err(corrupt)?;
        let excess = (last + 1).saturating_sub(first).saturating_sub(keep).min(limit.into());
        let delete = format!("DELETE FROM {table} WHERE id < ?1");
        self.connection.write(&delete, vec![count(first + excess).into()]).await?;
        Ok(excess)
    }

    async fn append(&mut self, at: Timestamp, kind: EventKind, application: &Application) -> Result<(), StoreError> {
        let event = rules::event(self.ledger.take_event()?, at, kind, application);
        let values = vec![count(event.id.0).into(), record::write_event(&event)?.into()];
        self.connection.write("INSERT INTO events (id, body) VALUES (?1, ?2)", values).await
    }
}

fn label_rows(application: &Application) -> impl Iterator<Item = Vec<Value>> {
    let place = [Value::from(application.accepted_at.as_millis()), columns::row_id(application.id).into()];
    application.spec.labels.iter().map(move |(key, value)| {
        let [accepted_at, id] = place.clone();
        vec![key.into(), value.into(), accepted_at, id]
    })
}
