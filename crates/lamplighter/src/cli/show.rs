//! `lamplighter show`: everything about one application.

use model::time::Timestamp;

use super::failure::Failure;
use super::table::{Cell, printable, render};
use super::{Context, Format, human, view};

/// Flags of `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The application, batch-N
    #[arg(value_name = "ID")]
    pub(super) id: String,
    /// Print JSON
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    pub(super) output: Option<Format>,
}

/// Runs `show`.
///
/// # Errors
/// [`Failure`].
pub(super) async fn run(mut context: Context, args: &ShowArgs) -> Result<u8, Failure> {
    let answer = context.client.get(&args.id).await?;
    if args.output == Some(Format::Json) {
        context.screen.print_json(&answer.json)?;
    } else {
        let colours = context.screen.colours;
        context.screen.print(&describe(&answer.value, view::now(), colours))?;
    }
    Ok(0)
}

/// One line per fact that there is, then configuration and attempts.
pub(super) fn describe(application: &api::Application, now: Timestamp, colours: bool) -> String {
    let mut lines = Lines { text: String::new(), colours };
    lines.fact("Id", &application.id);
    lines.fact("Name", &view::display_name(application));
    lines.styled("State", view::word(application.state), view::style(application.state));
    if let Some(reason) = &application.reason {
        lines.fact("Reason", &format!("{} ({})", reason.message, reason.code));
        lines.optional("Evidence", reason.evidence.as_deref());
    }
    if application.wish != "run" && !application.state.is_terminal() {
        lines.fact("Wished", &application.wish);
    }
    lines.optional("Exit code", application.exit_code.map(|code| code.to_string()).as_deref());
    lines.fact("Owner", &application.owner);
    lines.fact("Backend", &application.backend);
    lines.optional("Spark", application.spark.as_deref());
    lines.fact("Program", &application.resource);
    lines.optional("Class", application.class_name.as_deref());
    if !application.args.is_empty() {
        lines.fact("Arguments", &application.args.iter().map(|arg| shell_word(arg)).collect::<Vec<_>>().join(" "));
    }
    lines.optional("Proxy user", application.proxy_user.as_deref());
    lines.optional("External id", application.external_id.as_deref());
    lines.optional("Retry of", application.retry_of.as_deref());
    lines.fact("Accepted", &application.accepted_at);
    lines.optional("Started", application.started_at.as_deref());
    lines.optional("Ended", application.ended_at.as_deref());
    lines.optional("Run timeout", application.run_timeout.as_deref());
    lines.optional("Queue timeout", application.queue_timeout.as_deref());
    lines.pairs("Labels", &application.labels);
    lines.pairs("Configuration", &application.conf);
    lines.text + &attempts(application, now, colours)
}

fn attempts(application: &api::Application, now: Timestamp, colours: bool) -> String {
    if application.attempts.is_empty() {
        return format!("Attempts:       none of {}\n", application.max_attempts);
    }
    let rows: Vec<Vec<Cell>> = application
        .attempts
        .iter()
        .map(|attempt| {
            let duration = view::span_of(attempt.started_at.as_deref(), attempt.ended_at.as_deref(), now);
            vec![
                Cell::new(&format!("{}/{}", attempt.number, application.max_attempts)),
                Cell::new(&attempt.created_at),
                Cell::new(&duration.map(human::span).unwrap_or_default()),
                Cell::new(&attempt.exit_code.map(|code| code.to_string()).unwrap_or_default()),
                Cell::new(attempt.reason.as_ref().map(|reason| reason.code.as_str()).unwrap_or_default()),
                Cell::new(&attempt.id),
            ]
        })
        .collect();
    let table = render(&["NUMBER", "BEGUN", "DURATION", "EXIT CODE", "REASON", "ID"], &rows, colours);
    table.lines().fold("Attempts:\n".to_owned(), |text, line| format!("{text}  {line}\n"))
}

struct Lines {
    text: String,
    colours: bool,
}

impl Lines {
    fn fact(&mut self, name: &str, value: &str) {
        self.styled(name, value, anstyle::Style::new());
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.fact(name, value);
        }
    }

    fn styled(&mut self, name: &str, value: &str, style: anstyle::Style) {
        let value = printable(value);
        let name = format!("{name}:");
        if self.colours && style != anstyle::Style::new() {
            self.text.push_str(&format!("{name:<16}{}{value}{}\n", style.render(), style.render_reset()));
        } else {
            self.text.push_str(&format!("{name:<16}{value}\n"));
        }
    }

    fn pairs(&mut self, name: &str, pairs: &std::collections::BTreeMap<String, String>) {
        if !pairs.is_empty() {
            self.text.push_str(&format!("{name}:\n"));
        }
        for (key, value) in pairs {
            self.text.push_str(&format!("  {}={}\n", printable(key), printable(value)));
        }
    }
}

/// An argument as it could be typed in a shell.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::view::tests::{application, failed, noon};
    use expect_test::expect;

    #[test]
    fn an_ended_application_tells_why() {
        expect![[r"
            Id:             batch-7
            Name:           日次集計
            State:          failed
            Reason:         the program failed; its log tells why (exit_code)
            Evidence:       ValueError: no rows
            Exit code:      3
            Owner:          ada
            Backend:        local
            Spark:          3.5
            Program:        /srv/jobs/daily.py
            Arguments:      --day 2026-11-20
            External id:    run-9
            Accepted:       2026-11-21T12:00:00.000Z
            Started:        2026-11-21T12:00:10.000Z
            Ended:          2026-11-21T12:05:00.000Z
            Labels:
              team=core
              tier=1
            Configuration:
              spark.app.name=日次集計
            Attempts:
              NUMBER   BEGUN                      DURATION   EXIT CODE   REASON   ID
              1/3      2026-11-21T12:00:09.000Z   3h29m                           019aa5c0-0000-7000-8000-000000000000
        "]]
        .assert_eq(&describe(&failed(), noon(), false));
    }

    #[test]
    fn a_waiting_application_has_no_attempts() {
        let waiting = application(&serde_json::json!({
            "state": "accepted", "wish": "cancel", "attempts": [], "started_at": null, "args": ["it's", ""], "conf": {},
        }));
        expect![[r"
            Id:             batch-12
            Name:           daily.py
            State:          accepted
            Wished:         cancel
            Owner:          ada
            Backend:        local
            Program:        /srv/jobs/daily.py
            Arguments:      'it'\''s' ''
            Accepted:       2026-11-21T12:00:00.000Z
            Attempts:       none of 1
        "]]
        .assert_eq(&describe(&waiting, noon(), false));
    }
}
