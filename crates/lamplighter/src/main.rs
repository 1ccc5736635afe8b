//! The one binary: the gateway, its command line, and the supervisor of local drivers.

mod cli;
mod client;
mod config;
mod places;
mod serve;
mod server;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The supervisor must start in a moment and stay small, so it is told apart before anything else happens.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|command| command == "supervise")
        && let Some(dir) = args.next()
    {
        return backends::local::supervise(Path::new(&dir));
    }
    match cli::parse(std::env::args_os()) {
        Ok(cli::Cli { command: cli::Command::Serve(args), global }) => {
            serve::run(&args, cli::notes_coloured(global.color))
        }
        Ok(cli) => cli::run(cli),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}
