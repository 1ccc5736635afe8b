//! Logs of local attempts, read from their folders.

use std::io::ErrorKind;
use std::sync::Arc;

use async_trait::async_trait;
use engine::backend::AttemptRef;

use super::look::log_is_over;
use super::{LocalBackend, Shared};
use crate::log::{LogCursor, LogDir, LogError, LogPage, LogQuery, LogSource};

#[async_trait]
impl LogSource for LocalBackend {
    async fn read(&self, attempt: &AttemptRef, query: &LogQuery) -> Result<LogPage, LogError> {
        let (dir, query) = (self.shared.dir(attempt.id), query.clone());
        blocking(move || {
            // Asked before reading: what is written between the two is seen, or the page isn't called complete.
            let over = log_is_over(&dir)?;
            LogDir::open(&dir.log())?.map(|log| log.read(&query, over)).transpose()
        })
        .await
    }

    async fn grown(&self, attempt: &AttemptRef, after: LogCursor) -> Result<(), LogError> {
        let dir = self.shared.dir(attempt.id);
        let follow = |folder: &std::path::Path| {
            self.shared.follower.follow(folder).map_err(|error| match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => LogError::NotFound,
                _ => LogError::Unreadable(error),
            })
        };
        // Followed before looking, so that no change falls between.
        let (mut output, mut records) = (follow(&dir.log())?, follow(dir.path())?);
        while !has_more(&self.shared, attempt, after).await? {
            tokio::select! {
                () = output.changed() => {}
                () = records.changed() => {}
            }
        }
        Ok(())
    }
}

async fn has_more(shared: &Arc<Shared>, attempt: &AttemptRef, after: LogCursor) -> Result<bool, LogError> {
    let dir = shared.dir(attempt.id);
    blocking(move || {
        if log_is_over(&dir)? {
            return Ok(Some(true));
        }
        LogDir::open(&dir.log())?.map(|log| Ok(log.end()? > after)).transpose()
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<Option<T>> + Send + 'static,
) -> Result<T, LogError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| LogError::Unreadable(error.into()))?;
    done.map_err(LogError::Unreadable)?.ok_or(LogError::NotFound)
}
