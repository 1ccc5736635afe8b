//! What the clients submit: small programs, each with an end that follows from its number.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use super::Plan;
use crate::chance::Chance;
use crate::fake_spark::FakeSpark;

/// Leaves a line in the file of runs with one write, says so, perhaps naps, and ends as it was told.
const PROGRAM: &str = r#"
printf '%s\n' "$1" >> "$2"
echo "job $1 ran"
[ "$3" = 0 ] || sleep "$3"
[ "$4" = kill ] && kill -9 $$
exit "$4"
"#;

/// How long a job sleeps that is meant to be ended by its user.
const ENDLESS_S: &str = "600";

/// What is meant to become of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It exits with this code.
    Exits(i32),
    /// It kills itself with SIGKILL.
    KillsItself,
    /// Its user cancels it, and it would never end otherwise.
    IsCancelled,
    /// Its user deletes it, and it would never end otherwise.
    IsDeleted,
}

/// Which API it is submitted through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    V1,
    Livy,
}

/// One job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) number: u32,
    pub(super) fate: Fate,
    pub(super) door: Door,
    pub(super) key: String,
    nap: String,
}

impl Job {
    fn new(seed: u64, number: u32) -> Self {
        let mut chance = Chance(seed ^ (u64::from(number) << 32));
        let fate = match chance.between(0, 11) {
            0..=4 => Fate::Exits(0),
            5 => Fate::Exits(3),
            6 => Fate::Exits(137),
            7 => Fate::Exits(i32::from(u8::try_from(chance.between(1, 127)).unwrap_or(1))),
            8 => Fate::KillsItself,
            9 | 10 => Fate::IsCancelled,
            _ => Fate::IsDeleted,
        };
        let nap = match (fate, chance.between(0, 2)) {
            (Fate::IsCancelled | Fate::IsDeleted, _) => ENDLESS_S.to_owned(),
            (_, 0) => format!("0.{:03}", chance.between(1, 400)),
            _ => "0".to_owned(),
        };
        let door = if chance.between(0, 2) == 0 { Door::Livy } else { Door::V1 };
        Self { number, fate, door, key: format!("kill-{seed}-{number}"), nap }
    }

    /// The exit code that the gateway must tell.
    pub(super) const fn exit_code(&self) -> Option<i32> {
        match self.fate {
            Fate::Exits(code) => Some(code),
            Fate::KillsItself => Some(137),
            Fate::IsCancelled | Fate::IsDeleted => None,
        }
    }

    fn end(&self) -> String {
        match self.fate {
            Fate::Exits(code) => code.to_string(),
            Fate::KillsItself => "kill".to_owned(),
            Fate::IsCancelled | Fate::IsDeleted => "0".to_owned(),
        }
    }
}

/// All jobs of a plan, and where they leave their traces.
#[derive(Debug)]
pub(super) struct Jobs {
    pub(super) all: Vec<Job>,
    program: PathBuf,
    runs: PathBuf,
}

impl Jobs {
    pub(super) fn new(plan: &Plan, spark: &FakeSpark, folder: &Path) -> Result<Self> {
        let program = spark.program("job.sh", PROGRAM)?;
        let runs = folder.join("runs");
        fs::write(&runs, "")?;
        let all = (0..plan.applications).map(|number| Job::new(plan.seed, number)).collect();
        Ok(Self { all, program, runs })
    }

    /// What to send to the job's door.
    pub(super) fn body(&self, job: &Job) -> String {
        let args = [job.number.to_string(), self.runs.display().to_string(), job.nap.clone(), job.end()];
        let program = self.program.display().to_string();
        match job.door {
            Door::V1 => json!({ "resource": program, "args": args }).to_string(),
            Door::Livy => json!({ "file": program, "args": args }).to_string(),
        }
    }

    /// How often each job ran.
    pub(super) fn runs(&self) -> Result<BTreeMap<u32, usize>> {
        let mut counts = BTreeMap::new();
        for line in fs::read_to_string(&self.runs)?.lines() {
            let number = line.parse().with_context(|| format!("the file of runs holds `{line}`"))?;
            *counts.entry(number).or_default() += 1;
        }
        Ok(counts)
    }
}
