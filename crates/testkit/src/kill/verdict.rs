//! Compares what became of the jobs with what the gateway promised when it acknowledged them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::clients::{Acknowledged, submit};
use super::job::{Fate, Job, Jobs};
use crate::gateway::{Client, Gateway, wait_until};

/// An attempt that no store knows of. Once it is reported, everything else that would be has been looked for too.
const FOREIGN_ATTEMPT: &str = "01900000-0000-7000-8000-000000000000";

/// What the judge found.
pub(super) struct Verdict {
    pub(super) runs: usize,
    pub(super) problems: Vec<String>,
}

/// Waits for everything to come to rest, and judges it.
pub(super) fn judge(gateway: &mut Gateway, jobs: &Jobs, acknowledged: &Acknowledged) -> Result<Verdict> {
    let client = gateway.client();
    wait_until("all applications to end", || is_at_rest(&client)).with_context(|| gateway.log())?;
    let runs = jobs.runs()?;
    let mut problems = Vec::new();
    for job in &jobs.all {
        match acknowledged.get(&job.number) {
            Some(id) => judge_job(&client, jobs, job, id, runs.get(&job.number).copied().unwrap_or(0), &mut problems)?,
            None => problems.push(format!("job {} was never acknowledged", job.number)),
        }
    }
    judge_count(&client, jobs, &mut problems)?;
    judge_leftovers(gateway, &mut problems)?;
    Ok(Verdict { runs: runs.values().sum(), problems })
}

fn is_at_rest(client: &Client) -> Result<bool> {
    let unfinished = client.get("/api/v1/applications?state=accepted,starting,running,stopping&limit=1")?.json()?;
    // What ended and shall be deleted is gone a moment later.
    let deleted = all_applications(client)?.iter().any(|application| application["wish"] == "delete");
    Ok(unfinished["items"].as_array().is_some_and(Vec::is_empty) && !deleted)
}

fn all_applications(client: &Client) -> Result<Vec<Value>> {
    let page = client.get("/api/v1/applications?limit=1000")?.json()?;
    Ok(page["items"].as_array().context("a page")?.clone())
}

fn judge_job(client: &Client, jobs: &Jobs, job: &Job, id: &str, runs: usize, problems: &mut Vec<String>) -> Result<()> {
    let mut problem = |what: String| problems.push(format!("{id}, job {} ({:?}): {what}", job.number, job.fate));
    let runs_allowed = if job.exit_code().is_some() { 1..=1 } else { 0..=1 };
    if !runs_allowed.contains(&runs) {
        problem(format!("ran {runs} times"));
    }
    let answer = client.get(&format!("/api/v1/applications/{id}"))?;
    if job.fate == Fate::IsDeleted {
        if answer.status != 404 {
            problem(format!("it was deleted, but is there: {} {}", answer.status, answer.body));
        }
        return Ok(());
    }
    if answer.status != 200 {
        problem(format!("it was acknowledged, but is lost: {} {}", answer.status, answer.body));
        return Ok(());
    }
    let application = answer.json()?;
    wrong_end(job, &application).into_iter().for_each(&mut problem);
    wrong_log(client, job, id, runs)?.into_iter().for_each(&mut problem);
    let again = submit(client, jobs, job)?;
    if again != id {
        problem(format!("the same key gave another application, {again}"));
    }
    Ok(())
}

/// What is wrong with how the application ended.
fn wrong_end(job: &Job, application: &Value) -> Option<String> {
    let (state, reason) = match job.fate {
        Fate::Exits(0) => ("succeeded", "completed"),
        Fate::Exits(_) => ("failed", "exit_code"),
        Fate::KillsItself => ("failed", "killed_by_signal"),
        Fate::IsCancelled | Fate::IsDeleted => ("cancelled", "cancelled_by_user"),
    };
    let code = &application["exit_code"];
    let attempts = application["attempts"].as_array().map_or(0, Vec::len);
    let attempts_allowed = if job.exit_code().is_some() { 1..=1 } else { 0..=1 };
    let right = application["state"] == state
        && application["reason"]["code"] == reason
        && job.exit_code().is_none_or(|expected| code.as_i64() == Some(i64::from(expected)))
        && attempts_allowed.contains(&attempts);
    (!right).then(|| format!("expected {state}, {reason}, {:?}; it is {application}", job.exit_code()))
}

/// What is wrong with its log: it has the job's line as often as the job ran.
fn wrong_log(client: &Client, job: &Job, id: &str, runs: usize) -> Result<Option<String>> {
    let log = client.get_text(&format!("/api/v1/applications/{id}/logs?stream=stdout"))?;
    let line = format!("job {} ran", job.number);
    let told = log.body.lines().filter(|known| *known == line).count();
    // A cancelled one may have been ended between its trace and its word.
    let right = told == runs || (job.exit_code().is_none() && told < runs);
    Ok((!right).then(|| format!("ran {runs} times, but its log says {} {:?}", log.status, log.body)))
}

/// Nothing may be there that nobody asked for.
fn judge_count(client: &Client, jobs: &Jobs, problems: &mut Vec<String>) -> Result<()> {
    let expected = jobs.all.iter().filter(|job| job.fate != Fate::IsDeleted).count();
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    let all = all_applications(client)?;
    for application in &all {
        *states.entry(application["state"].to_string()).or_default() += 1;
    }
    if all.len() != expected {
        problems.push(format!("{expected} applications were to be there, but there are {}: {states:?}", all.len()));
    }
    Ok(())
}

fn judge_leftovers(gateway: &mut Gateway, problems: &mut Vec<String>) -> Result<()> {
    let processes = gateway.processes_left();
    if !processes.is_empty() {
        problems.push(format!("processes {processes:?} are left"));
    }
    let attempts = gateway.data_dir().join("attempts");
    for entry in fs::read_dir(&attempts)? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with('.') {
            problems.push(format!("{} is left in {}", name.display(), attempts.display()));
        }
    }
    let foreign = attempts.join(FOREIGN_ATTEMPT);
    fs::create_dir(&foreign)?;
    gateway.restart()?;
    let client = gateway.client();
    let foreign = foreign.display().to_string();
    let mut reported = Vec::new();
    wait_until("a foreign attempt to be reported", || {
        reported = leftovers(&client)?;
        Ok(reported.contains(&foreign))
    })?;
    reported.retain(|place| *place != foreign);
    problems.extend(reported.iter().map(|place| format!("the gateway doesn't know {place}")));
    Ok(())
}

/// What the gateway found and does not know.
fn leftovers(client: &Client) -> Result<Vec<String>> {
    let backends = client.get("/api/v1/backends")?.json()?;
    let places = backends["items"][0]["leftovers"].as_array().context("leftovers")?;
    Ok(places.iter().filter_map(|place| place.as_str().map(ToOwned::to_owned)).collect())
}
