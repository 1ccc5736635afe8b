//! `/api/v1/applications`.

use std::str::FromStr;
use std::time::Duration;

use api::create::CreateError;
use api::cursor::ListCursor;
use api::{NewApplication, Page, ProblemCode};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::runtime::AcceptRequest;
use engine::store::{Accepted, Cursor, IdempotencyKey, ListQuery};
use http::{HeaderMap, StatusCode, Uri, header};
use model::application::{Application, Wish};
use model::id::ApplicationKind;
use model::principal::Scope;
use model::state::State as ApplicationState;
use sha2::{Digest as _, Sha256};

use super::{Caller, PathId};
use crate::server::access::Action;
use crate::server::body::JsonBody;
use crate::server::failure::{Failure, field_problem};
use crate::server::query::Parameters;
use crate::server::{App, AppState, admission};

/// Applications on a page when the client doesn't say.
const PAGE_ITEMS: u32 = 100;
/// Applications on a page at most.
const PAGE_ITEMS_MAX: u32 = 1_000;
/// Bytes of applications' texts after which a page ends, however few they are.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Applications read from the store at once.
const READ_ITEMS: u32 = 128;
/// Labels that a list can be filtered by at once.
const LABEL_FILTERS_MAX: usize = 8;
/// How long a DELETE waits for what is ended already to be gone.
const REMOVAL_PATIENCE: Duration = Duration::from_secs(5);

/// `POST /api/v1/applications`.
pub(in crate::server) async fn create(
    State(app): State<AppState>,
    Caller(asker): Caller,
    headers: HeaderMap,
    uri: Uri,
    JsonBody(body): JsonBody,
) -> Result<Response, Failure> {
    let mut parameters = Parameters::of(&uri);
    let dry_run = parameters.flag("dry_run");
    parameters.finish()?;
    let idempotency = idempotency_key(&headers, &[b"create", &body])?;
    let new = NewApplication::parse(&body).map_err(refuse_body)?;
    if dry_run {
        return Ok(Json(app.dry_run(&asker, new).await?).into_response());
    }
    // What was accepted once is answered, even if the look would find fault with it now.
    if let Some(key) = &idempotency
        && let Some(known) = app.engine.replay(&asker.principal, key).await?
    {
        return Ok(answer(&known));
    }
    let new = look_over(&app, new).await?;
    let request = AcceptRequest {
        kind: ApplicationKind::Batch,
        spec: new.spec,
        backend: new.backend,
        retry_of: None,
        idempotency,
        tenant_max: None,
        audit: None,
    };
    Ok(answer(&app.accept(&asker, request).await??))
}

fn refuse_body(error: CreateError) -> Failure {
    match error {
        CreateError::Malformed(detail) => Failure::new(ProblemCode::MalformedBody).detail(detail),
        CreateError::Invalid(errors) => Failure::new(ProblemCode::InvalidApplication).errors(errors),
    }
}

/// Asks for what a submitter should hear before a driver runs into it.
async fn look_over(app: &AppState, new: NewApplication) -> Result<NewApplication, Failure> {
    let (spec, problems) = app.preflight.look(new.backend.clone(), new.spec).await?;
    if problems.is_empty() {
        return Ok(NewApplication { spec, ..new });
    }
    Err(Failure::new(ProblemCode::InvalidApplication).errors(problems.iter().map(field_problem).collect()))
}

fn answer(accepted: &Accepted) -> Response {
    let status = match accepted {
        Accepted::Created(_) => StatusCode::CREATED,
        Accepted::Replayed(_) => StatusCode::OK,
    };
    let application = accepted.application();
    let location = format!("/api/v1/applications/{}", application.id);
    (status, [(header::LOCATION, location)], Json(api::Application::from(application))).into_response()
}

/// The key of a request that may be repeated, bound to what it asks for.
pub(in crate::server) fn idempotency_key(
    headers: &HeaderMap,
    asked: &[&[u8]],
) -> Result<Option<IdempotencyKey>, Failure> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else { return Ok(None) };
    let spelled = (1..=255).contains(&key.len()) && key.as_bytes().iter().all(u8::is_ascii_graphic);
    if !spelled || keys.next().is_some() {
        return Err(Failure::new(ProblemCode::InvalidIdempotencyKey));
    }
    let mut digest = Sha256::new();
    for part in asked {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let key = key.to_str().unwrap_or_default().to_owned();
    Ok(Some(IdempotencyKey { key, fingerprint: digest.finalize().into() }))
}

/// `GET /api/v1/applications`.
pub(in crate::server) async fn list(
    State(app): State<AppState>,
    Caller(asker): Caller,
    uri: Uri,
) -> Result<Json<Page<api::Application>>, Failure> {
    let query = ListQuery { scope: app.scope(&asker, Action::ListApplications), ..list_query(&uri)? };
    let (found, more) = read_page(&app, query).await?;
    let next_cursor =
        found.last().filter(|_| more).map(|last| ListCursor { accepted_at: last.accepted_at, id: last.id }.encode());
    Ok(Json(Page { items: found.iter().map(api::Application::from).collect(), next_cursor }))
}

