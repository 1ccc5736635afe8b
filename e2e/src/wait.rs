//! Waiting for conditions on a cluster.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// Short beside anything that a cluster does.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks `condition` until it gives something.
///
/// # Errors
/// When `condition` fails, or when it gave nothing for `limit`; the error then names `what` was waited for.
pub async fn until<T>(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if Instant::now() > end {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        sleep(PAUSE).await;
    }
}
