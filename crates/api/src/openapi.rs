//! The OpenAPI 3.1 document of `/api/v1`.
//!
//! Every operation is declared here, next to the types it speaks; the gateway's tests hold its routes and this
//! document against each other, in both directions.

#![allow(dead_code, reason = "the functions exist for the attributes they carry; the gateway implements them")]

use utoipa::OpenApi;

use crate::application::Application;
use crate::audit::AuditRecord;
use crate::backend::Backend;
use crate::create::ApplicationCreate;
use crate::dry_run::DryRun;
use crate::event::Event;
use crate::log::{LogPage, LogStream};
use crate::page::Page;
use crate::problem::Problem;
use crate::version::Version;

/// The document as indented JSON with a line end, the same for the same build.
pub fn openapi() -> String {
    let mut text = serde_json::to_string_pretty(&Document::openapi()).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lamplighter",
        description = "One gateway to Apache Spark. Errors are `application/problem+json` with a `code` for machines; \
            every answer carries `X-Request-Id`. Times are RFC 3339 in UTC, spans of time and sizes are written as Spark writes them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        create_application, list_applications, get_application, delete_application, cancel_application,
        retry_application, read_logs, follow_events, list_backends, read_audit, get_version, get_openapi,
    ),
    components(schemas(ApplicationCreate, DryRun, Application, Event, LogPage, Problem)),
    tags(
        (name = "applications", description = "Run Spark programs and see what becomes of them"),
        (name = "events", description = "What happens, as it happens"),
        (name = "gateway", description = "The gateway itself"),
    ),
)]
struct Document;

/// Run an application.
///
/// Answered as soon as the application is stored durably; it starts when a place is free. With an
/// `Idempotency-Key` a repeated request gets the application of the first one, with status 200.
#[utoipa::path(
    post, path = "/api/v1/applications", tag = "applications", request_body = ApplicationCreate,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; keys of different users never meet"),
        ("dry_run" = Option<bool>, Query, description = "Tell what would come of it, a `DryRun` with status 200, and run nothing"),
    ),
    responses(
        (status = 201, description = "Accepted and stored", body = Application, headers(("Location" = String, description = "Path of the application"))),
        (status = 200, description = "The key was used for the same request before; this is what it made. With `dry_run`, a `DryRun`", body = Application),
        (status = 400, description = "`malformed_body`, `invalid_idempotency_key`, `invalid_query`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`policy_refused` with every rule that refuses it", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`name_taken`, `idempotency_key_spent`", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "`body_too_large`", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "`unsupported_media_type`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_application` with everything that is wrong, `idempotency_key_reused`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`queue_full`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "`unavailable`, `timeout`", body = Problem, content_type = "application/problem+json"),
    ),
)]
fn create_application() {}

/// List applications, newest first.
#[utoipa::path(
    get, path = "/api/v1/applications", tag = "applications",
    params(
        ("state" = Option<String>, Query, description = "Only these states: names separated by commas, or the parameter repeated"),
        ("kind" = Option<String>, Query, description = "Only `batch` or `server`"),
        ("backend" = Option<String>, Query, description = "Only this backend"),
        ("name" = Option<String>, Query, description = "Only this name, exactly"),
        ("label" = Option<String>, Query, description = "Only with this label, `key=value` or `key:value`; repeated for several", example = "team=core"),
        ("owner" = Option<String>, Query, description = "Only this user's"),
        ("external_id" = Option<String>, Query, description = "Only this external id"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u32>, Query, description = "At most this many, 1 to 1000; 100 when absent", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "A page", body = Page<Application>),
        (status = 400, description = "`invalid_query`", body = Problem, content_type = "application/problem+json"),
    ),
)]
fn list_applications() {}

/// See one application.
#[utoipa::path(
    get, path = "/api/v1/applications/{id}", tag = "applications",
    params(("id" = String, Path, description = "Its id", example = "batch-12")),
    responses(
        (status = 200, description = "The application", body = Application),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
    ),
)]
fn get_application() {}

/// Remove an ended application with its logs.
///
/// An application that hasn't ended is left alone unless `cancel=true`: then it is cancelled first.
#[utoipa::path(
    delete, path = "/api/v1/applications/{id}", tag = "applications",
    params(
        ("id" = String, Path, description = "Its id", example = "batch-12"),
        ("cancel" = Option<bool>, Query, description = "Cancel it first if it hasn't ended"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 202, description = "It is going: it ends first, or there is more to remove than a request waits for", body = Application),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`still_active`: cancel it, or say `cancel=true`", body = Problem, content_type = "application/problem+json"),
    ),
)]
fn delete_application() {}

/// End an application and keep its record.
///
/// Answered as soon as the wish is stored. Cancelling what has ended changes nothing.
#[utoipa::path(
    post, path = "/api/v1/applications/{id}/cancel", tag = "applications",
    params(("id" = String, Path, description = "Its id", example = "batch-12")),
    responses(
        (status = 202, description = "It will end; this is how it stands", body = Application),
        (status = 200, description = "It had ended already", body = Application),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
    ),
)]
fn cancel_application() {}

/// Run an ended application again, as a new application.
#[utoipa::path(
    post, path = "/api/v1/applications/{id}/retry", tag = "applications",
    params(
        ("id" = String, Path, description = "Its id", example = "batch-12"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; keys of different users never meet"),
    ),
    responses(
        (status = 201, description = "The new application; its `retry_of` names the old one", body = Application, headers(("Location" = String, description = "Path of the new application"))),
        (status = 200, description = "The key was used for the same request before; this is what it made", body = Application),
        (status = 403, description = "`policy_refused`: the rules have changed since", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "`not_retryable`, `name_taken`, `idempotency_key_spent`", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_application`, `idempotency_key_reused`", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "`queue_full`", body = Problem, content_type = "application/problem+json"),
    ),
)]
fn retry_application() {}