/// As many applications as `query` asks for, or as fit into a page, and whether there are more. They are read bit by
/// bit, so that a page of large ones is never in memory as a whole.
async fn read_page(app: &App, mut query: ListQuery) -> Result<(Vec<Application>, bool), Failure> {
    let wanted = query.limit as usize;
    let (mut found, mut bytes) = (Vec::new(), 0);
    loop {
        // One more than asked for tells whether there is a next page.
        let missing = u32::try_from(wanted + 1 - found.len()).unwrap_or(READ_ITEMS);
        query.limit = missing.min(READ_ITEMS);
        let read = app.engine.list(&query).await?;
        let is_last = read.len() < query.limit as usize;
        query.after = read.last().map(|last| Cursor { accepted_at: last.accepted_at, id: last.id });
        for application in read {
            if found.len() == wanted || bytes >= PAGE_BYTES_MAX {
                return Ok((found, true));
            }
            bytes += admission::text_bytes(&application.spec);
            found.push(application);
        }
        if is_last {
            return Ok((found, false));
        }
    }
}

fn list_query(uri: &Uri) -> Result<ListQuery, Failure> {
    let mut parameters = Parameters::of(uri);
    let query = ListQuery {
        scope: Scope::Nothing,
        kind: parameters.parsed("kind"),
        states: states(&mut parameters),
        backend: parameters.parsed("backend"),
        name: parameters.one("name"),
        labels: labels(&mut parameters),
        owner: parameters.parsed("owner"),
        external_id: parameters.one("external_id"),
        after: cursor(&mut parameters),
        limit: parameters.number("limit", 1, PAGE_ITEMS_MAX).unwrap_or(PAGE_ITEMS),
    };
    parameters.finish()?;
    Ok(query)
}

fn states(parameters: &mut Parameters) -> Vec<ApplicationState> {
    let mut states = Vec::new();
    for word in parameters.all("state").iter().flat_map(|value| value.split(',')) {
        match ApplicationState::from_str(word) {
            Ok(state) if states.contains(&state) => {}
            Ok(state) => states.push(state),
            Err(error) => {
                let known = ApplicationState::ALL.map(ApplicationState::as_str).join(", ");
                parameters.refuse("state", format!("{error}; there are: {known}"));
            }
        }
    }
    states
}

fn labels(parameters: &mut Parameters) -> Vec<(String, String)> {
    let given = parameters.all("label");
    if given.len() > LABEL_FILTERS_MAX {
        parameters.refuse("label", format!("is given more than {LABEL_FILTERS_MAX} times"));
    }
    let mut labels = Vec::new();
    for item in given {
        match item.split_once(['=', ':']) {
            Some((key, value)) if !key.is_empty() => labels.push((key.to_owned(), value.to_owned())),
            _ => parameters.refuse("label", "expected key=value or key:value"),
        }
    }
    labels
}

fn cursor(parameters: &mut Parameters) -> Option<Cursor> {
    let text = parameters.one("cursor")?;
    match ListCursor::decode(&text) {
        Ok(place) => Some(Cursor { accepted_at: place.accepted_at, id: place.id }),
        Err(error) => {
            parameters.refuse("cursor", error.to_string());
            None
        }
    }
}

/// `GET /api/v1/applications/{id}`.
pub(in crate::server) async fn get(
    State(app): State<AppState>,
    Caller(asker): Caller,
    PathId(id): PathId,
    uri: Uri,
) -> Result<Json<api::Application>, Failure> {
    Parameters::of(&uri).finish()?;
    let application = app.application(&asker, Action::ReadApplication, id).await?;
    Ok(Json((&application).into()))
}

/// `POST /api/v1/applications/{id}/cancel`.
pub(in crate::server) async fn cancel(
    State(app): State<AppState>,
    Caller(asker): Caller,
    PathId(id): PathId,
) -> Result<(StatusCode, Json<api::Application>), Failure> {
    app.application(&asker, Action::CancelApplication, id).await?;
    let application = wish(&app, id, Wish::Cancel).await?;
    let status = if application.state.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json((&application).into())))
}

async fn wish(app: &App, id: model::id::ApplicationId, wish: Wish) -> Result<Application, Failure> {
    app.wish(id, wish).await?.ok_or_else(|| Failure::no_application(&id.to_string()))
}

/// `DELETE /api/v1/applications/{id}`.
pub(in crate::server) async fn delete(
    State(app): State<AppState>,
    Caller(asker): Caller,
    PathId(id): PathId,
    uri: Uri,
) -> Result<Response, Failure> {
    let mut parameters = Parameters::of(&uri);
    let cancel = parameters.flag("cancel");
    parameters.finish()?;
    let application = app.application(&asker, Action::DeleteApplication, id).await?;
    let ended = application.state.is_terminal();
    if !ended && !cancel {
        let advice = format!(
            "it is {}; POST /api/v1/applications/{id}/cancel ends it, `?cancel=true` ends and deletes it",
            application.state
        );
        return Err(Failure::new(ProblemCode::StillActive).detail(advice));
    }
    let application = wish(&app, id, Wish::Delete).await?;
    if ended && app.engine.wait_removed(id, REMOVAL_PATIENCE).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok((StatusCode::ACCEPTED, Json(api::Application::from(&application))).into_response())
}

/// `POST /api/v1/applications/{id}/retry`.
pub(in crate::server) async fn retry(
    State(app): State<AppState>,
    Caller(asker): Caller,
    PathId(id): PathId,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let ended = app.application(&asker, Action::RetryApplication, id).await?;
    let idempotency = idempotency_key(&headers, &[b"retry", id.to_string().as_bytes()])?;
    let outcome = app.retry(&asker, ended, idempotency).await??;
    outcome.as_ref().map(answer).ok_or_else(|| Failure::no_application(&id.to_string()))
}
