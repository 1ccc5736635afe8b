//! Decides what the supervisor does to bring an attempt to its end: pure, driven by events and the time.
//!
//! A driver may be told to end or end by itself. Either way its descendants must be gone before the attempt
//! counts as ended: first they are asked, after their grace they are killed, again and again until none is left.

use std::time::{Duration, Instant};

/// How long descendants that outlive the driver may take to end by themselves.
const LINGER_MAX: Duration = Duration::from_secs(2);
/// How long killed processes get before they are looked for again; each death cuts it short.
const KILL_INTERVAL: Duration = Duration::from_millis(20);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Nothing,
    /// Ask the driver's process group to end.
    AskDriver,
    /// Ask every descendant to end.
    AskDescendants,
    /// Kill every descendant.
    KillDescendants,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nobody wants it to end.
    Running,
    /// The driver was asked to end.
    Stopping { kill_at: Instant },
    /// The driver ended; its descendants were asked to.
    Lingering { kill_at: Instant },
    /// Nothing is asked any more.
    Killing { again_at: Instant },
}

impl Ending {
    /// It shall end within `grace`. Asking again can shorten the grace, not lengthen it.
    pub(super) fn stop(&mut self, now: Instant, grace: Duration) -> Action {
        let until = now + grace;
        match self {
            Self::Running => {
                *self = Self::Stopping { kill_at: until };
                if grace.is_zero() { self.tick(now) } else { Action::AskDriver }
            }
            Self::Stopping { kill_at } | Self::Lingering { kill_at } => {
                *kill_at = until.min(*kill_at);
                self.tick(now)
            }
            Self::Killing { .. } => Action::Nothing,
        }
    }

    /// The driver's own process ended, and some of its descendants are left.
    pub(super) fn driver_ended(&mut self, now: Instant) -> Action {
        let kill_at = match *self {
            Self::Running => now + LINGER_MAX,
            Self::Stopping { kill_at } => kill_at.min(now + LINGER_MAX),
            Self::Lingering { .. } | Self::Killing { .. } => return Action::Nothing,
        };
        *self = Self::Lingering { kill_at };
        Action::AskDescendants
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) -> Action {
        match *self {
            Self::Stopping { kill_at: due } | Self::Lingering { kill_at: due } | Self::Killing { again_at: due }
                if due <= now =>
            {
                *self = Self::Killing { again_at: now + KILL_INTERVAL };
                Action::KillDescendants
            }
            _ => Action::Nothing,
        }
    }

    /// When [`Self::tick`] has something to do.
    pub(super) const fn next_tick(&self) -> Option<Instant> {
        match *self {
            Self::Running => None,
            Self::Stopping { kill_at } | Self::Lingering { kill_at } => Some(kill_at),
            Self::Killing { again_at } => Some(again_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    #[test]
    fn a_stop_asks_once_and_kills_after_the_grace() {
        let start = Instant::now();
        let mut ending = Ending::Running;
        assert_eq!(ending.stop(start, GRACE), Action::AskDriver);
        assert_eq!(ending.stop(start + GRACE / 2, GRACE), Action::Nothing);
        assert_eq!(ending.tick(start + GRACE - Duration::from_millis(1)), Action::Nothing);
        assert_eq!(ending.tick(start + GRACE), Action::KillDescendants);
        assert_eq!(ending.tick(start + GRACE), Action::Nothing);
        assert_eq!(ending.tick(start + GRACE + KILL_INTERVAL), Action::KillDescendants);
    }

    #[test]
    fn a_second_stop_can_be_more_urgent() {
        let start = Instant::now();
        let mut ending = Ending::Running;
        ending.stop(start, GRACE);
        assert_eq!(ending.stop(start, Duration::ZERO), Action::KillDescendants);
        assert_eq!(Ending::Running.stop(start, Duration::ZERO), Action::KillDescendants);
    }

    #[test]
    fn descendants_get_a_moment_but_never_longer_than_the_grace() {
        let start = Instant::now();
        let mut by_itself = Ending::Running;
        assert_eq!(by_itself.driver_ended(start), Action::AskDescendants);
        assert_eq!(by_itself.next_tick(), Some(start + LINGER_MAX));
        let mut stopped = Ending::Running;
        stopped.stop(start, Duration::from_secs(1));
        assert_eq!(stopped.driver_ended(start), Action::AskDescendants);
        assert_eq!(stopped.next_tick(), Some(start + Duration::from_secs(1)));
        assert_eq!(stopped.driver_ended(start), Action::Nothing);
    }
}
