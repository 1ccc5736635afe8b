//! Applications as rows and as sentences. Pure: the time is handed in.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use api::application::State;
use model::time::Timestamp;

use super::human;
use super::table::{Cell, render, shorten};

/// Columns that names and the like may take in a narrow table.
const NARROW: usize = 40;

const HEADER: [&str; 9] = ["ID", "NAME", "STATE", "REASON", "AGE", "DURATION", "ATTEMPTS", "BACKEND", "OWNER"];
const HEADER_WIDE: [&str; 4] = ["SPARK", "EXTERNAL ID", "LABELS", "PROGRAM"];

/// The table of `applications` as it looks at `now`; `wide` has more columns and shortens nothing.
pub(crate) fn table(applications: &[api::Application], now: Timestamp, wide: bool, colours: bool) -> String {
    let mut header = HEADER.to_vec();
    if wide {
        header.extend(HEADER_WIDE);
    }
    let rows: Vec<Vec<Cell>> = applications.iter().map(|application| row(application, now, wide)).collect();
    render(&header, &rows, colours)
}

fn row(application: &api::Application, now: Timestamp, wide: bool) -> Vec<Cell> {
    let fit = |text: &str| if wide { text.to_owned() } else { shorten(text, NARROW) };
    let mut row = vec![
        Cell::new(&application.id),
        Cell::new(&fit(&display_name(application))),
        Cell::styled(word(application.state), style(application.state)),
        Cell::new(&short_reason(application)),
        Cell::new(&age(application, now).map(human::span).unwrap_or_default()),
        Cell::new(&duration(application, now).map(human::span).unwrap_or_default()),
        Cell::new(&format!("{}/{}", application.attempts.len(), application.max_attempts)),
        Cell::new(&application.backend),
        Cell::new(&fit(&application.owner)),
    ];
    if wide {
        let labels: Vec<String> = application.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        row.push(Cell::new(application.spark.as_deref().unwrap_or_default()));
        row.push(Cell::new(application.external_id.as_deref().unwrap_or_default()));
        row.push(Cell::new(&labels.join(",")));
        row.push(Cell::new(&application.resource));
    }
    row
}

/// What people call it: its name at the gateway, else what Spark calls it.
pub(crate) fn display_name(application: &api::Application) -> String {
    let spark_name = application.conf.get("spark.app.name").map(String::as_str);
    let file = application.resource.trim_end_matches('/').rsplit('/').next();
    let names = [application.name.as_deref(), spark_name, application.class_name.as_deref(), file];
    names.into_iter().flatten().next().unwrap_or_default().to_owned()
}

/// The word of the API.
pub(crate) const fn word(state: State) -> &'static str {
    match state {
        State::Accepted => "accepted",
        State::Starting => "starting",
        State::Running => "running",
        State::Stopping => "stopping",
        State::Succeeded => "succeeded",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}

/// How the word is shown in colour.
pub(crate) fn style(state: State) -> Style {
    match state {
        State::Accepted => Style::new(),
        State::Starting | State::Running | State::Stopping => AnsiColor::Yellow.on_default(),
        State::Succeeded => AnsiColor::Green.on_default(),
        State::Failed => AnsiColor::Red.on_default(),
        State::Cancelled => AnsiColor::BrightBlack.on_default(),
    }
}

/// The reason's code, with the exit code where that is the news.
fn short_reason(application: &api::Application) -> String {
    let Some(reason) = &application.reason else { return String::new() };
    match application.exit_code {
        Some(code) if reason.code == "exit_code" => format!("exit_code {code}"),
        _ => reason.code.clone(),
    }
}

/// What a state change says to somebody who follows: `failed: the program failed; its log tells why (ValueError: x)`.
pub(crate) fn sentence(state: State, reason: Option<&api::application::Reason>) -> String {
    let Some(reason) = reason else { return word(state).to_owned() };
    let evidence = reason.evidence.as_ref().map(|evidence| format!(" ({evidence})")).unwrap_or_default();
    format!("{}: {}{evidence}", word(state), reason.message)
}

fn age(application: &api::Application, now: Timestamp) -> Option<Duration> {
    Some(now.since(application.accepted_at.parse().ok()?))
}

/// How long the last driver has run, or ran.
fn duration(application: &api::Application, now: Timestamp) -> Option<Duration> {
    span_of(application.started_at.as_deref(), application.ended_at.as_deref(), now)
}

/// The time from `started` to `ended`, or to `now` when it hasn't ended.
pub(crate) fn span_of(started: Option<&str>, ended: Option<&str>, now: Timestamp) -> Option<Duration> {
    let started: Timestamp = started?.parse().ok()?;
    let ended = ended.map_or(Some(now), |ended| ended.parse().ok())?;
    Some(ended.since(started))
}

