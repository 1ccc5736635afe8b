//! Removing what was built: the target folder and, when asked, the cache with the test environments.

use anyhow::Result;
use clap::Args;

use crate::{
    process::{self, cargo},
    setup::Cache,
};

/// What `cargo xtask clean` is asked for.
#[derive(Args)]
pub(crate) struct Request {
    /// Also remove the cache: Spark, clients, data (about two gigabytes to download again)
    #[arg(long)]
    cache: bool,
}

/// Removes what `request` names.
pub(crate) fn run(request: &Request) -> Result<()> {
    process::run(cargo().arg("clean"))?;
    if request.cache {
        Cache::locate()?.remove()?;
    }
    Ok(())
}
