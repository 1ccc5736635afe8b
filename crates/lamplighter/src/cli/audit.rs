//! `lamplighter audit`: who did what, and who was not allowed to.

use super::failure::Failure;
use super::screen::note;
use super::table::{self, Cell};
use super::{Context, Format};

/// Flags of `audit`.
#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    /// Only what this user asked for
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only what this tenant's users asked for
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only what was decided so
    #[arg(long, value_name = "DECISION", value_parser = ["allowed", "denied", "refused", "unauthenticated"])]
    decision: Option<String>,
    /// At most this many, the newest first
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Print JSON, or more columns
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Runs `audit`.
///
/// # Errors
/// [`Failure`].
pub(super) async fn run(mut context: Context, args: &AuditArgs) -> Result<u8, Failure> {
    let mut records = Vec::new();
    let mut cursor: Option<String> = None;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    loop {
        let filters =
            [("user", &args.user), ("tenant", &args.tenant), ("decision", &args.decision), ("cursor", &cursor)];
        let mut query: Vec<_> = filters.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
        query.push(("limit", (limit - records.len()).min(1_000).to_string()));
        let page = context.client.audit(&query).await?.value;
        records.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() || records.len() >= limit {
            break;
        }
    }
    match args.output {
        Some(Format::Json) => {
            let document = serde_json::json!({ "items": records, "next_cursor": cursor });
            context.screen.print_json(&document)?;
        }
        _ if records.is_empty() => note("no such records"),
        output => {
            let wide = output == Some(Format::Wide);
            let colours = context.screen.colours;
            context.screen.print(&shown(&records, wide, colours))?;
        }
    }
    Ok(0)
}

fn shown(records: &[api::AuditRecord], wide: bool, colours: bool) -> String {
    let header = ["AT", "USER", "TENANT", "ACTION", "OBJECT", "DECISION", "RULES", "REQUEST"];
    let columns = if wide { header.len() } else { header.len() - 1 };
    let row = |record: &api::AuditRecord| {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "-".to_owned());
        let cells = [
            record.at.clone(),
            name(&record.user),
            name(&record.tenant),
            record.action.clone(),
            record.object.clone(),
            record.decision.clone(),
            record.rules.join(", "),
            record.request_id.clone(),
        ];
        cells.iter().take(columns).map(|cell| Cell::new(cell)).collect()
    };
    table::render(&header[..columns], &records.iter().map(row).collect::<Vec<_>>(), colours)
}
