//! The gateway of the demo: started, asked and ended; what it prints goes to a file in its folder.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process::last_lines;

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running gateway; dropping it ends it.
pub(super) struct Gateway {
    child: Child,
    url: String,
    log: PathBuf,
    agent: ureq::Agent,
}

/// Fails with one sentence when something listens on `port` of the loopback address.
pub(super) fn require_free_port(port: u16) -> Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop).with_context(|| {
        format!("port {port} is busy: stop what listens there (another gateway?), or choose another with DEMO_PORT")
    })
}

impl Gateway {
    /// Starts `binary` on `port` with an empty data folder, and waits until it takes work.
    pub(super) fn start(binary: &Path, port: u16, data: &Path, spark_home: &Path) -> Result<Self> {
        fs::create_dir_all(data)?;
        let log = data.with_extension("log");
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut serve = Command::new(binary);
        serve.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"]).arg(data);
        serve.env("SPARK_HOME", spark_home).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // In a group of its own: ^C reaches this program first, which ends the jobs before the gateway.
        let child = serve.process_group(0).spawn().with_context(|| format!("start {}", binary.display()))?;
        let mut gateway = Self { child, url: format!("http://127.0.0.1:{port}"), log, agent: agent() };
        gateway.wait_until_ready()?;
        Ok(gateway)
    }

    /// Where it is reached, without a slash at the end.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What an application is, in the gateway's own API; none while it can't be told.
    pub(super) fn application(&self, id: &str) -> Option<Value> {
        let mut answer = self.agent.get(format!("{}/api/v1/applications/{id}", self.url)).call().ok()?;
        let text = answer.status().is_success().then(|| answer.body_mut().read_to_string())?.ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Ends an application and waits until nothing is left of it.
    pub(super) fn delete(&self, id: &str) -> Result<()> {
        let number = id.trim_start_matches("batch-");
        let batch = format!("{}/batches/{number}", self.url);
        self.agent.delete(&batch).call().with_context(|| format!("delete {id}"))?;
        let is_gone = || Ok(self.agent.get(&batch).call().is_ok_and(|answer| answer.status() == 404));
        wait_for(&format!("{id} to end"), STOP_TIMEOUT, is_gone)
    }

    /// Ends the gateway and waits until it is gone.
    pub(super) fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("end the gateway")?;
        let stopped = wait_for("the gateway to stop", STOP_TIMEOUT, || Ok(self.child.try_wait()?.is_some()));
        if stopped.is_err() {
            self.child.kill()?;
            self.child.wait()?;
        }
        stopped
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let ready = format!("{}/readyz", self.url);
        let (agent, child) = (&self.agent, &mut self.child);
        let waited = wait_for("the gateway to be ready", START_TIMEOUT, || {
            if let Some(status) = child.try_wait()? {
                bail!("the gateway ended with {status}");
            }
            Ok(agent.get(&ready).call().is_ok_and(|answer| answer.status() == 200))
        });
        waited.with_context(|| {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            format!("start the gateway; the end of {}:\n{}", self.log.display(), last_lines(&said, 20))
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("warning: {error:#}");
        }
    }
}

/// Talks to loopback only: no proxy, whatever the environment says; a refusal is an answer, not an error.
fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(5))).build().into()
}

fn wait_for(what: &str, limit: Duration, mut is_met: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_met()? {
        if start.elapsed() > limit {
            bail!("waited {} s for {what} in vain", limit.as_secs());
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
