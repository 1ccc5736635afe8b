//! `lamplighter retry`: an ended application once more, as a new one.

use super::failure::Failure;
use super::{Context, Format};

/// Flags of `retry`.
#[derive(Debug, clap::Args)]
pub(crate) struct RetryArgs {
    /// The ended application, batch-N
    #[arg(value_name = "ID")]
    id: String,
    /// Makes repeating this command harmless: the same key gets the same new application
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Print JSON instead of the new application's id
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Runs `retry`.
///
/// # Errors
/// [`Failure`].
pub(super) async fn run(mut context: Context, args: &RetryArgs) -> Result<u8, Failure> {
    let key = args.idempotency_key.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let answer = context.client.retry(&args.id, &key).await?;
    if args.output == Some(Format::Json) {
        context.screen.print_json(&answer.json)?;
    } else {
        context.screen.print(&format!("{}\n", answer.value.id))?;
    }
    Ok(0)
}
