//! The command line: one file per command, all of them clients of the gateway's HTTP API.
//!
//! Start with [`parse`] and [`run`]; [`submit`] is the largest command. What users are promised is in `docs/cli.md`.
//! `serve` is only declared here, because running a gateway is no business of a client.

mod arrange;
mod audit;
mod backends;
mod completions;
mod config;
mod doctor;
mod failure;
mod fence;
mod follow;
mod human;
mod kill;
mod logs;
mod ps;
mod retry;
mod rm;
mod screen;
mod show;
mod submit;
mod table;
mod version;
mod view;
mod wait;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::client::{Client, Connect, Token};
use crate::config::ServeArgs;
use failure::Failure;
pub(crate) use screen::notes_coloured;
use screen::{ColorChoice, Screen};

/// One gateway to Apache Spark: submits programs, keeps them, and tells what became of them.
#[derive(Debug, Parser)]
#[command(name = "lamplighter", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Address of the gateway
    #[arg(
        long,
        global = true,
        env = "LAMPLIGHTER_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8998",
        help_heading = "Global options"
    )]
    pub(crate) url: String,
    /// Certificates (PEM) to trust besides the system's when the address begins with https://
    #[arg(long, global = true, env = "LAMPLIGHTER_CA_FILE", value_name = "FILE", help_heading = "Global options")]
    pub(crate) ca_file: Option<PathBuf>,
    /// File with the token that tells the gateway who you are; LAMPLIGHTER_TOKEN may hold the token itself
    #[arg(long, global = true, env = "LAMPLIGHTER_TOKEN_FILE", value_name = "FILE", help_heading = "Global options")]
    pub(crate) token_file: Option<PathBuf>,
    /// When to use colours; NO_COLOR and CLICOLOR_FORCE count too
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, help_heading = "Global options")]
    pub(crate) color: ColorChoice,
}

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Run the gateway
    Serve(ServeArgs),
    /// Submit a program with spark-submit's own command line, follow it, and end with its exit code
    Submit(submit::SubmitArgs),
    /// List applications
    Ps(ps::PsArgs),
    /// Show everything about an application
    Show(show::ShowArgs),
    /// Print what a driver printed
    Logs(logs::LogsArgs),
    /// Wait until applications have ended, and end with the exit code of the first that failed
    Wait(wait::WaitArgs),
    /// Cancel applications
    Kill(kill::KillArgs),
    /// Run an ended application again, as a new one
    Retry(retry::RetryArgs),
    /// Remove ended applications with their logs
    Rm(rm::RmArgs),
    /// List the places where applications run, and how busy they are
    Backends(backends::BackendsArgs),
    /// Read who did what, and who was not allowed to
    Audit(audit::AuditArgs),
    /// Check that everything needed is there
    Doctor(doctor::DoctorArgs),
    /// Look at the configuration of a gateway without starting one
    Config(config::ConfigArgs),
    /// Print the completion script of a shell
    Completions(completions::CompletionsArgs),
    /// Print the OpenAPI document of the gateway's API
    Openapi,
    /// Print the versions of this program and of the gateway
    Version(version::VersionArgs),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// The API's JSON, one document
    Json,
    /// A table with more columns
    Wide,
}

/// What all commands work with.
struct Context {
    client: Client,
    screen: Screen,
}

/// Reads the arguments, the program's name first.
///
/// Use this and not clap's own functions: the arguments of `submit` are sorted first.
///
/// # Errors
/// clap's error, which prints itself; `--help` and `--version` are among them.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    command.build();
    let args = arrange::arrange(args.into_iter().collect(), &command);
    Cli::from_arg_matches(&command.try_get_matches_from(args)?)
}

/// Runs any command but `serve`, and says with which code the process shall end.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let mut screen = Screen::new(cli.global.color);
    let outcome = match cli.command {
        Command::Openapi => screen.print(&api::openapi()).map(|()| 0),
        Command::Completions(args) => completions::run(&args, &mut screen),
        Command::Config(args) => config::run(&args, &mut screen),
        command => with_gateway(&cli.global.connect(), command, screen),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => ExitCode::from(failure.report(cli.global.color)),
    }
}

impl Global {
    fn connect(&self) -> Connect {
        Connect {
            url: self.url.clone(),
            ca_file: self.ca_file.clone(),
            token_file: self.token_file.clone(),
            token: std::env::var("LAMPLIGHTER_TOKEN")
                .ok()
                .filter(|text| !text.is_empty())
                .map(|text| Token::new(&text)),
        }
    }
}

fn with_gateway(connect: &Connect, command: Command, screen: Screen) -> Result<u8, Failure> {
    let context = Context { client: Client::new(connect)?, screen };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("can't start: {error}")))?;
    let outcome = runtime.block_on(dispatch(context, command));
    // A DNS look-up under way must not hold the process up.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(context: Context, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Submit(args) => Box::pin(submit::run(context, args)).await,
        Command::Ps(args) => ps::run(context, args).await,
        Command::Show(args) => show::run(context, &args).await,
        Command::Logs(args) => Box::pin(logs::run(context, &args)).await,
        Command::Wait(args) => wait::run(context, &args).await,
        Command::Kill(args) => kill::run(context, &args).await,
        Command::Retry(args) => retry::run(context, &args).await,
        Command::Rm(args) => rm::run(context, &args).await,
        Command::Backends(args) => backends::run(context, &args).await,
        Command::Audit(args) => audit::run(context, &args).await,
        Command::Doctor(args) => doctor::run(context, &args).await,
        Command::Version(args) => version::run(context, &args).await,
        Command::Serve(_) | Command::Openapi | Command::Completions(_) | Command::Config(_) => {
            Err(Failure::usage("this command needs no gateway to talk to".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_is_sound() {
        Cli::command().debug_assert();
    }
}
