//! `lamplighter config`: the gateway's configuration, looked at without starting a gateway.

use std::path::PathBuf;

use super::Failure;
use super::failure::Code;
use super::fence::{self, FenceArgs};
use super::screen::Screen;
use crate::config::{self, ServeArgs};

/// Arguments of `config`.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigCommand {
    /// Print the settings that a gateway would start with, and who said so; secrets as stars
    Print(ServeArgs),
    /// Tell everything that is wrong with a configuration file
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print a configuration file with every key and its default
    Sample,
    /// Print what keeps tenants apart on a cluster, for `kubectl apply -f -`
    Fence(FenceArgs),
    /// Print docs/configuration.md
    #[command(hide = true)]
    Reference,
}

/// Runs `config`.
///
/// # Errors
/// With [`Code::Config`] when the configuration is wrong.
pub(super) fn run(args: &ConfigArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let text = match &args.command {
        ConfigCommand::Print(args) => config::effective(&load(args)?),
        ConfigCommand::Check { file } => {
            load(&ServeArgs::new(Some(file.clone()), None))?;
            format!("{} is in order\n", file.display())
        }
        ConfigCommand::Sample => config::sample(),
        ConfigCommand::Fence(args) => fence::objects(args, &load(&ServeArgs::new(Some(args.file.clone()), None))?)?,
        ConfigCommand::Reference => config::reference(),
    };
    screen.print(&text).map(|()| 0)
}

fn load(args: &ServeArgs) -> Result<config::Config, Failure> {
    let environment = config::environment();
    config::load(args, &|name| environment.get(name).cloned()).map_err(|problems| {
        Failure::new("the configuration is wrong".to_owned())
            .with_code(Code::Config)
            .with_details(problems.sentences().collect())
    })
}
