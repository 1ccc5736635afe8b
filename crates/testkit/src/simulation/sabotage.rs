//! Engines that are wrong on purpose: each must be found out, or the simulation proves nothing.

use engine::backend::{AttemptRef, LaunchOrder};
use engine::step::{Circumstances, Decide, Knowledge, Step, next_step};
use model::application::Application;
use model::state::State;

/// What is wrong with the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    None,
    /// It launches first and stores the intent afterwards.
    ActBeforeStoring,
    /// Its writes pass although another gateway has the lease.
    SkipFence,
    /// It doesn't look after drivers that it finds running after a restart.
    ForgetReattach,
}

impl Sabotage {
    /// Every way to be wrong.
    pub const ALL: [Self; 3] = [Self::ActBeforeStoring, Self::SkipFence, Self::ForgetReattach];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "sound",
            Self::ActBeforeStoring => "act-before-storing",
            Self::SkipFence => "skip-fence",
            Self::ForgetReattach => "forget-reattach",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::None].into_iter().chain(Self::ALL).find(|it| it.as_str() == text)
    }

    /// The decision that the sabotaged engine makes.
    pub(super) fn decide(self) -> Decide {
        match self {
            Self::None | Self::SkipFence => next_step,
            Self::ActBeforeStoring => launch_first,
            Self::ForgetReattach => never_look,
        }
    }
}

fn launch_first(application: &Application, knowledge: &Knowledge, at: &Circumstances<'_>) -> Step {
    let step = next_step(application, knowledge, at);
    match step {
        Step::Save(save) if save.next.state == State::Starting && knowledge.observation.is_none() => {
            let id = save.next.attempts.last().map_or(at.fresh_attempt, |attempt| attempt.id);
            Step::Launch(Box::new(LaunchOrder {
                attempt: AttemptRef { id, application: application.id, binding: at.binding.to_owned() },
                spec: application.spec.clone(),
                owner: application.owner.clone(),
                number: 1,
            }))
        }
        step => step,
    }
}

fn never_look(application: &Application, knowledge: &Knowledge, at: &Circumstances<'_>) -> Step {
    match next_step(application, knowledge, at) {
        Step::Observe(_) => Step::Rest { until: None },
        step => step,
    }
}
