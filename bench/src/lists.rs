//! How long a page of a list takes, and whether it matters how many applications there are.

use std::time::Instant;

use anyhow::{Result, ensure};
use testkit::gateway::Client;

use crate::report::{Section, number, verdict};
use crate::sample::Sample;

/// Longest median that is good enough, in milliseconds.
const LIMIT_MS: f64 = 5.0;
/// How much longer it may take with the most stored than with the fewest.
const GROWTH_MAX: f64 = 2.0;
/// Requests before the first that counts.
const WARM_UP: usize = 20;

/// One list.
struct List {
    name: &'static str,
    /// Its address when so many are stored.
    path: fn(u64) -> String,
    /// Whether it is the page after that one that is measured.
    next: bool,
}

const fn list(name: &'static str, path: fn(u64) -> String) -> List {
    List { name, path, next: false }
}

/// Every list. What is filtered by is chosen so that a page finds at most 100, and some only one.
const LISTS: &[List] = &[
    list("v1, first page", |_| "/api/v1/applications?limit=100".into()),
    List { name: "v1, next page", path: |_| "/api/v1/applications?limit=100".into(), next: true },
    list("v1, `state=failed`", |_| "/api/v1/applications?limit=100&state=failed".into()),
    list("v1, `state=accepted`, one in a thousand", |_| "/api/v1/applications?limit=100&state=accepted".into()),
    list("v1, `state=running`, none", |_| "/api/v1/applications?limit=100&state=running".into()),
    list("v1, `kind=batch`", |_| "/api/v1/applications?limit=100&kind=batch".into()),
    list("v1, `backend=local`", |_| "/api/v1/applications?limit=100&backend=local".into()),
    list("v1, `name=`, one", |count| format!("/api/v1/applications?limit=100&name=job-{}", count / 2)),
    list("v1, `label=`, one in a hundred", |_| "/api/v1/applications?limit=100&label=team=t7".into()),
    list("v1, `label=`, one", |count| format!("/api/v1/applications?limit=100&label=run=r{}", count / 2)),
    list("v1, `owner=`, one in fifty", |_| "/api/v1/applications?limit=100&owner=user-7".into()),
    list("Livy, `from=0`", |_| "/batches?from=0&size=100".into()),
    list("Livy, next page", |_| "/batches?from=100&size=100".into()),
    list("Livy, from the middle", |count| format!("/batches?from={}&size=100", count / 2)),
];

/// What was measured so far.
#[derive(Default)]
pub(crate) struct Lists {
    sizes: Vec<u64>,
    /// For each list, one sample per size.
    times: Vec<Vec<Sample>>,
}

impl Lists {
    /// Asks for every list, `times` times each.
    pub(crate) fn measure(&mut self, client: &Client, size: u64, times: usize) -> Result<()> {
        self.sizes.push(size);
        self.times.resize_with(LISTS.len(), Vec::new);
        for (list, samples) in LISTS.iter().zip(&mut self.times) {
            samples.push(list.measure(client, size, times)?);
        }
        Ok(())
    }

    pub(crate) fn into_section(self) -> Section {
        let sizes = self.sizes.iter().map(|size| format!("{size} stored"));
        let columns = ["p50 (p90) in ms".to_owned()].into_iter().chain(sizes);
        let mut section = Section::with_columns("lists", columns.chain(["growth".to_owned(), "verdict".to_owned()]));
        for (list, samples) in LISTS.iter().zip(self.times) {
            let first = samples.first().map_or(f64::NAN, Sample::p50);
            let worst = samples.iter().map(Sample::p50).fold(first, f64::max);
            let met = worst <= LIMIT_MS && worst <= GROWTH_MAX * first;
            let times = samples.iter().map(|sample| format!("{} ({})", number(sample.p50()), number(sample.p90())));
            let end = [format!("× {}", number(worst / first)), verdict(met).to_owned()];
            section.row([list.name.to_owned()].into_iter().chain(times).chain(end));
        }
        section
    }
}

impl List {
    fn measure(&self, client: &Client, size: u64, times: usize) -> Result<Sample> {
        let mut path = (self.path)(size);
        if self.next {
            let cursor = client.get(&path)?.json()?["next_cursor"].as_str().unwrap_or_default().to_owned();
            path = format!("{path}&cursor={cursor}");
        }
        let mut all = Vec::with_capacity(times);
        for round in 0..WARM_UP + times {
            let started = Instant::now();
            let answer = client.get(&path)?;
            if round >= WARM_UP {
                all.push(started.elapsed());
            }
            ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
        }
        Ok(all.into_iter().collect())
    }
}
