//! A PostgreSQL server for tests: one per test process, a database of its own for each test.
//!
//! The server runs unprivileged, on loopback, in a temporary folder. A shell waits on a pipe from this process and
//! ends the server when the pipe closes, so nothing stays behind however the tests end.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

use crate::environment::REQUIRE_ALL;

/// Names the folder with `initdb` and `postgres`.
pub const BIN_VARIABLE: &str = "LAMPLIGHTER_TEST_POSTGRES_BIN";
/// Longest wait for the server's start, on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// The superuser of the server; it needs no password.
const USER: &str = "lamplighter";

/// A running server.
#[derive(Debug)]
pub struct Server {
    port: u16,
    databases: AtomicU32,
    /// The shell that ends the server when its standard input closes.
    _watch: Child,
}

/// The server of this process, started by the first caller; `Err` says why there can't be one.
///
/// # Panics
/// When it is missing although nothing may be skipped, and when it doesn't start.
pub fn server() -> Result<&'static Server, String> {
    static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
    let server = SERVER.get_or_init(|| find_binaries().map(|bin| Server::start(&bin)));
    if let Err(missing) = server {
        assert!(std::env::var(REQUIRE_ALL).as_deref() != Ok("1"), "{missing}");
    }
    server.as_ref().map_err(Clone::clone)
}

fn find_binaries() -> Result<PathBuf, String> {
    let named = std::env::var_os(BIN_VARIABLE).map(PathBuf::from);
    let on_path =
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let packaged =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    let complete = |bin: &PathBuf| ["initdb", "postgres"].iter().all(|program| bin.join(program).is_file());
    let mut candidates = named.into_iter().chain(on_path).chain(packaged);
    // A link's target, because `initdb` looks for `postgres` and its files beside itself.
    let found = candidates.find(complete).and_then(|bin| fs::canonicalize(bin.join("postgres")).ok());
    let bin = found.and_then(|program| program.parent().map(Path::to_owned));
    bin.ok_or_else(|| format!("no PostgreSQL here: install the package `postgresql` or set {BIN_VARIABLE}"))
}

/// Whom the server runs as: it refuses to be root.
struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Another account when this process is root's, otherwise `None`.
    fn unprivileged() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap();
        let find = |name: &str| accounts.lines().find_map(|line| Self::parse(line, name));
        Some(find("postgres").or_else(|| find("nobody")).unwrap_or_else(|| panic!("no account to run PostgreSQL as")))
    }

    fn parse(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        Some(Self { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

/// A command that runs as that account, and apart from this terminal's signals.
fn command(program: impl AsRef<std::ffi::OsStr>, account: Option<&Account>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).process_group(0).env("LC_ALL", "C");
    if let Some(Account { uid, gid }) = account {
        command.uid(*uid).gid(*gid);
    }
    command
}

impl Server {
    fn start(bin: &Path) -> Self {
        let account = Account::unprivileged();
        let folder = make_folder(account.as_ref());
        let data = folder.join("data");
        let initdb = command(bin.join("initdb"), account.as_ref(), &folder)
            .args(["--auth=trust", "--no-sync", "--no-instructions", "--no-locale", "--encoding=UTF8"])
            .arg(format!("--username={USER}"))
            .arg(format!("--pgdata={}", data.display()))
            .output()
            .unwrap();
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let watch = watched_server(bin, account.as_ref(), &folder, port);
        wait_until_ready(&folder);
        Self { port, databases: AtomicU32::new(0), _watch: watch }
    }

    /// Makes an empty database and answers the URL to connect to it.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name}")).await;
        self.url(&name)
    }

    /// Runs statements that are about databases and sessions, as the superuser.
    pub async fn execute(&self, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.url("postgres"), NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }
}

/// A folder that the account owns and can reach, which not every temporary folder is.
fn make_folder(account: Option<&Account>) -> PathBuf {
    let open = |folder: &Path| {
        folder.ancestors().all(|parent| fs::metadata(parent).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0))
    };
    let reachable = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()]
        .into_iter()
        .find(|folder| account.is_none() || open(folder));
    let folder = reachable.unwrap().join(format!("lamplighter-postgres-{}", std::process::id()));
    fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    if let Some(Account { uid, gid }) = account {
        chown(&folder, Some(*uid), Some(*gid)).unwrap();
    }
    folder
}

/// Starts the server under a shell that ends it, and removes its folder, when this process is gone.
fn watched_server(bin: &Path, account: Option<&Account>, folder: &Path, port: u16) -> Child {
    let script = r#"
        exec 2>"$2/log" >&2
        "$1/postgres" -D "$2/data" -p "$3" -k "$2" -c listen_addresses=127.0.0.1 -c max_connections=200 </dev/null &
        server=$!
        read -r never
        kill -QUIT "$server"
        wait "$server"
        rm -rf "$2"
    "#;
    command("sh", account, folder)
        .args(["-c", script, "sh"])
        .arg(bin)
        .arg(folder)
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}

fn wait_until_ready(folder: &Path) {
    let end = Instant::now() + START_PATIENCE;
    // The server writes its state into the last line of this file.
    let ready =
        || fs::read_to_string(folder.join("data/postmaster.pid")).is_ok_and(|text| text.trim_end().ends_with("ready"));
    while !ready() {
        let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(Instant::now() < end, "PostgreSQL did not start: {}", log());
        std::thread::sleep(Duration::from_millis(10));
    }
}
