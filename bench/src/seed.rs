//! Fills a store with ended applications, through the same commands that the gateway uses.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use engine::store::{Fence, LeaseRequest, NewApplication, Save, Store};
use model::application::{Application, Attempt};
use model::event::EventKind;
use model::id::{ApplicationKind, AttemptId, BackendName, HolderId, Shard, TenantName, UserName};
use model::label::Labels;
use model::principal::Owner;
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use model::state::{Exit, Reason, ReasonCode, State};
use model::time::Timestamp;
use store::sqlite::SqliteStore;
use tokio::task::JoinSet;

/// Commands under way at once, so that they share commits.
const AT_ONCE: u64 = 512;
/// Users that applications belong to.
const OWNERS: u64 = 50;
/// Teams that applications are labelled with.
const TEAMS: u64 = 100;
/// One of so many is left waiting.
const WAITING_ONE_OF: u64 = 1_000;
/// When the first was accepted: the start of 2026.
const FIRST: i64 = 1_767_225_600_000;

/// Stores `count` applications in the empty store `file`, as the gateway of the data folder `instance`.
pub(crate) fn fill(file: &Path, instance: &str, count: u64) -> Result<()> {
    let (shard, holder) = (Shard::new(&format!("local/{instance}"))?, HolderId::new(&format!("gateway/{instance}"))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(file)?);
        let ttl = Duration::from_secs(86_400);
        let request =
            LeaseRequest { shard, holder: holder.clone(), renew: None, now: Timestamp::from_millis(FIRST), ttl };
        let fence = store.lease(request).await?.context("the lease is somebody else's")?.fence;
        let next = Arc::new(AtomicU64::new(0));
        let mut workers: JoinSet<Result<()>> = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (store, fence, next) = (Arc::clone(&store), fence.clone(), Arc::clone(&next));
            workers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok(());
                    }
                    add(&*store, &fence, number).await?;
                }
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker??;
        }
        store.release(&fence, &holder).await?;
        Ok(())
    })
}

async fn add(store: &dyn Store, fence: &Fence, number: u64) -> Result<()> {
    let at = Timestamp::from_millis(FIRST + i64::try_from(number)? * 20_000);
    let accepted = store.accept(new_application(fence, number, at)?).await?.application().clone();
    if number.is_multiple_of(WAITING_ONE_OF) {
        return Ok(());
    }
    let starting = starting(accepted, at);
    save(store, fence, starting.clone(), at).await?;
    let at = at.after(Duration::from_secs(60));
    save(store, fence, ended(starting, number, at), at).await
}

fn new_application(fence: &Fence, number: u64, at: Timestamp) -> Result<NewApplication> {
    let mut labels = Labels::default();
    labels.insert("team", &format!("t{}", number % TEAMS))?;
    labels.insert("run", &format!("r{number}"))?;
    let mut conf = SparkConf::new();
    for (key, value) in
        [("spark.driver.memory", "2g"), ("spark.executor.memory", "4g"), ("spark.sql.shuffle.partitions", "64")]
    {
        conf.set(key, value)?;
    }
    let spec = ApplicationSpec {
        name: Some(format!("job-{number}")),
        resource: "/srv/jobs/daily.py".to_owned(),
        class_name: None,
        args: vec!["--date".to_owned(), "2026-11-21".to_owned()],
        conf,
        proxy_user: None,
        spark: None,
        labels,
        external_id: Some(format!("run-{number}")),
        limits: Limits::default(),
    };
    Ok(NewApplication {
        kind: ApplicationKind::Batch,
        spec: Arc::new(spec),
        owner: Owner {
            user: UserName::new(&format!("user-{}", number % OWNERS))?,
            tenant: TenantName::new("default")?,
        },
        retry_of: None,
        backend: BackendName::new("local")?,
        shard: fence.shard.clone(),
        at,
        idempotency: None,
        queue_max: None,
        tenant_max: None,
        audit: None,
    })
}

fn starting(mut application: Application, at: Timestamp) -> Application {
    application.attempts.push(Attempt::new(AttemptId::new(uuid::Uuid::now_v7()), 1, String::new(), at));
    Application { state: State::Starting, version: application.version + 1, ..application }
}

fn ended(mut application: Application, number: u64, at: Timestamp) -> Application {
    let (code, reason) = if number.is_multiple_of(10) { (1, ReasonCode::ExitCode) } else { (0, ReasonCode::Completed) };
    if let Some(attempt) = application.attempts.last_mut() {
        attempt.started_at = Some(attempt.created_at);
        attempt.ended_at = Some(at);
        attempt.exit = Some(Exit::Code(code));
        attempt.reason = Some(Reason::new(reason));
    }
    Application {
        state: reason.terminal_state(),
        reason: Some(Reason::new(reason)),
        ended_at: Some(at),
        version: application.version + 1,
        ..application
    }
}

async fn save(store: &dyn Store, fence: &Fence, next: Application, at: Timestamp) -> Result<()> {
    Ok(store.save(fence, Save { next, at, event: Some(EventKind::State) }).await?)
}
