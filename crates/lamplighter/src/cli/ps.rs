//! `lamplighter ps`: the list of applications.
//!
//! As with docker, only what hasn't ended is shown unless `--all` or `--state` asks for more.

use super::failure::Failure;
use super::screen::note;
use super::{Context, Format, view};
use crate::client::ListFilter;

const ACTIVE: [&str; 4] = ["accepted", "starting", "running", "stopping"];
const STATES: [&str; 7] = ["accepted", "starting", "running", "stopping", "succeeded", "failed", "cancelled"];

/// Flags of `ps`.
#[derive(Debug, clap::Args)]
pub(crate) struct PsArgs {
    /// Show those that have ended too
    #[arg(long, short)]
    all: bool,
    /// Only these states; repeat it or separate them by commas
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = STATES)]
    state: Vec<String>,
    /// Only this name, as the table shows it
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only with this label; repeat it for several
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// At most this many, the newest first
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print ids only
    #[arg(long, short)]
    quiet: bool,
    /// Print JSON, or more columns
    #[arg(long, short, value_enum, value_name = "FORMAT", conflicts_with = "quiet")]
    output: Option<Format>,
}

/// Runs `ps`.
///
/// # Errors
/// [`Failure`].
pub(super) async fn run(mut context: Context, args: PsArgs) -> Result<u8, Failure> {
    let found = find(&context, &args).await?;
    if args.output == Some(Format::Json) {
        let document = serde_json::json!({ "items": found.json, "next_cursor": found.next_cursor });
        context.screen.print_json(&document)?;
    } else if args.quiet {
        let ids: String = found.applications.iter().map(|application| format!("{}\n", application.id)).collect();
        context.screen.print(&ids)?;
    } else if found.applications.is_empty() {
        note(if args.all || !args.state.is_empty() {
            "no such applications"
        } else {
            "no active applications; --all shows those that have ended"
        });
    } else {
        let wide = args.output == Some(Format::Wide);
        let colours = context.screen.colours;
        context.screen.print(&view::table(&found.applications, view::now(), wide, colours))?;
        if found.next_cursor.is_some() && context.screen.notes_seen {
            note(&format!("there are more; --limit shows more than {}", args.limit));
        }
    }
    Ok(0)
}

#[derive(Default)]
struct Found {
    applications: Vec<api::Application>,
    json: Vec<serde_json::Value>,
    /// Where the gateway's list goes on behind what was looked at.
    next_cursor: Option<String>,
}

async fn find(context: &Context, args: &PsArgs) -> Result<Found, Failure> {
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let filter = ListFilter { states: states(args), labels: args.label.clone() };
    let mut found = Found::default();
    loop {
        // Names are chosen from here, so with one the page says nothing about how many are still wanted.
        let wanted = if args.name.is_some() { usize::MAX } else { limit - found.applications.len() };
        let page = context.client.list(&filter, found.next_cursor.as_deref(), wanted).await?;
        let mut items =
            page.json.get("items").and_then(|items| items.as_array()).cloned().unwrap_or_default().into_iter();
        for application in page.value.items {
            let json = items.next().unwrap_or_default();
            let named = args.name.as_ref().is_none_or(|name| *name == view::display_name(&application));
            if named && found.applications.len() < limit {
                found.applications.push(application);
                found.json.push(json);
            }
        }
        found.next_cursor = page.value.next_cursor;
        if found.next_cursor.is_none() || found.applications.len() >= limit {
            return Ok(found);
        }
    }
}

fn states(args: &PsArgs) -> Vec<String> {
    if !args.state.is_empty() {
        return args.state.clone();
    }
    if args.all { Vec::new() } else { ACTIVE.map(str::to_owned).to_vec() }
}
