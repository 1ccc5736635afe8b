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

/// Every list. A page is as long as the fewest stored can fill, so that it has the same length with more.
const LISTS: &[List] = &[
    list("v1, first page", |_| "/api/v1/applications?limit=100".into()),
    List { name: "v1, next page", path: |_| "/api/v1/applications?limit=100".into(), next: true },
    list("v1, `state=failed`", |_| "/api/v1/applications?limit=100&state=failed".into()),
    list("v1, `state=accepted`, one in a thousand", |_| "/api/v1/applications?limit=1&state=accepted".into()),
    list("v1, `state=running`, none", |_| "/api/v1/applications?limit=100&state=running".into()),
    list("v1, `kind=batch`", |_| "/api/v1/applications?limit=100&kind=batch".into()),
    list("v1, `backend=local`", |_| "/api/v1/applications?limit=100&backend=local".into()),
    list("v1, `name=`, one", |count| format!("/api/v1/applications?limit=100&name=job-{}", count / 2)),
    list("v1, `label=`, one in a hundred", |_| "/api/v1/applications?limit=10&label=team=t7".into()),
    list("v1, `label=`, one", |count| format!("/api/v1/applications?limit=100&label=run=r{}", count / 2)),
    list("v1, `owner=`, one in fifty", |_| "/api/v1/applications?limit=10&owner=user-7".into()),
    list("Livy, `from=0`", |_| "/batches?from=0&size=100".into()),
    list("Livy, next page", |_| "/batches?from=100&size=100".into()),
    list("Livy, from the middle", |count| format!("/batches?from={}&size=100", count / 2)),
];

/// Asks every gateway for every list, `times` times each. They are given with how many applications each has stored,
/// the fewest first, and take turns list by list, so that a busy moment of the machine doesn't look like growth.
pub(crate) fn measure(gateways: &[(u64, Client)], times: usize) -> Result<Section> {
    let sizes = gateways.iter().map(|(size, _)| format!("{size} stored"));
    let columns = ["p50 (p90) in ms".to_owned()].into_iter().chain(sizes);
    let mut section = Section::with_columns("lists", columns.chain(["growth".to_owned(), "verdict".to_owned()]));
    for list in LISTS {
        let samples = gateways.iter().map(|(size, client)| list.measure(client, *size, times));
        section.row(row(list, &samples.collect::<Result<Vec<_>>>()?));
    }
    Ok(section)
}

fn row(list: &List, samples: &[Sample]) -> Vec<String> {
    let first = samples.first().map_or(f64::NAN, Sample::p50);
    let worst = samples.iter().map(Sample::p50).fold(first, f64::max);
    let met = worst <= LIMIT_MS && worst <= GROWTH_MAX * first;
    let times = samples.iter().map(|sample| format!("{} ({})", number(sample.p50()), number(sample.p90())));
    let end = [format!("× {}", number(worst / first)), verdict(met).to_owned()];
    [list.name.to_owned()].into_iter().chain(times).chain(end).collect()
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
