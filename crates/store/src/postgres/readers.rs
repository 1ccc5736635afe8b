//! The reading side: a few sessions, each used by one query at a time and connected when first needed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::store::StoreError;
use tokio_postgres::Config;

use super::session::{Session, is_refused_value};
use crate::sql::connection::Writes;
use crate::sql::places::Places;
use crate::sql::query::Query;

/// Sessions cost the server a process each.
const READERS_MAX: usize = 4;
/// How long a query may take, waiting for a session included.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sessions that nobody uses at the moment.
#[derive(Debug)]
pub(super) struct Readers {
    config: Arc<Config>,
    idle: Mutex<Vec<Session>>,
    places: Places,
}

impl Readers {
    pub(super) fn new(config: Arc<Config>) -> Self {
        Self { config, idle: Mutex::default(), places: Places::new(READERS_MAX) }
    }

    pub(super) async fn read<Q: Query>(&self, query: Q) -> Result<Q::Output, StoreError> {
        let late = |_| StoreError::unavailable(format!("no answer within {} seconds", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, self.read_in_turn(query)).await.map_err(late)?
    }

    async fn read_in_turn<Q: Query>(&self, query: Q) -> Result<Q::Output, StoreError> {
        let _place = self.places.take::<Q>().await?;
        // A kept session may have been cut meanwhile, as by a restart of the server: then a new one decides.
        if let Some(mut session) = self.take() {
            match run(&mut session, query.clone()).await {
                Err(error @ StoreError::Unavailable(_)) if !is_refused_value(&error) => {}
                answer => return self.keep(session, answer),
            }
        }
        let mut session = Session::new(Arc::clone(&self.config));
        let answer = run(&mut session, query).await;
        self.keep(session, answer)
    }

    /// Keeps a session for the next query if it is sound.
    fn keep<T>(&self, session: Session, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        let refused = answer.as_ref().is_err_and(is_refused_value);
        if refused || !matches!(answer, Err(StoreError::Unavailable(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
        // Asking once more would be refused once more.
        if refused { answer.map_err(|error| StoreError::Corrupt(causes(&error))) } else { answer }
    }

    fn take(&self) -> Option<Session> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.filter(|session| !session.is_lost())
    }
}

async fn run<Q: Query>(session: &mut Session, query: Q) -> Result<Q::Output, StoreError> {
    if !Q::SNAPSHOT {
        return query.run(session).await;
    }
    session.begin_snapshot().await?;
    match query.run(session).await {
        Ok(answer) => session.commit().await.map(|()| answer),
        Err(error) => {
            session.rollback().await;
            Err(error)
        }
    }
}

/// The causes of an error, for those who can't have them as such.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
