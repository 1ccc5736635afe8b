//! The contract of [`engine::store::Store`] as laws, each of them a test that every store runs under its own name.
//!
//! A store joins with one line, `testkit::store_contract!(start)`, where `start` makes a [`Bed`]: an empty store and
//! a way to open it again, as a restarted or a second gateway would. Start reading with [`Lab`], which laws talk to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a law is broken by panicking")]

pub mod accepting;
pub mod audit;
pub mod concurrency;
pub mod events;
pub mod fields;
pub mod leases;
pub mod lists;
pub mod names;
pub mod queues;
pub mod removing;
pub mod saving;
pub mod wishes;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::store::{DynStore, Fence, LeaseRequest, NewApplication, Save, StoreError};
use model::application::{Application, Attempt, Wish};
use model::event::EventKind;
use model::id::{ApplicationId, ApplicationKind, AttemptId, BackendName, HolderId, Shard, TenantName, UserName};
use model::principal::Owner;
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use model::state::{Exit, Reason, ReasonCode, State};
use model::time::Timestamp;
use uuid::Uuid;

/// No law takes this long, not even on a busy machine; one that does waits for what never comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// One place for data: every store opened on it sees the same.
#[async_trait]
pub trait Bed: Send + Sync {
    /// Opens the data as another gateway would.
    async fn open(&self) -> DynStore;
}

/// What a store's tests can start with.
pub enum Start {
    /// An empty bed.
    Ready(Arc<dyn Bed>),
    /// This machine lacks what the store needs.
    Skip(String),
}

/// What a law is given: an empty store with helpers, all on one shard unless said otherwise.
pub struct Lab {
    bed: Arc<dyn Bed>,
    /// The store under test.
    pub store: DynStore,
}

/// Generates one `#[test]` per law; the argument is a function that answers [`Start`].
#[macro_export]
macro_rules! store_contract {
    ($start:path) => {
        $crate::store_contract! { @laws $start;
            accepting: an_accepted_application_can_be_read, numbers_count_per_kind_without_gaps,
                a_repeated_key_answers_the_first_application, a_key_belongs_to_its_owner,
                a_key_for_another_request_is_refused, a_key_outlives_its_application, a_repetition_needs_no_room, a_replay_can_be_asked_for,
                a_full_queue_takes_no_more, a_tenant_has_so_many_at_once;
            audit: the_record_can_be_searched, an_admission_is_recorded_with_its_application, the_record_is_kept;
            names: names_are_unique_per_kind, names_of_owners_never_meet, one_of_many_gets_the_name, a_name_is_free_when_its_holder_is_gone,
                a_name_is_kept_by_ended_applications, names_of_any_length_and_spelling;
            saving: a_save_replaces_the_mutable_part, a_save_keeps_what_never_changes, other_versions_conflict,
                only_legal_transitions_are_saved, saves_are_fenced, a_fence_covers_its_shard,
                a_refused_save_leaves_no_trace, one_of_many_savers_wins;
            leases: a_free_lease_is_granted, a_running_lease_is_respected, an_ended_lease_is_taken_over,
                renewal_keeps_the_epoch, asking_again_raises_the_epoch, a_lost_lease_is_not_renewed,
                a_released_lease_is_free_at_once, only_the_holder_releases, one_of_many_takers_wins,
                a_lease_outlives_its_gateway;
            wishes: wishes_only_rise, cancelling_what_ended_changes_nothing, what_ended_can_be_deleted,
                wishing_for_nothing_answers_none, a_wish_makes_a_save_conflict;
            removing: only_what_ended_and_is_unwanted_is_removed, removal_is_complete, removal_is_repeatable,
                removal_is_fenced, numbers_are_never_used_again;
            queues: the_queue_is_in_order, the_queue_leaves_out, due_are_the_earliest_first, next_due_is_the_next_change,
                queue_length_counts_the_accepted, active_applications_page_by_id, retention_by_age,
                retention_by_count, retention_by_both;
            lists: nothing_is_found_where_nothing_may_be_seen, newest_come_first, every_filter_agrees_with_the_model, labels_and_states_filter,
                pages_are_complete_while_others_insert, positions_agree_with_the_model, positions_cross_blocks;
            events: every_change_is_told_once, events_page_in_order, trimming_forgets_the_oldest,
                the_newest_event_moves_after_commits, another_gateway_learns_of_events,
                a_follower_never_meets_a_smaller_id;
            fields: arbitrary_applications_come_back_as_they_were, arbitrary_attempts_come_back_as_they_were;
            concurrency: many_gateways_keep_the_invariants, what_was_answered_survives_reopening;
        }
    };
    (@laws $start:path; $($group:ident: $($law:ident),+ $(,)?;)+) => {
        $($(
            #[test]
            fn $law() {
                $crate::store_contract::check($start, stringify!($law), $crate::store_contract::$group::$law);
            }
        )+)+
    };
}

