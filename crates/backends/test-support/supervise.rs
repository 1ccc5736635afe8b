//! What `lamplighter supervise DIR` does, as an executable that this crate's tests can start.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(dir) => backends::local::supervise(Path::new(&dir)),
        None => ExitCode::from(2),
    }
}