/// The exit code of the shell for an ended application: that of its driver, and 1 where none tells of the failure.
pub(crate) fn exit_code(application: &api::Application) -> u8 {
    let code = application.exit_code.and_then(|code| u8::try_from(code).ok());
    match application.state {
        State::Succeeded => 0,
        _ => code.filter(|code| *code != 0).unwrap_or(1),
    }
}

/// The present, for ages.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use expect_test::expect;

    /// An application as a gateway sends it, with `changes` laid over its fields.
    pub(crate) fn application(changes: &serde_json::Value) -> api::Application {
        let mut json = serde_json::json!({
            "id": "batch-12", "kind": "batch", "name": null, "state": "running", "reason": null, "wish": "run",
            "exit_code": null, "accepted_at": "2026-11-21T12:00:00.000Z", "started_at": "2026-11-21T12:00:10.000Z",
            "ended_at": null, "owner": "ada", "tenant": "default", "backend": "local", "spark": null,
            "resource": "/srv/jobs/daily.py", "class_name": null, "args": ["--day", "2026-11-20"],
            "conf": {"spark.driver.memory": "1g"}, "proxy_user": null, "labels": {}, "external_id": null,
            "max_attempts": 1, "run_timeout": null, "queue_timeout": null, "retry_of": null,
            "attempts": [{"id": "019aa5c0-0000-7000-8000-000000000000", "number": 1,
                "created_at": "2026-11-21T12:00:09.000Z", "started_at": "2026-11-21T12:00:10.000Z",
                "ended_at": null, "exit_code": null, "reason": null}],
        });
        let fields = json.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        serde_json::from_value(json).unwrap()
    }

    /// One that ended with exit code 3.
    pub(crate) fn failed() -> api::Application {
        application(&serde_json::json!({
            "id": "batch-7", "state": "failed", "exit_code": 3, "ended_at": "2026-11-21T12:05:00.000Z",
            "conf": {"spark.app.name": "日次集計"}, "max_attempts": 3, "external_id": "run-9",
            "labels": {"team": "core", "tier": "1"}, "spark": "3.5",
            "reason": {"code": "exit_code", "message": "the program failed; its log tells why", "evidence": "ValueError: no rows"},
        }))
    }

    pub(crate) fn noon() -> Timestamp {
        "2026-11-21T15:30:00Z".parse().unwrap()
    }

    #[test]
    fn tables_show_what_people_ask_first() {
        let waiting = application(&serde_json::json!({
            "id": "batch-13", "state": "accepted", "name": "etl\u{1b}[31m", "started_at": null, "attempts": [],
            "accepted_at": "2026-11-21T15:29:30Z",
        }));
        let applications = [waiting, application(&serde_json::json!({})), failed()];
        expect![[r"
            ID         NAME            STATE      REASON        AGE     DURATION   ATTEMPTS   BACKEND   OWNER
            batch-13   etl\u{1b}[31m   accepted                 30s                0/1        local     ada
            batch-12   daily.py        running                  3h30m   3h29m      1/1        local     ada
            batch-7    日次集計        failed     exit_code 3   3h30m   4m50s      1/3        local     ada
        "]]
        .assert_eq(&table(&applications, noon(), false, false));
        expect![[r"
            ID        NAME       STATE    REASON        AGE     DURATION   ATTEMPTS   BACKEND   OWNER   SPARK   EXTERNAL ID   LABELS             PROGRAM
            batch-7   日次集計   failed   exit_code 3   3h30m   4m50s      1/3        local     ada     3.5     run-9         team=core,tier=1   /srv/jobs/daily.py
        "]]
        .assert_eq(&table(&[failed()], noon(), true, false));
    }

    #[test]
    fn states_speak() {
        let failed = failed();
        expect!["failed: the program failed; its log tells why (ValueError: no rows)"]
            .assert_eq(&sentence(failed.state, failed.reason.as_ref()));
        expect!["running"].assert_eq(&sentence(State::Running, None));
    }

    #[test]
    fn a_failure_never_ends_with_zero() {
        let code = |state: &str, code: Option<i32>| {
            exit_code(&application(&serde_json::json!({"state": state, "exit_code": code})))
        };
        assert_eq!(code("succeeded", Some(0)), 0);
        assert_eq!(code("failed", Some(3)), 3);
        assert_eq!(code("failed", None), 1);
        assert_eq!(code("cancelled", Some(0)), 1);
        assert_eq!(code("cancelled", Some(143)), 143);
        assert_eq!(code("failed", Some(1_000)), 1);
    }
}
