//! Livy's `/batches`.

use ::backends::log::LogError;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use engine::backend::AttemptRef;
use engine::store::StoreError;
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use livy::id::IdOrName;
use livy::view::{AppInfo, BatchList, BatchView, DELETED, LogView, StateView};
use livy::{Rejection, log as livy_log, page};
use model::application::{Application, Wish};
use model::id::{ApplicationId, ApplicationKind};
use model::principal::Scope;

use super::last_lines::{self, Bounds};
use super::{Refusal, create as creating, json, negotiate, optional_int, read_body};
use crate::server::access::Action;
use crate::server::asker::Asker;
use crate::server::v1::Caller;
use crate::server::{App, AppState, query};

/// Which segment of `/batches/{id}` is the id or name.
const ID_SEGMENT: usize = 1;
/// Logs read at once for a list.
const LOGS_AT_ONCE: usize = 16;
/// Batches on a page at most. Livy has no bound; a page of everything is one that can't be made.
const PAGE_MAX: u32 = 10_000;
/// Bytes of lines in one view of a list, which holds many.
const LISTED_VIEW_BYTES_MAX: usize = 16 << 10;
/// Bytes of lines in a view that stands alone.
const VIEW_BYTES_MAX: usize = 1 << 20;
/// Bytes of lines that a client can page through.
const LOG_BYTES_MAX: usize = 16 << 20;

/// `GET /batches`.
pub(in crate::server) async fn list(
    State(app): State<AppState>,
    Caller(asker): Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    negotiate(&headers)?;
    let pairs = query::pairs(&uri);
    let from = optional_int(&pairs, "from")?.unwrap_or(0);
    let size = optional_int(&pairs, "size")?.unwrap_or(page::DEFAULT_SIZE);
    // The slice as if there were more batches than numbers; the store cuts it to those there are.
    let wanted = page::list(from, size, ApplicationId::MAX_NUMBER as usize);
    let offset = u32::try_from(wanted.start).unwrap_or(u32::MAX);
    let limit = u32::try_from(wanted.len()).unwrap_or(u32::MAX).min(PAGE_MAX);
    let scope = app.scope(&asker, Action::ListApplications);
    let found = app.engine.list_by_position(&scope, ApplicationKind::Batch, offset, limit).await?;
    let views = futures::stream::iter(found.applications).map(|batch| {
        let app = app.clone();
        async move { view(&app, &batch, LISTED_VIEW_BYTES_MAX).await }
    });
    let sessions = views.buffered(LOGS_AT_ONCE).collect().await;
    let total = usize::try_from(found.total).unwrap_or(usize::MAX);
    Ok(json(StatusCode::OK, &BatchList { from, total, sessions }))
}

