//! `submit --dry-run`: what would come of a submission.

use super::Document;
use crate::cli::Context;
use crate::cli::failure::Failure;
use crate::cli::table::printable;

/// The exit code when it would be refused.
const REFUSED: u8 = 1;

/// Asks and prints.
///
/// # Errors
/// [`Failure`] when the gateway can't say; that it would refuse is no failure but the code returned.
pub(super) async fn run(
    mut context: Context,
    create: &api::ApplicationCreate,
    output: Option<Document>,
) -> Result<u8, Failure> {
    let answer = context.client.dry_run(create).await?;
    match output {
        Some(document) => document.print(&mut context.screen, &answer.json)?,
        None => context.screen.print(&shown(&answer.value)?)?,
    }
    Ok(if answer.value.allowed { 0 } else { REFUSED })
}

fn shown(run: &api::DryRun) -> Result<String, Failure> {
    let verdict = if run.allowed { "would run" } else { "would be refused" };
    let mut text = format!("{verdict} on backend {}\n", run.backend);
    for change in &run.changes {
        let from = change.from.as_ref().map(|from| format!(" instead of {}", printable(from))).unwrap_or_default();
        let (key, to) = (printable(&change.key), printable(&change.to));
        text.push_str(&format!("  {} {key} = {to}{from} (rule {})\n", change.kind, change.rule));
    }
    for error in &run.errors {
        let fix = error.fix.as_ref().map(|fix| format!("; {}", printable(fix))).unwrap_or_default();
        text.push_str(&format!("  error: {}: {}{fix}\n", printable(&error.pointer), printable(&error.detail)));
    }
    for object in &run.objects {
        let yaml = serde_saphyr::to_string(object).map_err(|error| Failure::new(error.to_string()))?;
        text.push_str(&format!("---\n{yaml}"));
    }
    Ok(text)
}
