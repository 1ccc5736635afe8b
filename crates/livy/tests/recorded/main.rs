//! The recorded answers of a real Livy against what this crate would answer, wherever that needs no server.
//!
//! What is compared is said in `tests/wire/README.md`. Each test counts what it compared, so that a filter which
//! matches nothing can't pass for agreement.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod views;
mod wire;

use std::collections::HashSet;
use std::path::PathBuf;

use livy::create::{Rules, parse, validate};
use livy::id::IdOrName;
use livy::{Rejection, http, id, log, page, query, to_json};
use serde_json::{Value, json};
use wire::{Exchange, exchanges};

/// The rules of the recorded server.
fn rules(exchange: &Exchange) -> Rules {
    let denied = if exchange.scenario == "variant-limits" { vec!["spark.master", "spark.forbidden"] } else { vec![] };
    Rules {
        local_dir_allow_list: Some(vec![PathBuf::from(wire::JOBS)]),
        conf_deny_list: denied.into_iter().map(str::to_owned).collect(),
        file_schemes: None,
    }
}

/// Whether the answer to a create follows from its body alone.
fn is_pure_create(exchange: &Exchange) -> bool {
    let needs_state = ["Duplicate session name", "too many sessions", "CSRF"];
    exchange.method == "POST"
        && exchange.path.trim_end_matches('/') == "/batches"
        && exchange.request_header("Content-Encoding") != Some("gzip")
        && exchange.status != 404
        && !needs_state.iter().any(|text| exchange.body.as_deref().unwrap_or_default().contains(text))
        // This name is held by a create that Livy refused and kept.
        && exchange.name() != "batch-reject/14"
}

/// What a create would be answered, as far as the contract decides it.
fn outcome(exchange: &Exchange) -> (u16, Option<String>) {
    let checked = parse(&exchange.request_body()).and_then(|batch| validate(&batch, &rules(exchange)));
    match checked {
        Ok(()) => (201, None),
        Err(rejection) => (rejection.status, Some(String::from_utf8(rejection.body.to_bytes()).unwrap())),
    }
}

#[test]
fn creates_are_accepted_and_refused_as_recorded() {
    let differences = wire::differences();
    let (mut same, mut different) = (0, 0);
    for exchange in exchanges().iter().filter(|exchange| is_pure_create(exchange)) {
        let (status, body) = outcome(exchange);
        if let Some(entry) = differences.iter().find(|entry| entry.by_contract && entry.covers(exchange)) {
            let (expected, expected_body) = entry.instead.as_ref().unwrap();
            let body: Option<Value> = body.map(|body| serde_json::from_str(&body).unwrap());
            assert_eq!((status, &body), (*expected, expected_body), "{}", exchange.name());
            different += 1;
        } else {
            let recorded = exchange.body.clone().filter(|_| exchange.status != 201);
            assert_eq!((status, body), (exchange.status, recorded), "{}", exchange.name());
            same += 1;
        }
    }
    assert_eq!((same, different), (102, 12));
}

#[test]
fn differences_name_recorded_steps() {
    let recorded: HashSet<String> = exchanges().iter().map(Exchange::name).collect();
    for difference in wire::differences() {
        for step in difference.steps.iter().flatten() {
            let name = format!("{}/{step}", difference.scenario);
            assert!(recorded.contains(&name), "{name} is not recorded");
        }
        assert!(!difference.by_contract || difference.instead.is_some(), "{} says nothing", difference.scenario);
    }
}

#[test]
fn refusals_that_need_other_batches_have_their_words() {
    let check = |name: &str, rejection: &Rejection| {
        let all = exchanges();
        let exchange = all.iter().find(|exchange| exchange.name() == name).unwrap();
        let body = String::from_utf8(rejection.body.to_bytes()).unwrap();
        assert_eq!((rejection.status, Some(body)), (exchange.status, exchange.body.clone()), "{name}");
    };
    check("batch-options/14", &Rejection::duplicate_name("everything", 6));
    check("batch-reject/14", &Rejection::duplicate_name("held", 13));
    check("variant-limits/7", &Rejection::too_many_creates());
    check("negotiation/7", &http::accept_version(Some("application/vnd.livy.v0.2+json")).unwrap_err());
}

