//! `lamplighter rm`: ended applications and their logs are removed for good.

use super::Context;
use super::failure::Failure;
use super::kill::for_each;

/// Flags of `rm`.
#[derive(Debug, clap::Args)]
pub(crate) struct RmArgs {
    /// The applications, batch-N
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Cancel those that haven't ended first
    #[arg(long, short)]
    force: bool,
    /// Print nothing but errors
    #[arg(long, short)]
    quiet: bool,
}

/// Runs `rm`.
///
/// # Errors
/// The last [`Failure`]; the others were reported, and every application was tried.
pub(super) async fn run(mut context: Context, args: &RmArgs) -> Result<u8, Failure> {
    let choice = context.screen.choice;
    for_each(choice, &args.ids, async |id| {
        context.client.delete(id, args.force).await?;
        if args.quiet { Ok(()) } else { context.screen.print(&format!("{id} removed\n")) }
    })
    .await
}
