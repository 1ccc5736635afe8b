//! `lamplighter logs`: what a driver printed, or prints.

use super::Context;
use super::failure::Failure;
use super::follow::{Layout, Printer, follow};
use crate::client::Client;

/// Flags of `logs`.
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// The application, batch-N
    #[arg(value_name = "ID")]
    id: String,
    /// Go on until the application has ended
    #[arg(long, short)]
    follow: bool,
    /// Only this stream of the driver
    #[arg(long, value_name = "STREAM", value_parser = ["stdout", "stderr"])]
    stream: Option<String>,
    /// Begin this many lines before the end
    #[arg(long, value_name = "N")]
    tail: Option<u32>,
    /// The attempt, from 1; the last one if absent
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Begin each line with the time it was printed
    #[arg(long)]
    timestamps: bool,
}

/// Runs `logs`.
///
/// # Errors
/// [`Failure`].
pub(super) async fn run(context: Context, args: &LogsArgs) -> Result<u8, Failure> {
    let printer = Printer::new(Layout::Merged { timestamps: args.timestamps });
    if args.follow {
        // Asked first, because a stream is tried again when there is no gateway, and a person wants to know.
        context.client.get(&args.id).await?;
        follow(context.client.follow_logs(&args.id, &query(args)), printer).await?;
    } else {
        print(&context.client, args, printer).await?;
    }
    Ok(0)
}

async fn print(client: &Client, args: &LogsArgs, mut printer: Printer) -> Result<(), Failure> {
    let mut query = query(args);
    loop {
        let page = client.logs(&args.id, &query).await?.value;
        page.items.iter().for_each(|entry| printer.push(entry));
        printer.flush()?;
        // An empty page isn't the end; a place that doesn't move any more is.
        let asked = query.iter().find(|(name, _)| *name == "cursor").map(|(_, cursor)| cursor);
        let Some(next) = page.next_cursor.filter(|next| asked != Some(next)) else { return Ok(()) };
        query.retain(|(name, _)| !matches!(*name, "tail" | "cursor"));
        query.push(("cursor", next));
    }
}

fn query(args: &LogsArgs) -> Vec<(&'static str, String)> {
    let mut query = Vec::new();
    query.extend(args.stream.as_ref().map(|stream| ("stream", stream.clone())));
    query.extend(args.tail.map(|lines| ("tail", lines.to_string())));
    query.extend(args.attempt.map(|number| ("attempt", number.to_string())));
    query
}
