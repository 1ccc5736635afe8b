//! How commands fail: a message, what belongs to it, a hint, and an exit code that scripts can rely on.

use anstyle::{AnsiColor, Style};

use super::screen::{ColorChoice, note, notes_coloured};
use super::table::printable;
use crate::client::ClientError;

/// The exit codes of `docs/cli.md`. `submit` and `wait` end with the application's code besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// Nobody reads the output any more, which is nobody's fault.
    ReaderGone = 0,
    /// It didn't work.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// There is no such application.
    NotFound = 4,
    /// No gateway answers at the address.
    Unreachable = 69,
    /// What this program was configured with is wrong.
    Config = 78,
    /// What was waited for did not happen in time, as with timeout(1).
    TimedOut = 124,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    code: Code,
    message: String,
    details: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// A failure with [`Code::Failed`].
    pub(crate) fn new(message: String) -> Self {
        Self { code: Code::Failed, message, details: Vec::new(), hint: None }
    }

    /// A wrong command line.
    pub(crate) fn usage(message: String) -> Self {
        Self { code: Code::Usage, ..Self::new(message) }
    }

    /// The end of a command whose output nobody reads any more; reported by nothing.
    pub(crate) fn reader_gone() -> Self {
        Self { code: Code::ReaderGone, ..Self::new(String::new()) }
    }

    /// Something that did not happen in time.
    pub(crate) fn timed_out(message: String) -> Self {
        Self { code: Code::TimedOut, ..Self::new(message) }
    }

    /// The same with another exit code.
    #[must_use]
    pub(crate) fn with_code(self, code: Code) -> Self {
        Self { code, ..self }
    }

    /// The same with one line for each of `details`.
    #[must_use]
    pub(crate) fn with_details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    /// Whether no gateway answers.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.code == Code::Unreachable
    }

    /// The same with advice.
    #[must_use]
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The exit code.
    pub(crate) const fn code(&self) -> u8 {
        self.code as u8
    }

    /// Whether the reader of the output has gone.
    pub(crate) fn is_reader_gone(&self) -> bool {
        self.code == Code::ReaderGone
    }

    /// Tells the user, and returns the exit code.
    pub(crate) fn report(&self, choice: ColorChoice) -> u8 {
        if !self.is_reader_gone() {
            note(&self.render(notes_coloured(choice)));
        }
        self.code()
    }

    fn render(&self, colours: bool) -> String {
        let paint = |text: &str, style: Style| match colours {
            true => format!("{}{text}{}", style.render(), style.render_reset()),
            false => text.to_owned(),
        };
        let mut text = format!("{} {}", paint("error:", AnsiColor::Red.on_default().bold()), printable(&self.message));
        for detail in &self.details {
            text.push_str(&format!("\n  {}", printable(detail)));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n{} {}", paint("hint:", AnsiColor::Cyan.on_default()), printable(hint)));
        }
        text
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        let (code, hint) = match &error {
            ClientError::InvalidUrl { .. } => {
                (Code::Config, Some("give it with --url or LAMPLIGHTER_URL, as http://HOST:PORT"))
            }
            ClientError::BadCertificates { .. } => {
                (Code::Config, Some("give them with --ca-file or LAMPLIGHTER_CA_FILE"))
            }
            ClientError::BadToken { .. } => (Code::Config, Some("give it with --token-file or LAMPLIGHTER_TOKEN")),
            ClientError::Unreachable { .. } | ClientError::Lost { .. } => (
                Code::Unreachable,
                Some("start one with `lamplighter serve`, or name another with --url or LAMPLIGHTER_URL"),
            ),
            ClientError::Refused { .. } if error.is_not_found() => {
                (Code::NotFound, Some("`lamplighter ps --all` lists what there is"))
            }
            ClientError::Refused { problem } if problem.code == "still_active" => {
                (Code::Failed, Some("`lamplighter rm --force` cancels it first"))
            }
            ClientError::Refused { problem } if problem.status == 401 => {
                (Code::Failed, Some("say who you are with --token-file or LAMPLIGHTER_TOKEN"))
            }
            ClientError::Refused { .. } => (Code::Failed, None),
            ClientError::Foreign { .. } => (Code::Unreachable, Some("check --url and LAMPLIGHTER_URL")),
            ClientError::Unreadable { .. } | ClientError::UnreadableStream { .. } => {
                (Code::Failed, Some("`lamplighter version` tells whether this program and the gateway fit together"))
            }
        };
        let details = match &error {
            ClientError::Refused { problem } => problem.errors.iter().map(field_problem).collect(),
            _ => Vec::new(),
        };
        Self { code, message, details, hint: hint.map(str::to_owned) }
    }
}

fn field_problem(problem: &api::FieldProblem) -> String {
    let place = place(&problem.pointer);
    let separator = if place.is_empty() { "" } else { ": " };
    let fix = problem.fix.as_ref().map(|fix| format!("; {fix}")).unwrap_or_default();
    format!("{place}{separator}{}{fix}", problem.detail)
}

/// A field of the request as the user of a command line knows it: a key of the configuration, or a flag.
fn place(pointer: &str) -> String {
    let mut steps = pointer.trim_start_matches('/').split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
    match (steps.next().as_deref().unwrap_or_default(), steps.next()) {
        ("", _) => String::new(),
        ("conf", Some(key)) => key,
        ("labels", Some(key)) => format!("--label {key}"),
        ("args", Some(index)) => format!("argument {}", index.parse().map_or(index, |i: usize| (i + 1).to_string())),
        ("resource", _) => "program".to_owned(),
        ("class_name", _) => "--class".to_owned(),
        (query, _) if query.starts_with('?') => format!("--{}", &query[1..]),
        (field, _) => format!("--{}", field.replace('_', "-")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn every_problem_has_its_line() {
        let mut problem = api::Problem::new(api::ProblemCode::InvalidApplication, "r1");
        problem.errors = vec![
            api::FieldProblem::new("/resource", "the program is missing").fix("give one"),
            api::FieldProblem::new("/conf/spark.driver.memory", "`9x` is no size").fix("write 512m"),
            api::FieldProblem::new("/labels/a~1b", "is misspelled"),
            api::FieldProblem::new("/args/0", "contains a NUL character"),
            api::FieldProblem::new("/max_attempts", "is too large"),
            api::FieldProblem::new("?limit", "is no number"),
            api::FieldProblem::new("", "expected an object"),
        ];
        let failure = Failure::from(ClientError::Refused { problem: Box::new(problem) });
        expect![[r"
            error: the application can't be accepted
              program: the program is missing; give one
              spark.driver.memory: `9x` is no size; write 512m
              --label a/b: is misspelled
              argument 1: contains a NUL character
              --max-attempts: is too large
              --limit: is no number
              expected an object"]]
        .assert_eq(&failure.render(false));
        assert_eq!(failure.code(), 1);
    }

    #[test]
    fn what_is_not_there_has_its_code() {
        let mut problem = api::Problem::new(api::ProblemCode::NotFound, "r1");
        problem.detail = Some("there is no batch-7\u{1b}[2J".to_owned());
        let failure = Failure::from(ClientError::Refused { problem: Box::new(problem) });
        expect![[r#""\u{1b}[1m\u{1b}[31merror:\u{1b}[0m there is no batch-7\\u{1b}[2J\n\u{1b}[36mhint:\u{1b}[0m `lamplighter ps --all` lists what there is""#]]
            .assert_eq(&format!("{:?}", failure.render(true)));
        assert_eq!(failure.code(), 4);
    }
}
