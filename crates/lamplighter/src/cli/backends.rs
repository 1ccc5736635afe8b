//! `lamplighter backends`: where applications run, and how busy it is there.

use super::failure::Failure;
use super::table::{self, Cell};
use super::{Context, Format};

/// Flags of `backends`.
#[derive(Debug, clap::Args)]
pub(crate) struct BackendsArgs {
    /// Print JSON
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Runs `backends`.
///
/// # Errors
/// [`Failure`].
pub(super) async fn run(mut context: Context, args: &BackendsArgs) -> Result<u8, Failure> {
    let answer = context.client.backends().await?;
    if args.output == Some(Format::Json) {
        context.screen.print_json(&answer.json)?;
        return Ok(0);
    }
    let row = |backend: &api::backend::Backend| {
        let ready = if backend.ready { "yes" } else { "no" };
        // Unknown to whom may not know of all applications.
        let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let cells = [
            backend.name.clone(),
            backend.kind.clone(),
            ready.to_owned(),
            count(backend.active),
            backend.places.to_string(),
            count(backend.queued),
            backend.leftovers.join(", "),
        ];
        cells.iter().map(|cell| Cell::new(cell)).collect()
    };
    let rows: Vec<Vec<Cell>> = answer.value.items.iter().map(row).collect();
    let colours = context.screen.colours;
    context.screen.print(&table::render(
        &["NAME", "KIND", "READY", "ACTIVE", "PLACES", "QUEUED", "LEFTOVERS"],
        &rows,
        colours,
    ))?;
    Ok(0)
}
