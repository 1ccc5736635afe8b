//! From recorded bodies to this crate's views and back.

use std::fmt::Debug;

use livy::view::{AppInfo, BatchList, BatchView, DELETED, LogView, StateView, VersionView};
use livy::{Rejection, state, to_json};
use model::state::State;
use serde::Serialize;
use serde_json::Value;

use crate::wire::Exchange;

/// The recorded body.
pub(crate) fn json(exchange: &Exchange) -> Value {
    serde_json::from_str(exchange.body.as_ref().unwrap()).unwrap()
}

/// Status and bytes of what would be answered must be those recorded.
pub(crate) fn assert_answer<T: Serialize + Debug>(exchange: &Exchange, answered: &Result<T, Rejection>) {
    let (status, body) = match answered {
        Ok(view) => (200, to_json(view)),
        Err(rejection) => (rejection.status, rejection.body.to_bytes()),
    };
    let recorded = (exchange.status, exchange.body.clone().unwrap());
    assert_eq!((status, String::from_utf8(body).unwrap()), recorded, "{}", exchange.name());
}

/// A recorded answer read into its view and written again.
pub(crate) fn rewritten(body: &Value) -> Vec<u8> {
    if body.get("sessions").is_some() {
        to_json(&list(body))
    } else if body.get("appInfo").is_some() {
        to_json(&batch(body))
    } else if body.get("log").is_some() {
        to_json(&log(body))
    } else if body.get("state").is_some() {
        to_json(&StateView { id: id(body), state: word(&body["state"]) })
    } else if body.get("branch").is_some() {
        to_json(&version(body))
    } else {
        to_json(&DELETED)
    }
}

pub(crate) fn list(body: &Value) -> BatchList {
    BatchList {
        from: body["from"].as_i64().unwrap().try_into().unwrap(),
        total: body["total"].as_u64().unwrap().try_into().unwrap(),
        sessions: body["sessions"].as_array().unwrap().iter().map(batch).collect(),
    }
}

pub(crate) fn log(body: &Value) -> LogView {
    LogView {
        id: id(body),
        from: body["from"].as_i64().unwrap().try_into().unwrap(),
        total: body["total"].as_u64().unwrap().try_into().unwrap(),
        log: lines(body),
    }
}

fn batch(body: &Value) -> BatchView {
    let info = &body["appInfo"];
    BatchView {
        id: id(body),
        name: optional(&body["name"]),
        owner: optional(&body["owner"]),
        proxy_user: optional(&body["proxyUser"]),
        state: word(&body["state"]),
        app_id: optional(&body["appId"]),
        app_info: AppInfo {
            driver_log_url: optional(&info["driverLogUrl"]),
            spark_ui_url: optional(&info["sparkUiUrl"]),
            executor_log_urls: optional(&info["executorLogUrls"]),
        },
        log: lines(body),
    }
}

fn version(body: &Value) -> VersionView {
    let text = |member: &str| optional(&body[member]).unwrap();
    VersionView {
        url: text("url"),
        branch: text("branch"),
        revision: text("revision"),
        version: text("version"),
        date: text("date"),
        user: text("user"),
    }
}

fn id(body: &Value) -> i32 {
    body["id"].as_i64().unwrap().try_into().unwrap()
}

fn optional(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn lines(body: &Value) -> Vec<String> {
    body["log"].as_array().unwrap().iter().map(|line| optional(line).unwrap()).collect()
}

/// Every recorded word must be one that a state of the model has.
fn word(recorded: &Value) -> &'static str {
    let words = State::ALL.map(state::word);
    words.into_iter().find(|word| Some(*word) == recorded.as_str()).unwrap()
}
