//! The HTTP side of the fake API server: paths, parameters, bodies and statuses.
//!
//! Start with [`Server::answer`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::faults::{Call, Fault, Faults, Verb};
use super::kubelet::Kubelet;
use super::objects::{Deletion, KINDS, Key, Objects, Refusal};
use super::selector::Selector;
use super::streams::{self, LogQuery, Logs, WatchQuery};

/// How long a watch goes on that doesn't say.
const WATCH_TIMEOUT: Duration = Duration::from_secs(3_600);

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, std::convert::Infallible>>;

/// The connection breaks instead of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the fake API server drops this connection")]
pub(super) struct Dropped;

/// What answers requests.
pub(super) struct Server {
    pub(super) objects: Arc<Objects>,
    pub(super) logs: Arc<Logs>,
    pub(super) kubelet: Arc<Kubelet>,
    pub(super) faults: Faults,
    pub(super) bookmark_every: Duration,
}

/// What a path means.
struct Target {
    resource: &'static str,
    kind: &'static str,
    namespace: Option<String>,
    name: Option<String>,
    log: bool,
}

/// A request that was read.
struct Asked {
    method: Method,
    target: Target,
    query: HashMap<String, String>,
    content_type: String,
    body: Bytes,
}

impl Server {
    /// Answers one request, or breaks its connection.
    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Dropped> {
        let (parts, body) = request.into_parts();
        if parts.uri.path().starts_with("/apis/authorization.k8s.io/") {
            return self.access_review(body).await;
        }
        let Some(target) = Target::parse(parts.uri.path()) else {
            if self.faults.is_down() {
                return Err(Dropped);
            }
            let message = "the server could not find the requested resource";
            return Ok(refused(&Refusal::new(404, "NotFound", message)));
        };
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let asked = Asked {
            method: parts.method,
            target,
            query: parse_query(parts.uri.query().unwrap_or_default()),
            content_type: content_type.to_owned(),
            body: body.collect().await.map_err(|_| Dropped)?.to_bytes(),
        };
        let fault = self.faults.of(asked.call());
        match fault {
            Some(Fault::DropBefore) => return Err(Dropped),
            Some(Fault::Status { code, retry_after_seconds }) => return Ok(faulty(code, retry_after_seconds)),
            Some(Fault::Delay(wait)) => tokio::time::sleep(wait).await,
            _ => {}
        }
        let answer = self.perform(&asked).unwrap_or_else(|refusal| refused(&refusal));
        match fault {
            Some(Fault::DropAfter) => Err(Dropped),
            Some(Fault::DoneButStatus(code)) => Ok(faulty(code, None)),
            _ => Ok(answer),
        }
    }

    fn perform(&self, asked: &Asked) -> Result<Answer, Refusal> {
        match asked.call().0 {
            Verb::Create => self.create(asked),
            Verb::Get => self.objects.get(&asked.key()?).map(|object| ok(&object)).ok_or_else(|| match asked.key() {
                Ok(key) => Refusal::not_found(&key),
                Err(refusal) => refusal,
            }),
            Verb::List => self.list(asked),
            Verb::Watch => self.watch(asked),
            Verb::Log => self.log(asked),
            Verb::Patch => self.patch(asked),
            Verb::Replace => {
                let object = parse_body(&asked.body)?;
                self.objects.update(&asked.key()?, |_| Ok(object)).map(|object| ok(&object))
            }
            Verb::Delete => self.delete(asked),
        }
    }

    fn create(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let mut object = parse_body(&asked.body)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if name.is_empty() {
            return Err(Refusal::new(
                422,
                "Invalid",
                "metadata.name: Required value: name or generateName is required",
            ));
        }
        object["kind"] = json!(asked.target.kind);
        let group = if asked.target.resource == "networkpolicies" { "networking.k8s.io/v1" } else { "v1" };
        object["apiVersion"] = json!(group);
        let namespace = asked.target.namespace.clone().unwrap_or_default();
        let created = self.objects.create(&Key { resource: asked.target.resource, namespace, name }, object)?;
        Ok(json_answer(StatusCode::CREATED, &created))
    }