/// Runs one law on a fresh bed.
pub fn check<F: Future<Output = ()>>(start: impl FnOnce() -> Start, name: &str, law: impl FnOnce(Lab) -> F) {
    let bed = match start() {
        Start::Ready(bed) => bed,
        Start::Skip(why) => {
            println!("skipped {name}: {why}");
            return;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = bed.open().await;
        let run = Box::pin(law(Lab { bed, store }));
        tokio::time::timeout(PATIENCE, run).await.unwrap_or_else(|_| panic!("{name} waits for what never comes"));
    });
}

impl Lab {
    /// The same data as another gateway opens it.
    pub async fn another(&self) -> DynStore {
        self.bed.open().await
    }

    /// Accepts what must be acceptable.
    pub async fn accept(&self, new: NewApplication) -> Application {
        self.store.accept(new).await.unwrap().application().clone()
    }

    /// The lease of `shard`, taken anew.
    pub async fn fence_of(&self, shard: &Shard) -> Fence {
        self.store.lease(lease_request(shard, "lab", None, 0)).await.unwrap().unwrap().fence
    }

    /// The lease of the shard that everything is on.
    pub async fn fence(&self) -> Fence {
        self.fence_of(&shard()).await
    }

    /// The application as it is stored.
    pub async fn get(&self, id: ApplicationId) -> Application {
        self.store.get(id).await.unwrap().unwrap()
    }

    /// Raises a wish.
    pub async fn wish(&self, id: ApplicationId, wish: Wish) -> Application {
        self.store.wish(id, wish, at(5)).await.unwrap().unwrap()
    }

    /// Saves the application with `change` made to it.
    pub async fn change(&self, fence: &Fence, id: ApplicationId, change: impl FnOnce(&mut Application)) -> Application {
        let stored = self.get(id).await;
        let mut next = Application { version: stored.version + 1, ..stored.clone() };
        change(&mut next);
        let event = (next.state != stored.state).then_some(EventKind::State);
        self.store.save(fence, Save { next: next.clone(), at: at(6), event }).await.unwrap();
        next
    }

    /// Brings a just accepted application to `state` by legal steps.
    pub async fn bring(&self, fence: &Fence, id: ApplicationId, state: State) -> Application {
        let mut application = self.get(id).await;
        for step in way_to(state) {
            application = self.change(fence, id, |next| step_to(next, *step)).await;
        }
        application
    }
}

/// The states after `accepted` on a way to `state`.
fn way_to(state: State) -> &'static [State] {
    match state {
        State::Accepted => &[],
        State::Starting => &[State::Starting],
        State::Running => &[State::Starting, State::Running],
        State::Stopping => &[State::Starting, State::Stopping],
        State::Succeeded => &[State::Starting, State::Running, State::Succeeded],
        State::Failed => &[State::Failed],
        State::Cancelled => &[State::Cancelled],
    }
}

