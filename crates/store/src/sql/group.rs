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
/// When something breaks the transaction, each command gets one of its own, so that the others don't suffer from
/// one that is too large to be written.
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
        Err(Failure::BeforeCommit(broken) | Failure::InCommit(broken)) => {
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
        Err(broken) => {
            connection.rollback().await;
            Err(Failure::BeforeCommit(broken))
        }
    }
}

async fn attempt(connection: &mut impl Writes, commands: &mut [Command]) -> Result<EventId, Broken> {
    connection.begin().await.map_err(broken)?;
    let ledger = Ledger::open(connection).await.map_err(broken)?;
    let mut transaction = Transaction { connection, ledger };
    for command in commands {
        command.run(&mut transaction).await?;
    }
    let Transaction { connection, mut ledger } = transaction;
    let newest = ledger.last_event().map_err(broken)?;
    ledger.close(connection).await.map_err(broken)?;
    Ok(newest)
}

fn broken(error: StoreError) -> Broken {
    match error {
        StoreError::Unavailable(cause) => cause.into(),
        other => std::sync::Arc::new(other),
    }
}
