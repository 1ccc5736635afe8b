//! `lamplighter submit`: spark-submit's command line, run by the gateway.
//!
//! Start with [`run`]. [`request`] turns the command line into what the API takes, without touching anything;
//! [`session`] sends it, follows it, and passes signals on. [`super::arrange`] has told the two kinds of flags apart before.

mod changes;
mod dry_run;
mod help;
mod request;
mod session;

use std::path::PathBuf;

use model::id::ApplicationId;
use model::spark_conf::SparkConf;
use model::spark_submit::{self, Action, SparkSubmit};

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

/// The gateway's own flags; they may stand anywhere before the program.
#[derive(Debug, Default, clap::Args)]
struct Flags {
    /// Backend to run on; the gateway chooses if absent
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Spark installation to run with; the backend's default if absent
    #[arg(long, value_name = "NAME")]
    spark: Option<String>,
    /// Attempts in all; only a lost driver is tried again, a failed program isn't
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// Longest time one attempt may run: 90s, 10m, 2h
    #[arg(long, value_name = "TIME")]
    run_timeout: Option<String>,
    /// Longest time it may wait for its start
    #[arg(long, value_name = "TIME")]
    queue_timeout: Option<String>,
    /// Label to find it by; repeat it for several
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Your own identifier for it
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Makes repeating this command harmless: the same key gets the same application
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Print the application's id and end, instead of following it
    #[arg(long, short)]
    detach: bool,
    /// Print nothing of our own but errors
    #[arg(long, short)]
    quiet: bool,
    /// Tell what would come of it, and run nothing: what the gateway's policy changes or refuses, what is wrong, what
    /// would be made on a cluster
    #[arg(long, conflicts_with_all = ["detach", "idempotency_key"])]
    dry_run: bool,
    /// Print a document: with --detach the application instead of its id, with --dry-run all that would come of it
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Document>,
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
    let submit = spark_submit::parse(&args.spark_submit).map_err(|problems| wrong_command_line(&problems))?;
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
    let problems = submit.check();
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

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
