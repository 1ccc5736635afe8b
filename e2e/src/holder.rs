//! The process that holds the cluster, `e2e/cluster/hold.sh`: what it is told and what it says.
//!
//! The cluster ends with the holder's input, so it ends with this process, however that ends: a static cluster is never
//! dropped, and a killed test runs no destructor. The holder then removes what the cluster made, and lets the next one
//! start.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};

/// The namespaces of a cluster, and everything in them.
#[derive(Debug)]
pub(crate) struct Holder {
    process: Child,
    /// `None` only while it ends.
    input: Option<Mutex<ChildStdin>>,
    heard: Mutex<Heard>,
    state: PathBuf,
}

#[derive(Debug)]
struct Heard {
    words: Receiver<String>,
    /// What was said and not yet asked for: parts of the cluster start side by side.
    unclaimed: Vec<String>,
}

impl Holder {
    /// Waits until no other process has a cluster, and begins to start one from what is installed in `home`.
    pub(crate) fn start(home: &Path, images: &[PathBuf]) -> Result<Self> {
        let state = home.with_file_name("kubernetes-state");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/hold.sh");
        let mut command = Command::new(&script);
        command.args(images).env("HOME_DIR", home).env("STATE_DIR", &state);
        // Out of the terminal's group: a Ctrl-C ends the tests, and that ends the cluster in order.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut process = command.spawn().with_context(|| format!("start {}", script.display()))?;
        let input = process.stdin.take().map(Mutex::new);
        let output = process.stdout.take().ok_or_else(|| anyhow!("the holder has no output"))?;
        let heard = Mutex::new(Heard { words: listen(output), unclaimed: Vec::new() });
        let holder = Self { process, input, heard, state };
        holder.hear("locked", Duration::from_secs(60 * 60))?;
        Ok(holder)
    }

    /// Gives the cluster a command, see `e2e/cluster/node.sh`.
    pub(crate) fn tell(&self, command: &str) -> Result<()> {
        let input = self.input.as_ref().ok_or_else(|| anyhow!("the cluster has ended"))?;
        let mut input = input.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(input, "{command}").and_then(|()| input.flush()).with_context(|| format!("tell the cluster {command}"))
    }

    /// Waits until the cluster says `word`, which it may have said before.
    pub(crate) fn hear(&self, word: &str, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(index) = heard.unclaimed.iter().position(|said| said == word) {
                heard.unclaimed.remove(index);
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            match heard.words.recv_timeout(left) {
                Ok(said) if said.ends_with("-failed") => bail!("{said}: {}", self.where_logs_are()),
                Ok(said) => heard.unclaimed.push(said),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("no `{word}` from the cluster: {}", self.where_logs_are())
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the cluster ended: {}", self.where_logs_are()),
            }
        }
    }

    /// The sentence that helps when something went wrong.
    pub(crate) fn where_logs_are(&self) -> String {
        format!("its logs are in {}", self.state.join("last-logs").display())
    }
}

impl Drop for Holder {
    /// Returns when everything that the cluster made is removed.
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.wait();
    }
}

/// Reads for as long as there is something to read, or somebody to read it.
fn listen(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        for line in lines {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