#[test]
fn lists_have_the_recorded_pages() {
    let all = exchanges();
    let paging: Vec<&Exchange> = all.iter().filter(|exchange| exchange.scenario == "batch-paging").collect();
    let mut known = views::list(&views::json(paging[0])).sessions;
    let mut compared = 0;
    for exchange in paging {
        if exchange.method == "DELETE" && exchange.status == 200 {
            known.retain(|batch| Some(batch.id.to_string()) != exchange.batch_segment());
        }
        if exchange.path != "/batches" {
            continue;
        }
        let answered = query::int(exchange.query("from"), 0).and_then(|from| {
            let size = query::int(exchange.query("size"), page::DEFAULT_SIZE)?;
            let sessions = known[page::list(from, size, known.len())].to_vec();
            Ok(livy::view::BatchList { from, total: known.len(), sessions })
        });
        views::assert_answer(exchange, &answered);
        compared += 1;
    }
    assert_eq!(compared, 24);
}

#[test]
fn logs_have_the_recorded_pages() {
    let all = exchanges();
    let pages: Vec<&Exchange> =
        all.iter().filter(|exchange| exchange.scenario == "batch-log" && exchange.path == "/batches/0/log").collect();
    let whole = pages.iter().find(|exchange| exchange.query("size") == Some("-1")).unwrap();
    let lines = views::log(&views::json(whole)).log;
    for exchange in &pages {
        let answered = query::optional_int(exchange.query("from")).and_then(|from| {
            let (from, range) = page::log(lines.len(), from, query::optional_int(exchange.query("size"))?);
            Ok(livy::view::LogView { id: 0, from, total: lines.len(), log: lines[range].to_vec() })
        });
        views::assert_answer(exchange, &answered);
    }
    assert_eq!(pages.len(), 19);
}

#[test]
fn segments_are_ids_or_names_as_recorded() {
    let mut compared = 0;
    for exchange in exchanges() {
        let Some(segment) = exchange.batch_segment().filter(|_| matches!(exchange.status, 400 | 404)) else {
            continue;
        };
        if !exchange.body.as_deref().is_some_and(|body| body.contains("not found") || body.contains("For input")) {
            continue;
        }
        // Parameters are looked at as well, behind the segment.
        let refused = match id::parse(&segment) {
            Err(rejection) => rejection,
            Ok(_) if exchange.status == 400 => continue,
            Ok(IdOrName::Id(_) | IdOrName::Name(_)) => Rejection::not_found(&segment),
        };
        let body = String::from_utf8(refused.body.to_bytes()).unwrap();
        assert_eq!((refused.status, Some(body)), (exchange.status, exchange.body.clone()), "{}", exchange.name());
        compared += 1;
    }
    assert_eq!(compared, 26);
    assert_eq!(id::parse("\u{661}"), Ok(IdOrName::Id(1)));
    assert_eq!(id::parse("000000000000"), Ok(IdOrName::Id(0)));
}

#[test]
fn methods_and_unknown_paths_are_as_recorded() {
    let set = |allow: &str| allow.split(", ").map(str::to_owned).collect::<HashSet<_>>();
    let (mut wrong_method, mut unknown) = (0, 0);
    for exchange in exchanges().iter().filter(|exchange| exchange.body.as_deref() == Some("")) {
        let name = exchange.name();
        match exchange.status {
            405 => {
                let allow = http::allow(&exchange.path).map(set);
                assert_eq!(allow, exchange.header("Allow").map(set), "{name}");
                assert!(!allow.unwrap().contains(&exchange.method), "{name}");
                wrong_method += 1;
            }
            404 if exchange.scenario != "variant-limits" => {
                assert_eq!(http::allow(&exchange.path), None, "{name}");
                unknown += 1;
            }
            _ => continue,
        }
        assert_eq!(exchange.header("Content-Type"), Some(http::content_type_of_empty(&exchange.path)), "{name}");
    }
    assert_eq!((wrong_method, unknown), (28, 19));
}

