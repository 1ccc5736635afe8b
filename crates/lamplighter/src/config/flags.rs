//! The flags of `serve`: `--config`, and one per setting, made from its declaration.
//!
//! clap only collects the texts. They are read together with variables and file, so that everything that is wrong
//! anywhere is told at once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::declarations;
use super::notation::FlagShape;
use super::reader::{Kind, flag_name};

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServeArgs {
    /// The configuration file.
    pub(crate) config: Option<PathBuf>,
    /// Settings by key, as texts.
    pub(super) settings: BTreeMap<&'static str, String>,
}

impl ServeArgs {
    /// Only a file and a data folder.
    pub(crate) fn new(config: Option<PathBuf>, data_dir: Option<PathBuf>) -> Self {
        let data_dir = data_dir.map(|dir| ("data_dir", dir.to_string_lossy().into_owned()));
        Self { config, settings: data_dir.into_iter().collect() }
    }
}

impl clap::Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Configuration file [env: LAMPLIGHTER_CONFIG]");
        let flags = declarations().into_iter().filter_map(|setting| match setting.kind {
            Kind::Setting { flag: Some(shape), words, default, found } => {
                let help = help(setting.about, default.as_deref().or(found));
                Some(flag(setting.key, shape, &words).help(help))
            }
            _ => None,
        });
        command.arg(config).args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn flag(key: &'static str, shape: FlagShape, words: &str) -> Arg {
    let arg = Arg::new(key).long(flag_name(key));
    // Names of variables and files tell enough; sentences of notation don't fit on a line.
    let value_name = if words.chars().all(|c| c.is_ascii_uppercase() || c == ':') { words } else { "VALUE" };
    match shape {
        FlagShape::Value => arg.value_name(value_name.to_owned()),
        FlagShape::Values => arg.value_name(value_name.to_owned()).action(ArgAction::Append),
        FlagShape::Switch => {
            arg.value_name("true|false").num_args(0..=1).require_equals(true).default_missing_value("true")
        }
    }
    // The gateway's own are many; the short help names those that people start with.
    .hide_short_help(key.contains('.'))
}

fn help(about: &str, default: Option<&str>) -> String {
    let about = about.replace('`', "");
    match default.filter(|default| !matches!(*default, "null" | "[]" | "{}")) {
        Some(default) => format!("{about} [default: {}]", default.replace('`', "")),
        None => about,
    }
}

impl clap::FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config = matches.get_one::<PathBuf>("config").cloned();
        for setting in declarations() {
            // Asking for a flag that was never declared would be a mistake of the program.
            let Ok(Some(values)) = matches.try_get_many::<String>(setting.key) else { continue };
            let values: Vec<&str> = values.map(String::as_str).collect();
            self.settings.insert(setting.key, values.join(","));
        }
        Ok(())
    }
}
