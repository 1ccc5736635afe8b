//! A simulated gateway process: a reconciler that can die, come back, and be frozen without noticing.

use engine::reconciler::{AttemptIds, Effect, Input, Reconciler, Settings};
use engine::step::Decide;
use model::id::{AttemptId, HolderId, Shard};
use model::time::Timestamp;
use uuid::Uuid;

/// A gateway.
pub(super) struct Gateway {
    index: usize,
    pub(super) life: u64,
    reconciler: Option<Reconciler>,
    /// How far its clock is behind.
    lag_ms: i64,
    /// Until when it is frozen.
    pub(super) frozen_until: Option<Timestamp>,
    settings: Settings,
}

impl Gateway {
    pub(super) fn new(index: usize, shard: &Shard, places: usize, decide: Decide) -> Self {
        #[allow(clippy::unwrap_used, reason = "a spelling that is always right")]
        let holder = HolderId::new(&format!("gateway-{index}")).unwrap();
        let mut settings = Settings::new(shard.clone(), holder, "simulated".into(), places);
        settings.decide = decide;
        Self { index, life: 0, reconciler: None, lag_ms: 0, frozen_until: None, settings }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.reconciler.is_some()
    }

    pub(super) fn start(&mut self) {
        self.life += 1;
        self.lag_ms = 0;
        self.frozen_until = None;
        self.reconciler = Some(Reconciler::new(self.settings.clone(), attempt_ids(self.index, self.life)));
    }

    pub(super) fn crash(&mut self) {
        self.reconciler = None;
    }

    pub(super) fn freeze(&mut self, now: Timestamp, for_ms: i64) {
        self.frozen_until = Some(Timestamp::from_millis(now.as_millis() + for_ms));
        self.lag_ms += for_ms;
    }

    /// Hands an input in; what it wants done.
    pub(super) fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Effect> {
        let local = Timestamp::from_millis(now.as_millis() - self.lag_ms);
        self.reconciler.as_mut().map(|it| it.handle(input, local)).unwrap_or_default()
    }

    /// When it wants to be woken, by the world's clock.
    pub(super) fn next_wakeup(&self) -> Option<Timestamp> {
        let local = self.reconciler.as_ref()?.next_wakeup()?;
        Some(Timestamp::from_millis(local.as_millis() + self.lag_ms))
    }
}

/// Ids that differ between gateways, their lives and their attempts, and are the same in every run.
fn attempt_ids(gateway: usize, life: u64) -> AttemptIds {
    let mut counter = 0_u128;
    Box::new(move |_| {
        counter += 1;
        let high = ((gateway as u128 + 1) << 96) | (u128::from(life) << 64);
        AttemptId::new(Uuid::from_u128(high | counter))
    })
}
