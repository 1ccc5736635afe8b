//! What is made from the declarations: the reference in `docs/`, the sample file, and the settings as they hold.

use std::fmt::Write as _;

use super::problem::Place;
use super::reader::{Declared, Kind, flag_name, variable_name};
use super::{Config, declarations};

/// What stands around the table of the reference.
const PAGE: &str = include_str!("reference.md");
/// Where it stands.
const TABLE: &str = "<!-- settings -->\n";

/// The page `docs/configuration.md`.
pub(crate) fn reference() -> String {
    let mut table = String::new();
    for setting in declarations() {
        match &setting.kind {
            Kind::Section => {
                let _ = write!(table, "\n### `{}`\n\n{}.\n\n", setting.key, setting.about);
            }
            Kind::Subtree { page } => {
                let _ = write!(table, "\n### `{}`\n\n{}: see [{page}]({page}).\n", setting.key, setting.about);
            }
            Kind::Setting { .. } => table.push_str(&item(&setting)),
        }
    }
    PAGE.replace(TABLE, &table)
}

/// One setting as an item of a list.
fn item(setting: &Declared) -> String {
    let Kind::Setting { words, default, found, flag } = &setting.kind else { return String::new() };
    let default = match (default.as_deref(), found) {
        (_, Some(found)) => (*found).to_owned(),
        (None | Some("null" | "[]" | "{}"), None) => "none".to_owned(),
        (Some(default), None) => format!("`{default}`"),
    };
    let key = setting.key;
    let flag = flag.map_or("no flag, because others could read it".to_owned(), |_| format!("`--{}`", flag_name(key)));
    let variable = variable_name(key);
    format!(
        "- **`{key}`** (`{variable}`, {flag})  \n  {}.  \n  Written as {words}. Default: {default}.\n",
        setting.about
    )
}

/// A configuration file that says nothing: every key with its default, commented out.
pub(crate) fn sample() -> String {
    let mut text = String::from(
        "# Every setting of the gateway with its default. None is needed: take the # away from what shall be different.\n\
         # docs/configuration.md says which variable and which flag do the same.\n",
    );
    for setting in declarations() {
        let (depth, name) = match setting.key.rsplit_once('.') {
            Some((_, name)) => (1, name),
            None => (0, setting.key),
        };
        let indent = "  ".repeat(depth);
        match &setting.kind {
            Kind::Section => {
                let _ = write!(text, "\n# {}.\n#{name}:\n", setting.about);
            }
            Kind::Subtree { page } => {
                let _ = write!(text, "\n# {}; docs/{page} describes it.\n#{name}:\n", setting.about);
            }
            Kind::Setting { words, default, found, .. } => {
                let value = default.as_deref().unwrap_or("");
                let found = found.map(|found| format!("; {found}")).unwrap_or_default();
                // Lines that stay comments when the first # of each line is taken away.
                let (gap, hash) = if depth == 0 { ("\n", "#".to_owned()) } else { ("", format!("#{indent}#")) };
                let _ = writeln!(text, "{gap}{hash} {}.\n{hash} ({words}{found})", setting.about);
                let _ = writeln!(text, "#{indent}{name}: {value}");
            }
        }
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The settings as they hold, as a configuration file whose comments tell who said so. Secrets are stars.
pub(crate) fn effective(config: &Config) -> String {
    let mut text = String::new();
    let mut section = "";
    for one in &config.effective {
        let (parent, name) = one.key.rsplit_once('.').unwrap_or(("", one.key));
        if parent != section && !parent.is_empty() {
            let _ = writeln!(text, "{parent}:");
        }
        section = parent;
        let indent = if parent.is_empty() { "" } else { "  " };
        let line = format!("{indent}{name}: {}", one.shown);
        match &one.place {
            Place::Default => {
                let _ = writeln!(text, "{line}  # default");
            }
            place => {
                let _ = writeln!(text, "{line}  # {place}");
            }
        }
    }
    text
}
