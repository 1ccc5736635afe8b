//! Getting the shard's lease, keeping it, and letting go of everything when it is lost.

use std::time::Duration;

use model::time::Timestamp;

use super::timers::Timer;
use super::{Action, Outcome, Purpose, Queue, Reconciler};
use crate::store::{Fence, Lease, LeaseRequest};

/// What the reconciler believes about the lease.
#[derive(Debug, Default)]
pub(super) struct LeaseState {
    held: Option<Lease>,
    /// When to ask or renew; at once when absent.
    ask_at: Option<Timestamp>,
}

impl LeaseState {
    pub(super) fn fence(&self) -> Option<&Fence> {
        self.held.as_ref().map(|lease| &lease.fence)
    }
}

impl Reconciler {
    /// Stops acting when the lease may have run out, without asking anyone: another may have it.
    pub(super) fn expire_lease(&mut self, now: Timestamp) {
        if self.lease.held.as_ref().is_some_and(|lease| lease.expires_at <= now) {
            self.lose_lease(now);
        }
    }

    pub(super) fn lose_lease(&mut self, now: Timestamp) {
        self.lease = LeaseState { held: None, ask_at: Some(now.after(self.settings.lease_ttl / 3)) };
        self.queue = Queue::default();
        self.tasks.clear();
        self.by_attempt.clear();
        self.flights.clear();
        self.general.clear();
        self.timers.clear();
    }

    pub(super) fn pursue_lease(&mut self, now: Timestamp) {
        let due = self.lease.ask_at.is_none_or(|at| at <= now);
        if due && !self.is_under_way(|purpose| matches!(purpose, Purpose::Lease { .. })) {
            let request = LeaseRequest {
                shard: self.settings.shard.clone(),
                holder: self.settings.holder.clone(),
                renew: self.lease.fence().map(|fence| fence.epoch),
                now,
                ttl: self.settings.lease_ttl,
            };
            self.emit(Purpose::Lease { asked_at: now }, Action::Lease(request), now);
        }
        if let Some(at) = self.next_lease_look() {
            self.timers.set(Timer::Lease, at);
        }
    }

    fn next_lease_look(&self) -> Option<Timestamp> {
        let expiry = self.lease.held.as_ref().map(|lease| lease.expires_at);
        let ask = self.lease.ask_at.filter(|_| !self.is_under_way(|purpose| matches!(purpose, Purpose::Lease { .. })));
        match (ask, expiry) {
            (Some(ask), Some(expiry)) => Some(ask.min(expiry)),
            (one, other) => one.or(other),
        }
    }

    pub(super) fn leased(&mut self, outcome: Outcome, asked_at: Timestamp, now: Timestamp) {
        match outcome {
            Outcome::Leased(Some(lease)) => {
                let renewed = self.lease.fence().is_some_and(|fence| *fence == lease.fence);
                if !renewed {
                    // Whatever was known belongs to an earlier epoch.
                    self.lose_lease(now);
                }
                self.lease.ask_at = Some(asked_at.after(self.settings.lease_ttl / 3));
                self.lease.held = Some(lease);
            }
            Outcome::Leased(None) if self.lease.held.is_some() => self.lose_lease(now),
            Outcome::Leased(None) => self.lease.ask_at = Some(now.after(self.settings.lease_ttl / 3)),
            // Not knowing, the lease is kept until it runs out; asking again is soon enough before that.
            _ => self.lease.ask_at = Some(now.after((self.settings.lease_ttl / 15).max(Duration::from_millis(100)))),
        }
    }
}
