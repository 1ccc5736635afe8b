//! What the gateway says about itself.

use super::Check;
use crate::cli::version::VERSION;
use crate::client::{Client, Readiness};

/// Leftovers that are named; of more only the number is told.
const LEFTOVERS_NAMED: usize = 5;

/// Whether there is a gateway, whether it fits, whether it can work, and what it found that nobody knows.
pub(super) async fn checks(client: &Client) -> Vec<Check> {
    let version = match client.version().await {
        Ok(answer) => answer.value.version,
        Err(error) => {
            let fix = "start one with `lamplighter serve`, or name another with --url or LAMPLIGHTER_URL";
            return vec![Check::fail("gateway", error.to_string(), fix)];
        }
    };
    let mut checks = vec![fitting(client.url(), &version)];
    checks.push(match client.readiness().await {
        Ok(readiness) => ready(&readiness),
        Err(error) => Check::fail("ready", error.to_string(), "look at the gateway's log"),
    });
    checks.extend(match client.backends().await {
        Ok(answer) => answer.value.items.iter().flat_map(backend).collect(),
        Err(error) => vec![Check::fail("backends", error.to_string(), "look at the gateway's log")],
    });
    checks
}

fn fitting(url: &str, version: &str) -> Check {
    let finding = format!("{version} at {url}");
    if version == VERSION {
        Check::ok("gateway", finding)
    } else {
        Check::warn("gateway", format!("{finding}, but this program is {VERSION}"), "use the same version for both")
    }
}

fn ready(readiness: &Readiness) -> Check {
    if readiness.ready {
        return Check::ok("ready", "it takes work");
    }
    let reasons = serde_json::from_str::<serde_json::Value>(&readiness.body).ok();
    let reasons = reasons.as_ref().and_then(|body| body.get("reasons")).and_then(|reasons| reasons.as_array());
    let told: Vec<&str> = reasons.into_iter().flatten().filter_map(|reason| reason.as_str()).collect();
    let why = if told.is_empty() { "the gateway doesn't say why".to_owned() } else { told.join("; ") };
    Check::fail("ready", format!("it takes no work: {why}"), "mend that; the gateway notices by itself")
}

fn backend(backend: &api::backend::Backend) -> Vec<Check> {
    let busy = match (backend.active, backend.queued) {
        (Some(active), Some(queued)) => {
            format!("{}: {active} of {} running, {queued} waiting", backend.name, backend.places)
        }
        _ => format!("{}: {} places", backend.name, backend.places),
    };
    let mut checks = vec![if backend.ready {
        Check::ok("backend", busy)
    } else {
        Check::warn(
            "backend",
            format!("{busy}; this gateway doesn't look after it"),
            "see which other gateway does, or wait a moment",
        )
    }];
    if !backend.leftovers.is_empty() {
        let named = backend.leftovers.iter().take(LEFTOVERS_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = backend.leftovers.len().saturating_sub(LEFTOVERS_NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let finding = format!("{} holds what no application explains: {named}{more}", backend.name);
        checks.push(Check::warn("leftovers", finding, "see whether anything of it is needed, then remove it"));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::render;
    use expect_test::expect;

    #[test]
    fn what_the_gateway_says_becomes_checks() {
        let not_ready = |body: &str| ready(&Readiness { ready: false, body: body.to_owned() });
        let mut checks = vec![
            fitting("http://h", VERSION),
            fitting("http://h", "0.0.9"),
            ready(&Readiness { ready: true, body: String::new() }),
            not_ready(r#"{"reasons":["no Spark was found","the disk is full"]}"#),
            not_ready("<html>"),
        ];
        checks.extend(backend(&api::backend::Backend {
            name: "local".to_owned(),
            kind: "local".to_owned(),
            ready: true,
            active: Some(1),
            places: 4,
            queued: Some(2),
            leftovers: (1..=7).map(|n| format!("attempt-{n}")).collect(),
        }));
        expect![[r"
            ok    gateway     0.1.0 at http://h
            warn  gateway     0.0.9 at http://h, but this program is 0.1.0
                              use the same version for both
            ok    ready       it takes work
            fail  ready       it takes no work: no Spark was found; the disk is full
                              mend that; the gateway notices by itself
            fail  ready       it takes no work: the gateway doesn't say why
                              mend that; the gateway notices by itself
            ok    backend     local: 1 of 4 running, 2 waiting
            warn  leftovers   local holds what no application explains: attempt-1, attempt-2, attempt-3, attempt-4, attempt-5 and 2 more
                              see whether anything of it is needed, then remove it
        "]]
        .assert_eq(&render(&checks, false));
    }
}
