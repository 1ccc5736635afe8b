//! Ends the gateway with SIGKILL, aimed at different parts of its life.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::Plan;
use super::progress::Progress;
use crate::chance::Chance;
use crate::gateway::Gateway;

/// The longest time that a gateway at work is let alone.
const WORK_MAX_MS: u64 = 120;
/// How long the killer waits for a client to submit something.
const ACKNOWLEDGEMENT_LIMIT: Duration = Duration::from_millis(300);
/// How long after an acknowledgement, or after a wish that it ends, the gateway is killed at most.
const MOMENT_MAX_US: u64 = 4_000;

/// What the gateway is killed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// Whatever it does.
    AtWork,
    /// Just after it acknowledged something.
    AfterAcceptance,
    /// Before it is ready.
    Starting,
    /// While it takes itself down.
    Ending,
}

impl Aim {
    const ALL: [Self; 4] = [Self::AtWork, Self::AfterAcceptance, Self::Starting, Self::Ending];

    const fn name(self) -> &'static str {
        match self {
            Self::AtWork => "at work",
            Self::AfterAcceptance => "after acceptance",
            Self::Starting => "starting",
            Self::Ending => "ending",
        }
    }

    fn choose(chance: &mut Chance) -> Self {
        match chance.between(0, 7) {
            0..=2 => Self::AtWork,
            3..=5 => Self::AfterAcceptance,
            6 => Self::Starting,
            _ => Self::Ending,
        }
    }
}

/// Kills as a plan says.
pub(super) struct Killer<'a> {
    chance: Chance,
    progress: &'a Progress,
    left: u32,
    counts: [u32; Aim::ALL.len()],
    ready_after: Duration,
    ready_after_max: Duration,
}

impl<'a> Killer<'a> {
    pub(super) fn new(plan: &Plan, progress: &'a Progress) -> Self {
        Self {
            chance: Chance(!plan.seed),
            progress,
            left: plan.kills,
            counts: [0; Aim::ALL.len()],
            ready_after: Duration::ZERO,
            ready_after_max: Duration::ZERO,
        }
    }

    /// Does all kills. The gateway is up before and afterwards.
    pub(super) fn run(&mut self, gateway: &mut Gateway) -> Result<()> {
        while self.left > 0 {
            let aim = Aim::choose(&mut self.chance);
            self.wait_for(aim, gateway)?;
            self.kill(aim, gateway)?;
            self.ready_after = gateway.restart()?;
            self.ready_after_max = self.ready_after_max.max(self.ready_after);
        }
        Ok(())
    }

    /// How many kills were aimed at what.
    pub(super) fn counts(&self) -> Vec<(&'static str, u32)> {
        Aim::ALL.iter().map(|aim| aim.name()).zip(self.counts).collect()
    }

    pub(super) const fn ready_after_max(&self) -> Duration {
        self.ready_after_max
    }

    fn wait_for(&mut self, aim: Aim, gateway: &mut Gateway) -> Result<()> {
        match aim {
            Aim::AtWork => self.let_pass(Duration::from_millis(WORK_MAX_MS)),
            Aim::AfterAcceptance => {
                self.progress.wait_for_acknowledgement(ACKNOWLEDGEMENT_LIMIT);
                self.let_pass(Duration::from_micros(MOMENT_MAX_US));
            }
            Aim::Starting => {
                gateway.kill9()?;
                gateway.spawn()?;
                self.let_pass(self.ready_after);
            }
            Aim::Ending => {
                gateway.terminate()?;
                self.let_pass(Duration::from_micros(MOMENT_MAX_US));
            }
        }
        Ok(())
    }

    /// The instant of a kill is chance, so here time does pass without a condition.
    fn let_pass(&mut self, limit: Duration) {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        thread::sleep(Duration::from_micros(self.chance.between(0, micros)));
    }

    fn kill(&mut self, aim: Aim, gateway: &mut Gateway) -> Result<()> {
        gateway.kill9()?;
        let kind = Aim::ALL.iter().position(|known| *known == aim).unwrap_or(0);
        self.counts[kind] += 1;
        self.left -= 1;
        self.progress.killed();
        Ok(())
    }
}
