//! `lamplighter submit`: spark-submit's command line, run by the gateway.
//!
//! Start with [`run`]. [`request`] turns the command line into what the API takes, without touching anything;
//! [`session`] sends it, follows it, and passes signals on. [`super::arrange`] has told the two kinds of flags apart before.

mod changes;
mod dry_run;
mod flags;
mod help;
mod request;
mod session;

use std::path::PathBuf;

use model::id::ApplicationId;
use model::spark_conf::SparkConf;
use model::spark_submit::{self, Action, SparkSubmit};

use self::flags::Flags;
use super::failure::Failure;
use super::screen::{Screen, note};
use super::{Context, Format, kill, show, version};

/// A submission: the gateway's flags, and spark-submit's command line.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    override_usage = "lamplighter submit [OPTIONS] [SPARK-SUBMIT-OPTIONS] PROGRAM [ARGUMENTS]",
    after_help = help::SPARK_SUBMIT,
)]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    flags: Flags,
    /// spark-submit's own command line
    #[arg(last = true, value_name = "SPARK-SUBMIT-ARGS", hide = true)]
    spark_submit: Vec<String>,
}

/// Documents that `submit` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Document {
    /// The API's JSON
    Json,
    /// The same as YAML
    Yaml,
}

impl Document {
    fn print(self, screen: &mut Screen, json: &serde_json::Value) -> Result<(), Failure> {
        match self {
            Self::Json => screen.print_json(json),
            Self::Yaml => {
                let yaml = serde_saphyr::to_string(json).map_err(|error| Failure::new(error.to_string()))?;
                screen.print(&yaml)
            }
        }
    }
}

/// Runs `submit`.
///
/// # Errors
/// [`Failure`]; how the application ends is no failure but the code returned.
pub(super) async fn run(context: Context, args: SubmitArgs) -> Result<u8, Failure> {
    let submit = spark_submit::parse(&args.spark_submit)
        .map_err(|problems| wrong_command_line(&[args.flags.problems(), problems].concat()))?;
    match &submit.action {
        Action::Submit(_) => submit_program(context, submit, args.flags).await,
        Action::Help => print_help(context),
        Action::Version => version::run(context, &version::VersionArgs::default()).await,
        Action::Kill(id) => {
            let id = own_id("--kill", id)?;
            kill::run(context, &kill::KillArgs::of(id)).await
        }
        Action::Status(id) => {
            let id = own_id("--status", id)?;
            let output = args.flags.output.map(|_| Format::Json);
            show::run(context, &show::ShowArgs { id, output }).await
        }
    }
}

async fn submit_program(context: Context, mut submit: SparkSubmit, flags: Flags) -> Result<u8, Failure> {
    let folder =
        std::env::current_dir().map_err(|error| Failure::new(format!("can't tell the current folder: {error}")))?;
    submit.resolve_paths(&folder).map_err(|error| Failure::new(error.to_string()))?;
    read_properties(&mut submit)?;
    // What the files brought is checked, and starts from the same folder: Spark takes it so.
    submit.resolve_paths(&folder).map_err(|error| Failure::new(error.to_string()))?;
    let problems = [flags.problems(), submit.check()].concat();
    if !problems.is_empty() {
        return Err(wrong_command_line(&problems));
    }
    let verbose = submit.verbose;
    let request = request::request(submit, &flags, &folder)?;
    for warning in &request.warnings {
        note(&format!("warning: {warning}"));
    }
    if flags.dry_run {
        return dry_run::run(context, &request.create, flags.output).await;
    }
    if flags.output.is_some() && !flags.detach {
        return Err(Failure::usage(
            "--output needs --detach or --dry-run: a followed program prints its own".to_owned(),
        ));
    }
    session::run(context, &request.create, &flags, verbose).await
}

/// Adds the properties files, which are read here because the gateway may not be allowed to.
fn read_properties(submit: &mut SparkSubmit) -> Result<(), Failure> {
    let extra: Vec<String> = submit.extra_properties_files.iter().rev().cloned().collect();
    for file in extra.into_iter().chain(submit.properties_file.clone()) {
        let wrong = |why: String| Failure::usage(format!("properties file {file}: {why}"));
        let text = std::fs::read_to_string(PathBuf::from(&file)).map_err(|error| wrong(error.to_string()))?;
        let conf = SparkConf::from_properties(&text).map_err(|error| wrong(chain(&error)))?;
        submit.fill_in(&conf).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn wrong_command_line(problems: &[spark_submit::Problem]) -> Failure {
    Failure::usage("the command line can't be understood".to_owned())
        .with_details(problems.iter().map(ToString::to_string).collect())
        .with_hint("`lamplighter submit --help` lists all options")
}

/// spark-submit knows ids of clusters besides; here only the gateway's own mean something.
fn own_id(option: &str, id: &str) -> Result<String, Failure> {
    id.parse::<ApplicationId>().map(|id| id.to_string()).map_err(|_| {
        Failure::usage(format!("{option}: `{id}` is no application of a gateway"))
            .with_hint("its applications are called batch-N; `lamplighter ps` lists them")
    })
}

fn print_help(mut context: Context) -> Result<u8, Failure> {
    use clap::CommandFactory;
    let mut command = super::Cli::command();
    command.build();
    let Some(submit) = command.find_subcommand_mut("submit") else { return Ok(0) };
    let help = submit.render_help();
    let text = if context.screen.colours { help.ansi().to_string() } else { help.to_string() };
    context.screen.print(&text)?;
    Ok(0)
}