/// Changes an application as the engine would when it goes to `state`.
pub fn step_to(next: &mut Application, state: State) {
    next.state = state;
    if state == State::Starting {
        let number = u32::try_from(next.attempts.len()).unwrap() + 1;
        next.attempts.push(Attempt::new(attempt_id(next.id, number), number, "host/boot".into(), at(2)));
    }
    if state.is_terminal() {
        let (exit, code) = match state {
            State::Succeeded => (Exit::Code(0), ReasonCode::Completed),
            State::Cancelled => (Exit::Signal(15), ReasonCode::CancelledByUser),
            _ => (Exit::Code(3), ReasonCode::ExitCode),
        };
        next.ended_at = Some(at(9));
        next.reason = Some(Reason::with_evidence(code, "the last line"));
        if let Some(attempt) = next.attempts.last_mut() {
            (attempt.ended_at, attempt.exit) = (Some(at(9)), Some(exit));
        }
    }
}

fn attempt_id(id: ApplicationId, number: u32) -> AttemptId {
    AttemptId::new(Uuid::from_u128((u128::from(id.number()) << 64) | (0x7 << 76) | u128::from(number)))
}

/// An instant `millis` after the beginning of the laws' time.
pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

/// The shard that laws use.
pub fn shard() -> Shard {
    Shard::new("local/here").unwrap()
}

/// A shard that is none of ours.
pub fn other_shard() -> Shard {
    Shard::new("local/elsewhere").unwrap()
}

/// The owner `user` of the laws' tenant.
pub fn owner(user: &str) -> Owner {
    member(user, "core")
}

/// A user of a tenant.
pub fn member(user: &str, tenant: &str) -> Owner {
    Owner { user: UserName::new(user).unwrap(), tenant: TenantName::new(tenant).unwrap() }
}

/// A small program.
pub fn spec() -> ApplicationSpec {
    ApplicationSpec {
        name: None,
        resource: "/jobs/count.py".into(),
        class_name: None,
        args: vec!["--day".into(), "2026-11-21".into()],
        conf: SparkConf::default(),
        proxy_user: None,
        spark: None,
        labels: model::label::Labels::default(),
        external_id: None,
        limits: Limits::default(),
    }
}

/// A batch of that program.
pub fn batch() -> NewApplication {
    NewApplication {
        kind: ApplicationKind::Batch,
        spec: Arc::new(spec()),
        owner: owner("ada"),
        retry_of: None,
        backend: BackendName::new("local").unwrap(),
        shard: shard(),
        at: at(0),
        idempotency: None,
        queue_max: None,
        tenant_max: None,
        audit: None,
    }
}

/// A batch with a name.
pub fn named(name: &str) -> NewApplication {
    NewApplication { spec: Arc::new(ApplicationSpec { name: Some(name.into()), ..spec() }), ..batch() }
}

/// A request for the lease of `shard` at `at(now)` that lasts ten milliseconds.
pub fn lease_request(shard: &Shard, holder: &str, renew: Option<u64>, now: i64) -> LeaseRequest {
    let holder = HolderId::new(holder).unwrap();
    LeaseRequest { shard: shard.clone(), holder, renew, now: at(now), ttl: Duration::from_millis(10) }
}

/// The ids of applications, in their order.
pub fn ids(applications: &[Application]) -> Vec<ApplicationId> {
    applications.iter().map(|application| application.id).collect()
}

/// The word for an outcome, so that laws can be tables.
pub fn outcome<T>(result: &Result<T, StoreError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(StoreError::NameTaken { .. }) => "name taken",
        Err(StoreError::KeyReused) => "key reused",
        Err(StoreError::KeySpent(_)) => "key spent",
        Err(StoreError::Full(_)) => "full",
        Err(StoreError::TenantFull(_)) => "tenant full",
        Err(StoreError::NumbersExhausted(_)) => "numbers exhausted",
        Err(StoreError::Conflict(_)) => "conflict",
        Err(StoreError::Fenced(_)) => "fenced",
        Err(StoreError::Unavailable(_)) => "unavailable",
        Err(StoreError::Corrupt(_)) => "corrupt",
    }
}
