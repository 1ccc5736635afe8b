//! Engines that are wrong on purpose: each must be found out, or the simulation proves nothing.

use engine::backend::{AttemptRef, LaunchOrder, Observation};
use engine::reconciler::{Input, Outcome, Token};
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
    /// It takes a launch that wasn't answered for one that never happened, for good.
    TrustFailedLaunch,
    /// It believes that everything it stores is stored.
    TrustUncertainSave,
}

impl Sabotage {
    /// Every way to be wrong.
    pub const ALL: [Self; 5] = [
        Self::ActBeforeStoring,
        Self::SkipFence,
        Self::ForgetReattach,
        Self::TrustFailedLaunch,
        Self::TrustUncertainSave,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "sound",
            Self::ActBeforeStoring => "act-before-storing",
            Self::SkipFence => "skip-fence",
            Self::ForgetReattach => "forget-reattach",
            Self::TrustFailedLaunch => "trust-failed-launch",
            Self::TrustUncertainSave => "trust-uncertain-save",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::None].into_iter().chain(Self::ALL).find(|it| it.as_str() == text)
    }

    /// The decision that the sabotaged engine makes.
    pub(super) fn decide(self) -> Decide {
        match self {
            Self::None | Self::SkipFence | Self::TrustFailedLaunch | Self::TrustUncertainSave => next_step,
            Self::ActBeforeStoring => launch_first,
            Self::ForgetReattach => never_look,
        }
    }
}

impl Sabotage {
    /// What the sabotaged engine understands of what it is told.
    pub(super) fn mishear(self, input: Input, is_launch: impl Fn(Token) -> bool) -> Input {
        match input {
            Input::Done(token, Outcome::Failed(_)) if self == Self::TrustFailedLaunch && is_launch(token) => {
                Input::Done(token, Outcome::Observed(Observation::NeverRan))
            }
            Input::Done(token, Outcome::Failed(_) | Outcome::Conflict) if self == Self::TrustUncertainSave => {
                Input::Done(token, Outcome::Applied)
            }
            input => input,
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
