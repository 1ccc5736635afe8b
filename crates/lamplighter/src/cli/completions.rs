//! `lamplighter completions`: scripts that complete commands and flags in a shell.

use clap::CommandFactory;

use super::Cli;
use super::failure::Failure;
use super::screen::Screen;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: clap_complete::Shell,
}

/// Prints the script.
///
/// # Errors
/// [`Failure`] when it can't be printed.
pub(super) fn run(args: &CompletionsArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lamplighter", &mut script);
    screen.print(&String::from_utf8_lossy(&script)).map(|()| 0)
}