/// Read what the driver printed.
///
/// The form follows `Accept`: JSON entries by default, `text/plain` for the bare text, `text/event-stream` (or
/// `follow=true`) to follow it to its end. A followed log sends `log` events whose `id` is the cursor and whose
/// data is a `LogEntry`, a comment each 15 seconds, and at last one `end` event whose data is the ended
/// `Application`, or null when it was removed. It goes on into later attempts unless one was asked for.
#[utoipa::path(
    get, path = "/api/v1/applications/{id}/logs", tag = "applications",
    params(
        ("id" = String, Path, description = "Its id", example = "batch-12"),
        ("attempt" = Option<u32>, Query, description = "Number of the attempt, from 1; the last one when absent", minimum = 1),
        ("stream" = Option<LogStream>, Query, description = "Only this stream"),
        ("cursor" = Option<String>, Query, description = "Go on from here; `Last-Event-ID` does the same"),
        ("tail" = Option<u32>, Query, description = "Begin this many lines before the end, at most 10000"),
        ("limit" = Option<u32>, Query, description = "At most this many entries, 1 to 10000; 1000 when absent. Plain text has no limit", minimum = 1, maximum = 10000),
        ("follow" = Option<bool>, Query, description = "Follow the log to its end, as server-sent events"),
    ),
    responses(
        (status = 200, description = "A piece of the log", content((LogPage = "application/json"), (String = "text/plain"), (String = "text/event-stream"))),
        (status = 400, description = "`invalid_query`", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "`not_found`", body = Problem, content_type = "application/problem+json"),
    ),
)]
fn read_logs() {}

/// Follow what happens to applications, as server-sent events.
///
/// The `id` of a message is the event's id, `event` its type, `data` an `Event`. With `Last-Event-ID` or `after`
/// nothing that came later is missed, or a `gap` event says that older events are not kept any more; without, the
/// stream begins now. A comment comes each 15 seconds. A client
/// that doesn't read is disconnected, and goes on with `Last-Event-ID`.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(
        ("Last-Event-ID" = Option<u64>, Header, description = "Begin after this event"),
        ("after" = Option<u64>, Query, description = "Begin after this event; 0 for the oldest that is kept"),
        ("application" = Option<String>, Query, description = "Only this application's", example = "batch-12"),
    ),
    responses(
        (status = 200, description = "The stream", body = Event, content_type = "text/event-stream"),
        (status = 400, description = "`invalid_query`", body = Problem, content_type = "application/problem+json"),
    ),
)]
fn follow_events() {}

/// See the backends and what they do.
#[utoipa::path(
    get, path = "/api/v1/backends", tag = "gateway",
    responses((status = 200, description = "All backends", body = Page<Backend>)),
)]
fn list_backends() {}

/// Read who did what, newest first.
///
/// What changes something is recorded, and everything that was denied, refused or asked by nobody known.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "gateway",
    params(
        ("user" = Option<String>, Query, description = "Only what this user asked for"),
        ("tenant" = Option<String>, Query, description = "Only what users of this tenant asked for"),
        ("decision" = Option<String>, Query, description = "Only `allowed`, `denied`, `refused` or `unauthenticated`"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u32>, Query, description = "At most this many, 1 to 1000; 100 when absent", minimum = 1, maximum = 1000),
    ),
    responses(
        (status = 200, description = "A page", body = Page<AuditRecord>),
        (status = 400, description = "`invalid_query`", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "`forbidden`", body = Problem, content_type = "application/problem+json"),
    ),
)]
fn read_audit() {}

/// See which gateway this is.
#[utoipa::path(get, path = "/api/v1/version", tag = "gateway", responses((status = 200, description = "The version", body = Version)))]
fn get_version() {}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "gateway", responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
fn get_openapi() {}
