//! A cluster to try things on by hand: `cargo run -p e2e`, with the environment that `cargo xtask setup --env` prints.
//!
//! It prints its kubeconfig when it is ready, and ends with its input, or with Ctrl-C.

use std::io;

use anyhow::Result;
use e2e::Cluster;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let cluster = Cluster::start().await?;
    println!("export KUBECONFIG='{}'", cluster.kubeconfig().display());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}
