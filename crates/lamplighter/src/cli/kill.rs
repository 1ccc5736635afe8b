//! `lamplighter kill`: applications are cancelled, and the command waits until their drivers have ended.

use super::failure::Failure;
use super::screen::ColorChoice;
use super::wait::until_ended;
use super::{Context, view};
use crate::client::Client;

/// Flags of `kill`.
#[derive(Debug, clap::Args)]
pub(crate) struct KillArgs {
    /// The applications, batch-N
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Remove them with their logs when they have ended
    #[arg(long)]
    rm: bool,
    /// Don't wait until they have ended
    #[arg(long)]
    no_wait: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

impl KillArgs {
    /// The plain command for one application.
    pub(super) fn of(id: String) -> Self {
        Self { ids: vec![id], rm: false, no_wait: false, quiet: false }
    }
}

/// Runs `kill`.
///
/// # Errors
/// The last [`Failure`]; the others were reported, and every application was tried.
pub(super) async fn run(mut context: Context, args: &KillArgs) -> Result<u8, Failure> {
    // All of them are told first, so that they end side by side.
    let choice = context.screen.choice;
    let mut told = Vec::new();
    let telling = for_each(choice, &args.ids, async |id| {
        context.client.cancel(id).await?;
        told.push(id.to_owned());
        Ok(())
    })
    .await;
    let ending = for_each(choice, &told, async |id| {
        let outcome = end(&context.client, args, id).await?;
        if args.quiet { Ok(()) } else { context.screen.print(&format!("{id} {outcome}\n")) }
    })
    .await;
    match (telling, ending) {
        (Err(first), Err(second)) => {
            first.report(choice);
            Err(second)
        }
        (telling, ending) => telling.and(ending),
    }
}

/// Waits and removes as wanted, and says what became of it.
async fn end(client: &Client, args: &KillArgs, id: &str) -> Result<&'static str, Failure> {
    if !args.no_wait {
        let ended = until_ended(client, id).await?;
        let Some(application) = ended else { return Ok("removed") };
        if !args.rm {
            return Ok(view::word(application.state));
        }
    }
    if args.rm {
        client.delete(id, true).await?;
    }
    Ok(match (args.rm, args.no_wait) {
        (true, false) => "removed",
        (true, true) => "will be removed",
        (false, _) => "will be cancelled",
    })
}

/// Does `action` for each of `ids`, whatever happens to the others.
///
/// # Errors
/// The last [`Failure`]; those before were reported.
pub(super) async fn for_each(
    choice: ColorChoice,
    ids: &[String],
    mut action: impl AsyncFnMut(&str) -> Result<(), Failure>,
) -> Result<u8, Failure> {
    let mut last: Option<Failure> = None;
    for id in ids {
        match action(id).await {
            Ok(()) => {}
            Err(failure) if failure.is_reader_gone() => return Err(failure),
            Err(failure) => {
                if let Some(before) = last.replace(failure) {
                    before.report(choice);
                }
            }
        }
    }
    last.map_or(Ok(0), Err)
}