#[test]
fn answers_on_known_paths_have_a_route() {
    for exchange in exchanges().iter().filter(|exchange| exchange.status < 300 && exchange.path.starts_with("/batches"))
    {
        let means = http::effective_method(
            &exchange.method,
            exchange.request_header("Content-Type").filter(|_| exchange.name() == "negotiation/30").and(Some("delete")),
            exchange.request_header("X-HTTP-Method-Override"),
        );
        let allow = http::allow(&exchange.path).unwrap_or_default();
        assert!(allow.split(", ").any(|method| method == means), "{}: {means} not in {allow}", exchange.name());
    }
}

#[test]
fn fixed_headers_and_reasons_are_as_recorded() {
    let mut compared = 0;
    for exchange in exchanges() {
        let is_of_the_server_below = exchange.reason == "No Host" || exchange.status == 431;
        if is_of_the_server_below {
            continue;
        }
        for (name, value) in http::STANDARD_HEADERS {
            assert_eq!(exchange.header(name), Some(value), "{}", exchange.name());
        }
        if exchange.status == 500 {
            assert_eq!(http::reason_phrase(500), Some(exchange.reason.as_str()), "{}", exchange.name());
        }
        compared += 1;
    }
    assert_eq!(compared, 405);
}

#[test]
fn the_root_redirects_as_recorded() {
    let mut compared = 0;
    let is_redirect = |exchange: &&Exchange| exchange.status == 302 && exchange.scenario != "variant-limits";
    for exchange in exchanges().iter().filter(is_redirect) {
        let host = exchange.request_header("Host").unwrap_or("127.0.0.1:8998");
        let location = http::redirect_location(host, exchange.request_header("X-Forwarded-Proto"));
        assert_eq!(exchange.header("Location"), Some(location.as_str()), "{}", exchange.name());
        assert_eq!(exchange.header("Content-Type"), Some(http::HTML));
        compared += 1;
    }
    assert_eq!(compared, 6);
}

#[test]
fn accepted_versions_are_as_recorded() {
    for exchange in exchanges().iter().filter(|exchange| exchange.path == "/sessions" && exchange.method == "GET") {
        let accepted = http::accept_version(exchange.request_header("Accept"));
        assert_eq!(accepted.is_ok(), exchange.status != 406, "{}", exchange.name());
    }
}

#[test]
fn compression_is_chosen_as_recorded() {
    let mut compared = 0;
    for exchange in exchanges() {
        let Some(accepted) = exchange.request_header("Accept-Encoding") else {
            continue;
        };
        let expected = match exchange.header("Content-Encoding") {
            Some("gzip") => http::ResponseEncoding::Gzip,
            Some("deflate") => http::ResponseEncoding::Deflate,
            _ if exchange.path == "/version" => continue,
            _ => http::ResponseEncoding::Plain,
        };
        assert_eq!(http::response_encoding(Some(accepted)), expected, "{}", exchange.name());
        compared += 1;
    }
    assert_eq!(compared, 5);
}

#[test]
fn every_view_is_written_as_recorded() {
    let mut compared = 0;
    for exchange in exchanges().iter().filter(|exchange| matches!(exchange.status, 200 | 201)) {
        let Some(body) = exchange.body.as_ref().filter(|body| !body.is_empty()) else {
            continue;
        };
        if !exchange.path.starts_with("/batches") && exchange.path.trim_end_matches('/') != "/version" {
            continue;
        }
        assert_eq!(String::from_utf8(views::rewritten(&views::json(exchange))).unwrap(), *body, "{}", exchange.name());
        compared += 1;
        if exchange.status == 201 {
            let id = views::json(exchange)["id"].as_i64().unwrap().try_into().unwrap();
            assert_eq!(exchange.header("Location"), Some(livy::view::location(id).as_str()), "{}", exchange.name());
        }
    }
    assert_eq!(compared, 175);
}

#[test]
fn logs_are_framed_as_recorded() {
    let all = exchanges();
    let exchange = all.iter().find(|exchange| exchange.name() == "batch-fail/15").unwrap();
    let printed = ["Error occurred during initialization of VM", "Too small maximum heap"];
    let merged = log::merged(printed, log::CACHED_LINES);
    assert_eq!(views::json(exchange)["log"], json!(merged));
    assert_eq!(to_json(log::view_of(&merged)), to_json(&merged));
}
