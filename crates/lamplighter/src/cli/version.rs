//! `lamplighter version`: which program this is, and which gateway it talks to.

use super::failure::Failure;
use super::{Context, Format};

/// This program's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Flags of `version`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct VersionArgs {
    /// Print JSON
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Prints both versions; a gateway that can't be reached is no failure here.
///
/// # Errors
/// [`Failure`] when they can't be printed.
pub(super) async fn run(mut context: Context, args: &VersionArgs) -> Result<u8, Failure> {
    let gateway = context.client.version().await;
    if args.output == Some(Format::Json) {
        let document = serde_json::json!({
            "client": { "name": "lamplighter", "version": VERSION },
            "gateway": gateway.ok().map(|answer| answer.json),
        });
        context.screen.print_json(&document)?;
        return Ok(0);
    }
    let url = context.client.url();
    let gateway = match gateway {
        Ok(answer) => format!("{} at {url}, behaves like Livy {}", answer.value.version, answer.value.livy_version),
        Err(error) => format!("none: {error}"),
    };
    context.screen.print(&format!("lamplighter {VERSION}\ngateway     {gateway}\n"))?;
    Ok(0)
}
