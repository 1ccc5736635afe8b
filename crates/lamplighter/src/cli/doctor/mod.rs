//! `lamplighter doctor`: is everything there that it takes, and if not, what to do.
//!
//! Start with [`run`]. [`gateway`] asks the gateway, [`machine`] looks at this machine; both bring [`Check`]s.

mod gateway;
mod machine;

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};

use super::failure::Failure;
use super::table::printable;
use super::{Context, Format};
use crate::config::ServeArgs;

/// Flags of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// The gateway's data folder; the one it would use if absent
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The gateway's configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// How a check turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Ok,
    /// It works, but not everything will.
    Warn,
    Fail,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Ok => AnsiColor::Green.on_default(),
            Self::Warn => AnsiColor::Yellow.on_default(),
            Self::Fail => AnsiColor::Red.on_default(),
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    /// What was looked at, in a word or two.
    name: &'static str,
    verdict: Verdict,
    /// What was found.
    finding: String,
    /// What to do about it, unless all is well.
    fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, finding: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, finding: finding.into(), fix: None }
    }

    fn warn(name: &'static str, finding: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, finding: finding.into(), fix: Some(fix.into()) }
    }

    fn fail(name: &'static str, finding: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, finding: finding.into(), fix: Some(fix.into()) }
    }
}

/// Runs `doctor`; the exit code is 1 when a check failed.
///
/// # Errors
/// [`Failure`] when the result can't be printed.
pub(super) async fn run(mut context: Context, args: &DoctorArgs) -> Result<u8, Failure> {
    let mut checks = gateway::checks(&context.client).await;
    let serve = ServeArgs::new(args.config.clone(), args.data_dir.clone());
    checks.extend(machine::checks(&serve));
    if args.output == Some(Format::Json) {
        context.screen.print_json(&json(&checks))?;
    } else {
        let colours = context.screen.colours;
        context.screen.print(&render(&checks, colours))?;
    }
    Ok(u8::from(checks.iter().any(|check| check.verdict == Verdict::Fail)))
}

fn render(checks: &[Check], colours: bool) -> String {
    let mut text = String::new();
    for check in checks {
        let style = if colours { check.verdict.style() } else { Style::new() };
        let verdict = format!("{}{:<4}{}", style.render(), check.verdict.as_str(), style.render_reset());
        text.push_str(&format!("{verdict}  {:<12}{}\n", check.name, printable(&check.finding)));
        if let Some(fix) = &check.fix {
            text.push_str(&format!("{:18}{}\n", "", printable(fix)));
        }
    }
    text
}

fn json(checks: &[Check]) -> serde_json::Value {
    let checks: Vec<serde_json::Value> = checks
        .iter()
        .map(|check| {
            serde_json::json!({
                "name": check.name, "verdict": check.verdict.as_str(), "finding": check.finding, "fix": check.fix,
            })
        })
        .collect();
    serde_json::json!({ "checks": checks })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn every_check_has_its_line_and_its_fix() {
        let checks = [
            Check::ok("gateway", "0.1.0 at http://127.0.0.1:8998"),
            Check::warn("leftovers", "1 folder", "look at it"),
            Check::fail("spark", "none found", "set SPARK_HOME"),
        ];
        expect![[r"
            ok    gateway     0.1.0 at http://127.0.0.1:8998
            warn  leftovers   1 folder
                              look at it
            fail  spark       none found
                              set SPARK_HOME
        "]]
        .assert_eq(&render(&checks, false));
        expect![[r#"{"checks":[{"name":"gateway","verdict":"ok","finding":"0.1.0 at http://127.0.0.1:8998","fix":null},{"name":"leftovers","verdict":"warn","finding":"1 folder","fix":"look at it"},{"name":"spark","verdict":"fail","finding":"none found","fix":"set SPARK_HOME"}]}"#]]
        .assert_eq(&json(&checks).to_string());
    }
}
