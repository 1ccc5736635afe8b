//! What policy made of an application: shown in dry runs, answers and audit records.
//!
//! Values in here are fit to be shown: secrets are stars already.

use std::fmt;

use model::spec::ApplicationSpec;

/// What becomes of a submitted application.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The application as it will run. When there are refusals it is what came of it so far, and mustn't run.
    pub spec: ApplicationSpec,
    /// What was changed, in the order of the changes.
    pub changes: Vec<Change>,
    /// Everything that forbids it; it may run when there is nothing.
    pub refusals: Vec<Refusal>,
}

impl Verdict {
    /// Whether it may run.
    pub const fn is_allowed(&self) -> bool {
        self.refusals.is_empty()
    }
}

/// A value that policy set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The conf key, or `spark` for the Spark that runs it.
    pub key: String,
    /// What was submitted, without secrets.
    pub from: Option<String>,
    /// What it became, without secrets.
    pub to: String,
    /// Which rule says so, as a path in the configuration: `tenants.research.conf.force`.
    pub rule: String,
    /// Whether the submitter had a say.
    pub kind: ChangeKind,
}

/// Whether a change replaced what was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Nothing was submitted.
    Defaulted,
    /// Whatever was submitted doesn't count.
    Forced,
}

impl ChangeKind {
    /// The word in answers: `defaulted`, `forced`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Defaulted => "defaulted",
            Self::Forced => "forced",
        }
    }
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One reason why an application may not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The conf key, or the field: `resource`, `args`, `proxy_user`, `spark`, `backend`.
    pub key: String,
    /// Which rule says so: a path in the configuration, or `built-in.` and a name from the table of built-in rules.
    pub rule: String,
    /// Why, and what would be allowed; a sentence without secrets.
    pub message: String,
}

/// A submitted text as a message may quote it: one line, and not the whole of something huge.
pub(crate) fn excerpt(text: &str) -> String {
    const SHOWN_CHARS: usize = 100;
    let mut shown: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (rule {})", self.key, self.message, self.rule)
    }
}
