//! A real gateway with a Spark of its choice, and commands that talk to it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use testkit::fake_spark::FakeSpark;

const LAMPLIGHTER: &str = env!("CARGO_BIN_EXE_lamplighter");
/// Longest wait for something that takes milliseconds when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running gateway, with folders for its data and for whoever types commands.
pub(crate) struct Gateway {
    process: Child,
    port: u16,
    folder: TempDir,
    spark_home: PathBuf,
    /// Kept for as long as drivers may be started.
    _fake: Option<FakeSpark>,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Gateway {
    /// One whose Spark runs shell scripts.
    pub(crate) fn with_fake_spark() -> Self {
        let fake = FakeSpark::new().unwrap();
        let home = fake.home();
        Self::start(home, Some(fake))
    }

    /// One with the Spark at `home`.
    pub(crate) fn with_spark(home: &Path) -> Self {
        Self::start(home.to_path_buf(), None)
    }

    fn start(spark_home: PathBuf, fake: Option<FakeSpark>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("desk")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = serve(port, folder.path(), &spark_home);
        let gateway = Self { process, port, folder, spark_home, _fake: fake };
        gateway.wait_ready();
        gateway
    }

    /// Ends the gateway with `signal` and starts another on its port and data.
    pub(crate) fn restart(&mut self, signal: Signal) {
        kill_process(pid(&self.process), signal).unwrap();
        self.process.wait().unwrap();
        self.process = serve(self.port, self.folder.path(), &self.spark_home);
        self.wait_ready();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder that commands are typed in.
    pub(crate) fn desk(&self) -> PathBuf {
        self.folder.path().join("desk")
    }

    /// Puts a file on the desk: a program, mostly.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.desk().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// `lamplighter` with these arguments, typed at the desk.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        command_at(&format!("http://127.0.0.1:{}", self.port), &self.desk(), args)
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, line: &str) -> Done {
        self.run_args(&line.split(' ').collect::<Vec<_>>())
    }

    /// The same with arguments that contain blanks.
    pub(crate) fn run_args<S: AsRef<OsStr>>(&self, args: &[S]) -> Done {
        done(&mut self.command(args))
    }

    /// Runs a command in the background.
    pub(crate) fn spawn(&self, line: &str) -> Running {
        Running::new(self.command(&line.split(' ').collect::<Vec<_>>()))
    }

    /// The state of an application, as the gateway tells it.
    pub(crate) fn state(&self, id: &str) -> String {
        let shown = self.run(&format!("show {id} -o json"));
        let json: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap_or_default();
        json["state"].as_str().unwrap_or_default().to_owned()
    }

    fn wait_ready(&self) {
        until("the gateway is ready", || self.run("doctor").stdout.contains("it takes work"));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Drivers outlive gateways, so they are ended first.
        let active = self.run("ps -q");
        for id in active.stdout.lines() {
            self.run(&format!("kill -q {id}"));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `lamplighter` for the gateway at `url`, typed in `folder`.
pub(crate) fn command_at<S: AsRef<OsStr>>(url: &str, folder: &Path, args: &[S]) -> Command {
    let mut command = Command::new(LAMPLIGHTER);
    command.args(args).current_dir(folder).stdin(Stdio::null());
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.env("LAMPLIGHTER_URL", url);
    command
}

/// Runs `command` to its end.
pub(crate) fn done(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    Done {
        code: code(output.status),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A command in the background, with its output in files that can be looked at any time.
pub(crate) struct Running {
    child: Child,
    output: TempDir,
}

impl Running {
    pub(crate) fn new(mut command: Command) -> Self {
        let output = tempfile::tempdir().unwrap();
        command.stdout(File::create(output.path().join("stdout")).unwrap());
        command.stderr(File::create(output.path().join("stderr")).unwrap());
        Self { child: command.process_group(0).spawn().unwrap(), output }
    }

    pub(crate) fn stdout(&self) -> String {
        self.read("stdout")
    }

    pub(crate) fn stderr(&self) -> String {
        self.read("stderr")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Done {
        let mut status = None;
        until("the command has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        Done { code: code(status.unwrap()), stdout: self.stdout(), stderr: self.stderr() }
    }

    fn read(&self, name: &str) -> String {
        let mut text = String::new();
        File::open(self.output.path().join(name)).unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `holds`; fails when it takes much too long.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn serve(port: u16, folder: &Path, spark_home: &Path) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("gateway.log")).unwrap();
    Command::new(LAMPLIGHTER)
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data-dir"])
        .arg(folder.join("data"))
        .env("SPARK_HOME", spark_home)
        .env_remove("LAMPLIGHTER_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// What a shell would show.
fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