    fn list(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let selector = asked.selector()?;
        let namespace = asked.target.namespace.as_deref();
        let (mut items, version) = self.objects.list(asked.target.resource, namespace, &selector);
        let begin = asked.parameter("continue").parse().unwrap_or(0);
        let limit = asked.parameter("limit").parse().unwrap_or(usize::MAX);
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        items.drain(..begin.min(items.len()));
        if items.len() > limit {
            items.truncate(limit);
            metadata["continue"] = json!((begin + limit).to_string());
        }
        let kind = format!("{}List", asked.target.kind);
        Ok(ok(&json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items })))
    }

    fn watch(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let seconds = asked.parameter("timeoutSeconds").parse().map(Duration::from_secs);
        let query = WatchQuery {
            resource: asked.target.resource,
            namespace: asked.target.namespace.clone(),
            selector: asked.selector()?,
            version: asked.parameter("resourceVersion").parse().ok(),
            send_initial_events: asked.parameter("sendInitialEvents") == "true",
            bookmarks: asked.parameter("allowWatchBookmarks") == "true",
            timeout: seconds.unwrap_or(WATCH_TIMEOUT),
        };
        let body = streams::watch(Arc::clone(&self.objects), &self.faults, query, self.bookmark_every);
        Ok(Response::builder().header(CONTENT_TYPE, "application/json").body(body.boxed_unsync()).unwrap_or_default())
    }

    fn log(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let key = asked.key()?;
        let pod = self.objects.get(&key).ok_or_else(|| Refusal::not_found(&key))?;
        let state = &pod["status"]["containerStatuses"][0]["state"];
        let has_node = pod["spec"]["nodeName"].is_string();
        if has_node && !state["running"].is_object() && !state["terminated"].is_object() {
            let container = pod["spec"]["containers"][0]["name"].as_str().unwrap_or_default();
            let why = state["waiting"]["reason"].as_str().unwrap_or("PodInitializing");
            let message = format!("container \"{container}\" in pod \"{}\" is waiting to start: {why}", key.name);
            return Err(Refusal::new(400, "BadRequest", message));
        }
        let query = LogQuery {
            follow: has_node && asked.parameter("follow") == "true",
            timestamps: asked.parameter("timestamps") == "true",
            since: asked.parameter("sinceTime").parse().ok(),
            tail_lines: asked.parameter("tailLines").parse().ok(),
        };
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let body = self.logs.read(&self.faults, uid, query);
        Ok(Response::builder().header(CONTENT_TYPE, "text/plain").body(body.boxed_unsync()).unwrap_or_default())
    }

    fn patch(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let patch = parse_body(&asked.body)?;
        let key = asked.key()?;
        match asked.content_type.as_str() {
            "application/json-patch+json" => {
                let invalid = |error: &dyn std::error::Error| {
                    let message = format!("the server rejected our request due to an error in our request: {error}");
                    Refusal::new(422, "Invalid", message)
                };
                let patch: json_patch::Patch = serde_json::from_value(patch).map_err(|error| invalid(&error))?;
                let patched = self.objects.update(&key, |object| {
                    let mut object = object.clone();
                    json_patch::patch(&mut object, &patch).map_err(|error| invalid(&error))?;
                    Ok(object)
                })?;
                Ok(ok(&patched))
            }
            "application/apply-patch+yaml" if self.objects.get(&key).is_none() => {
                Ok(json_answer(StatusCode::CREATED, &self.objects.create(&key, patch)?))
            }
            "application/merge-patch+json"
            | "application/strategic-merge-patch+json"
            | "application/apply-patch+yaml" => {
                let patched = self.objects.update(&key, |object| {
                    let mut object = object.clone();
                    json_patch::merge(&mut object, &patch);
                    Ok(object)
                })?;
                Ok(ok(&patched))
            }
            other => Err(Refusal::new(
                415,
                "UnsupportedMediaType",
                format!("the body of the request was in an unknown format: {other}"),
            )),
        }
    }

    fn delete(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let options = if asked.body.is_empty() { Value::Null } else { parse_body(&asked.body)? };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let deletion = Deletion {
            grace_seconds: options["gracePeriodSeconds"]
                .as_i64()
                .or_else(|| asked.parameter("gracePeriodSeconds").parse().ok()),
            uid: text(&options["preconditions"]["uid"]),
            version: text(&options["preconditions"]["resourceVersion"]),
        };
        self.objects.delete(&asked.key()?, &deletion).map(|object| ok(&object))
    }

    /// Here everybody may do everything.
    async fn access_review(&self, body: Incoming) -> Result<Answer, Dropped> {
        let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
        if self.faults.is_down() {
            return Err(Dropped);
        }
        let mut review: Value = serde_json::from_slice(&body).unwrap_or_default();
        review["status"] = json!({ "allowed": true });
        Ok(json_answer(StatusCode::CREATED, &review))
    }
}

impl Target {
    fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/api/v1/").or_else(|| path.strip_prefix("/apis/networking.k8s.io/v1/"))?;
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (namespace, rest) = match parts.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let (&(resource, kind), name, log) = match rest {
            [plural] => (of_plural(plural)?, None, false),
            [plural, name] => (of_plural(plural)?, Some((*name).to_owned()), false),
            ["pods", name, "log"] => (of_plural("pods")?, Some((*name).to_owned()), true),
            _ => return None,
        };
        Some(Self { resource, kind, namespace, name, log })
    }
}

fn of_plural(plural: &str) -> Option<&'static (&'static str, &'static str)> {
    KINDS.iter().find(|(known, _)| *known == plural)
}

impl Asked {
    fn call(&self) -> Call {
        let verb = match (&self.method, &self.target.name) {
            _ if self.target.log => Verb::Log,
            (&Method::POST, _) => Verb::Create,
            (&Method::PATCH, _) => Verb::Patch,
            (&Method::PUT, _) => Verb::Replace,
            (&Method::DELETE, _) => Verb::Delete,
            (_, Some(_)) => Verb::Get,
            _ if matches!(self.parameter("watch"), "true" | "1") => Verb::Watch,
            _ => Verb::List,
        };
        (verb, self.target.resource)
    }

    fn key(&self) -> Result<Key, Refusal> {
        let Some(name) = self.target.name.clone() else {
            return Err(Refusal::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ));
        };
        Ok(Key { resource: self.target.resource, namespace: self.target.namespace.clone().unwrap_or_default(), name })
    }

    fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    fn selector(&self) -> Result<Selector, Refusal> {
        Selector::parse(self.parameter("labelSelector"), self.parameter("fieldSelector"))
    }
}

fn parse_query(query: &str) -> HashMap<String, String> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn parse_body(body: &Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::new(400, "BadRequest", error.to_string()))
}

fn ok(object: &Value) -> Answer {
    json_answer(StatusCode::OK, object)
}

fn refused(refusal: &Refusal) -> Answer {
    json_answer(StatusCode::from_u16(refusal.code).unwrap_or_default(), &refusal.status())
}

/// What a server under pressure answers: no object, as the real one's flow control.
fn faulty(code: u16, retry_after_seconds: Option<u32>) -> Answer {
    let text = Full::new(Bytes::from_static(b"this fault was asked for\n")).boxed_unsync();
    let mut answer = Response::new(text);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(seconds) = retry_after_seconds {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

fn json_answer(status: StatusCode, object: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(object.to_string())).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    answer
}
