//! `lamplighter wait`: until applications have ended.

use std::time::Duration;

use model::duration::{SparkDuration, TimeUnit};
use tokio::time::timeout;

use super::failure::Failure;
use super::{Context, view};
use crate::client::Client;

/// Even without news an application is looked at this often: events begin with the subscription, and one that
/// happened while the connection was down may have been missed.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Flags of `wait`.
#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// The applications, batch-N
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Wait no longer than this, for all of them together: 90s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
    /// Don't print how they ended
    #[arg(long, short)]
    quiet: bool,
}

/// Runs `wait`; the exit code is that of the first application, in the order given, that didn't succeed.
///
/// # Errors
/// [`Failure`].
pub(super) async fn run(mut context: Context, args: &WaitArgs) -> Result<u8, Failure> {
    let Some(limit) = args.timeout else { return wait_for_all(&mut context, args).await };
    match timeout(limit, wait_for_all(&mut context, args)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::timed_out("not all have ended in time".to_owned())
            .with_hint("they go on; wait again, or cancel with `lamplighter kill`")),
    }
}

async fn wait_for_all(context: &mut Context, args: &WaitArgs) -> Result<u8, Failure> {
    let mut code = 0;
    for id in &args.ids {
        let Some(application) = until_ended(&context.client, id).await? else {
            return Err(Failure::new(format!("{id} was removed while waiting for it")));
        };
        if !args.quiet {
            let sentence = view::sentence(application.state, application.reason.as_ref());
            context.screen.print(&format!("{id} {}\n", super::table::printable(&sentence)))?;
        }
        if code == 0 {
            code = view::exit_code(&application);
        }
    }
    Ok(code)
}

/// Waits until `id` has ended; nothing when it was removed meanwhile. Lost connections are taken up again.
///
/// # Errors
/// [`Failure`] when there is no such application, or the gateway stays away.
pub(super) async fn until_ended(client: &Client, id: &str) -> Result<Option<api::Application>, Failure> {
    let mut events = client.follow_events(id);
    let mut known = false;
    loop {
        // Subscribed before looking, so that no change falls between the two.
        events.open().await?;
        match client.get(id).await {
            Ok(answer) if answer.value.state.is_terminal() => return Ok(Some(answer.value)),
            Ok(_) => known = true,
            Err(error) if known && error.is_not_found() => return Ok(None),
            Err(error) if known && error.is_transient() => {}
            Err(error) => return Err(error.into()),
        }
        // What it brings doesn't matter, only that it is time to look again.
        if let Ok(received) = timeout(LOOK_INTERVAL, events.next()).await {
            received?;
        }
    }
}

/// Spark's notation for spans of time; a bare number means seconds.
fn time(text: &str) -> Result<Duration, String> {
    let parsed = SparkDuration::parse(text, TimeUnit::Second).map_err(|error| error.to_string())?;
    Ok(parsed.into())
}
