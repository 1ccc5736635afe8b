//! The gateway's own flags of `submit`. clap only collects their texts: what is wrong with them is told together with
//! what is wrong with spark-submit's options.

use model::duration::{SparkDuration, TimeUnit};
use model::spark_submit::Problem;

use super::Document;

/// The gateway's own flags; they may stand anywhere before the program.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Flags {
    /// Backend to run on; the gateway chooses if absent
    #[arg(long, value_name = "NAME")]
    pub(super) backend: Option<String>,
    /// Spark installation to run with; the backend's default if absent
    #[arg(long, value_name = "NAME")]
    pub(super) spark: Option<String>,
    /// Attempts in all; only a lost driver is tried again, a failed program isn't
    #[arg(long, value_name = "N")]
    pub(super) max_attempts: Option<String>,
    /// Longest time one attempt may run: 90s, 10m, 2h
    #[arg(long, value_name = "TIME")]
    pub(super) run_timeout: Option<String>,
    /// Longest time it may wait for its start
    #[arg(long, value_name = "TIME")]
    pub(super) queue_timeout: Option<String>,
    /// Label to find it by; repeat it for several
    #[arg(long, value_name = "KEY=VALUE")]
    pub(super) label: Vec<String>,
    /// Your own identifier for it
    #[arg(long, value_name = "ID")]
    pub(super) external_id: Option<String>,
    /// Makes repeating this command harmless: the same key gets the same application
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    /// Print the application's id and end, instead of following it
    #[arg(long, short)]
    pub(super) detach: bool,
    /// Print nothing of our own but errors
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Tell what would come of it, and run nothing: what the gateway's policy changes or refuses, what is wrong, what
    /// would be made on a cluster
    #[arg(long, conflicts_with_all = ["detach", "idempotency_key"])]
    pub(super) dry_run: bool,
    /// Print a document: with --detach the application instead of its id, with --dry-run all that would come of it
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub(super) output: Option<Document>,
}

impl Flags {
    /// What is wrong with them.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut refuse = |option: &str, what: String, fix: &str| {
            problems.push(Problem { option: option.to_owned(), what, fix: fix.to_owned() });
        };
        if let Some(text) = self.max_attempts.as_deref().filter(|_| self.attempts().is_none()) {
            refuse("--max-attempts", format!("`{text}` is no number"), "write how many attempts there may be in all");
        }
        for (option, time) in [("--run-timeout", &self.run_timeout), ("--queue-timeout", &self.queue_timeout)] {
            if let Some(Err(error)) = time.as_deref().map(|text| SparkDuration::parse(text, TimeUnit::Second)) {
                refuse(option, error.to_string(), "write a time such as 90s, 10m or 2h");
            }
        }
        for label in self.label.iter().filter(|label| !label.contains('=')) {
            refuse("--label", format!("`{label}` has no value"), "write KEY=VALUE");
        }
        problems
    }

    /// The labels that have values.
    pub(super) fn labels(&self) -> impl Iterator<Item = (String, String)> {
        let pairs = self.label.iter().filter_map(|label| label.split_once('='));
        pairs.map(|(key, value)| (key.to_owned(), value.to_owned()))
    }

    /// How many attempts there may be, if that is said and a number.
    pub(super) fn attempts(&self) -> Option<u32> {
        self.max_attempts.as_deref()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn all_that_is_wrong_is_told() {
        let flags = Flags {
            max_attempts: Some("some".to_owned()),
            run_timeout: Some("soon".to_owned()),
            queue_timeout: Some("2h".to_owned()),
            label: vec!["team=core".to_owned(), "urgent".to_owned()],
            ..Flags::default()
        };
        let told: String = flags.problems().iter().map(|problem| format!("{problem}\n")).collect();
        expect![[r#"
            --max-attempts: `some` is no number; write how many attempts there may be in all
            --run-timeout: time `soon` is not a whole number with a unit, such as 30s or 2h; write a time such as 90s, 10m or 2h
            --label: `urgent` has no value; write KEY=VALUE
        "#]].assert_eq(&told);
        assert_eq!(flags.labels().collect::<Vec<_>>(), [("team".to_owned(), "core".to_owned())]);
    }
}
