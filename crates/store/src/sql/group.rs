//! Group commit: commands that wait at the same time share one transaction, and so one sync of the disk.

use model::id::EventId;
use tokio::sync::watch;

use super::command::{Broken, Command, Transaction};
use super::connection::Writes;
use super::ledger::Ledger;
use engine::store::StoreError;

/// At most this many commands share a commit, so that none waits long for the others.
pub(crate) const GROUP_MAX: usize = 512;

/// Runs commands in one transaction, tells those who follow the newest event, then answers.
///
/// When a command breaks the transaction, each gets one of its own, so that the others don't suffer from one that is
/// too large to be written. When none can begin, all are told at once.
pub(crate) async fn serve(
    connection: &mut impl Writes,
    newest_event: &watch::Sender<EventId>,
    mut commands: Vec<Command>,
) {
    let result = run(connection, &mut commands).await;
    match result {
        Ok(newest) => {
            publish(newest_event, newest);
            commands.into_iter().for_each(|command| command.answer(Ok(())));
        }
        Err(Failure::BeforeCommit(_)) if commands.len() > 1 && !connection.is_lost() => {
            for command in commands {
                Box::pin(serve(connection, newest_event, vec![command])).await;
            }
        }
        Err(Failure::Begin(broken) | Failure::BeforeCommit(broken) | Failure::InCommit(broken)) => {
            tracing::warn!(
                commands = commands.len(),
                error = &*broken as &dyn std::error::Error,
                "the store could not write"
            );
            commands.into_iter().for_each(|command| command.answer(Err(&broken)));
        }
    }
}

/// Tells of a newer event; the id never goes back.
pub(crate) fn publish(newest_event: &watch::Sender<EventId>, newest: EventId) {
    newest_event.send_if_modified(|seen| {
        let newer = newest > *seen;
        *seen = newest.max(*seen);
        newer
    });
}

enum Failure {
    /// The transaction could not begin; no command is to blame.
    Begin(Broken),
    /// Nothing was written.
    BeforeCommit(Broken),
    /// Nobody knows whether it was.
    InCommit(Broken),
}

async fn run(connection: &mut impl Writes, commands: &mut [Command]) -> Result<EventId, Failure> {
    match attempt(connection, commands).await {
        Ok(newest) => match connection.commit().await {
            Ok(()) => Ok(newest),
            Err(error) => {
                connection.rollback().await;
                Err(Failure::InCommit(broken(error)))
            }
        },
        Err(failure) => {
            connection.rollback().await;
            Err(failure)
        }
    }
}

async fn attempt(connection: &mut impl Writes, commands: &mut [Command]) -> Result<EventId, Failure> {
    let ledger = begin(connection).await.map_err(|error| Failure::Begin(broken(error)))?;
    let mut transaction = Transaction { connection, ledger };
    // Beginning may have taken long, so this is the moment to look who still waits.
    for command in commands.iter_mut().filter(|command| !command.is_abandoned()) {
        command.run(&mut transaction).await.map_err(Failure::BeforeCommit)?;
    }
    let Transaction { connection, ledger } = transaction;
    close(connection, ledger).await.map_err(|error| Failure::BeforeCommit(broken(error)))
}

async fn begin(connection: &mut impl Writes) -> Result<Ledger, StoreError> {
    connection.begin().await?;
    Ledger::open(connection).await
}

async fn close(connection: &mut impl Writes, mut ledger: Ledger) -> Result<EventId, StoreError> {
    let newest = ledger.last_event()?;
    ledger.close(connection).await?;
    Ok(newest)
}

fn broken(error: StoreError) -> Broken {
    match error {
        StoreError::Unavailable(cause) => cause.into(),
        other => std::sync::Arc::new(other),
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