/// `POST /batches`.
pub(in crate::server) async fn create(
    State(app): State<AppState>,
    Caller(asker): Caller,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    negotiate(&head.headers)?;
    let body = read_body(&app, &head.headers, body).await?;
    let accepted = creating::accept(&app, &asker, &head.headers, &body).await?;
    let id = number(accepted.application());
    let silent = livy_log::merged(Vec::<String>::new(), livy_log::VIEW_LINES);
    let mut response = json(StatusCode::CREATED, &view_without_log(accepted.application(), silent));
    if let Ok(location) = HeaderValue::try_from(livy::view::location(id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// `GET /batches/{id}`.
pub(in crate::server) async fn get(
    State(app): State<AppState>,
    Caller(asker): Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    negotiate(&headers)?;
    let batch = find(&app, &asker, Action::ReadApplication, &uri).await?;
    Ok(json(StatusCode::OK, &view(&app, &batch, VIEW_BYTES_MAX).await))
}

/// `GET /batches/{id}/state`.
pub(in crate::server) async fn state(
    State(app): State<AppState>,
    Caller(asker): Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    negotiate(&headers)?;
    let batch = find(&app, &asker, Action::ReadApplication, &uri).await?;
    Ok(json(StatusCode::OK, &StateView { id: number(&batch), state: livy::state::word(batch.state) }))
}

/// `GET /batches/{id}/log`.
pub(in crate::server) async fn log(
    State(app): State<AppState>,
    Caller(asker): Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    negotiate(&headers)?;
    let batch = find(&app, &asker, Action::ReadLogs, &uri).await?;
    let pairs = query::pairs(&uri);
    let (from, size) = (optional_int(&pairs, "from")?, optional_int(&pairs, "size")?);
    let bounds = Bounds { lines_max: app.livy.log_lines, bytes_max: LOG_BYTES_MAX };
    let merged = livy_log::merged(last_lines(&app, &batch, bounds).await, app.livy.log_lines);
    let total = merged.len();
    let (from, range) = page::log(total, from, size);
    let log = merged.get(range).unwrap_or_default().to_vec();
    Ok(json(StatusCode::OK, &LogView { id: number(&batch), from, total, log }))
}

/// `DELETE /batches/{id}`: answers when the batch has ended and is gone, as Livy does, or after a while with 202
/// and the same words.
pub(in crate::server) async fn delete(
    State(app): State<AppState>,
    Caller(asker): Caller,
    headers: HeaderMap,
    uri: Uri,
    _body: Body,
) -> Result<Response, Refusal> {
    negotiate(&headers)?;
    let batch = find(&app, &asker, Action::DeleteApplication, &uri).await?;
    if app.wish(batch.id, Wish::Delete).await?.is_none() {
        return Err(Rejection::not_found(&query::segment(&uri, ID_SEGMENT)).into());
    }
    let gone = app.engine.wait_removed(batch.id, app.limits.delete_timeout).await?;
    let status = if gone { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(json(status, &DELETED))
}

/// The batch that the path names, if it is there and the asker may do this to it.
async fn find(app: &App, asker: &Asker, action: Action, uri: &Uri) -> Result<Application, Refusal> {
    let segment = query::segment(uri, ID_SEGMENT);
    let found = match livy::id::parse(&segment)? {
        IdOrName::Id(id) => {
            let id = u32::try_from(id).ok().and_then(|id| ApplicationId::new(ApplicationKind::Batch, id));
            match id {
                Some(id) => app.engine.get(id).await?,
                None => None,
            }
        }
        IdOrName::Name(name) => find_by_name(app, asker, &name).await?,
    };
    let permitted = app.permitted(asker, action, found).await?;
    permitted.ok_or_else(|| Rejection::not_found(&segment).into())
}

/// The asker's own batch of that name before one of somebody else.
async fn find_by_name(app: &App, asker: &Asker, name: &str) -> Result<Option<Application>, StoreError> {
    let own = Scope::Owner((&*asker.principal).into());
    match app.engine.get_by_name(&own, ApplicationKind::Batch, name).await? {
        Some(batch) => Ok(Some(batch)),
        None => {
            let visible = app.scope(asker, Action::ReadApplication);
            app.engine.get_by_name(&visible, ApplicationKind::Batch, name).await
        }
    }
}

fn number(batch: &Application) -> i32 {
    i32::try_from(batch.id.number()).unwrap_or(i32::MAX)
}

async fn view(app: &App, batch: &Application, bytes_max: usize) -> BatchView {
    let bounds = Bounds { lines_max: livy_log::VIEW_LINES, bytes_max };
    let merged = livy_log::merged(last_lines(app, batch, bounds).await, livy_log::VIEW_LINES);
    view_without_log(batch, livy_log::view_of(&merged).to_vec())
}

fn view_without_log(batch: &Application, log: Vec<String>) -> BatchView {
    BatchView {
        id: number(batch),
        name: batch.spec.name.clone(),
        owner: None,
        proxy_user: None,
        state: livy::state::word(batch.state),
        app_id: None,
        app_info: AppInfo::default(),
        log,
    }
}

/// The last lines of the last attempt. A log that can't be read now
/// shows as empty: the state of a batch must not depend on its log.
async fn last_lines(app: &App, batch: &Application, bounds: Bounds) -> Vec<String> {
    let Some(attempt) = batch.attempts.last() else { return Vec::new() };
    let Some(source) = app.logs.get(&batch.backend) else { return Vec::new() };
    let attempt = AttemptRef { id: attempt.id, application: batch.id, binding: attempt.binding.clone() };
    match last_lines::read(&**source, &attempt, bounds).await {
        Ok(lines) => lines,
        Err(LogError::NotFound) => Vec::new(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, application = %batch.id, "read a log");
            Vec::new()
        }
    }
}
