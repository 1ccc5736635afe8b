//! `lamplighter serve`: wires store, backend, engine and server together, and takes them down again.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::backends::local::raise_open_files_limit;
use ::engine::runtime::{BackendOptions, Engine, EngineOptions};
use ::engine::step::Policy;
use ::engine::store::DynStore;
use ::policy::Tokens;
use anyhow::Context as _;
use model::id::{BackendName, HolderId, TenantName, UserName};
use model::principal::Principal;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::config::{self, Config, ConfigProblems, LogConfig, LogFormat, ServeArgs, StoreConfig};
use crate::places::{self, Kinds, Logs, Places};
use crate::server::{
    self, Access, App, AppState, BearerTokens, Closing, Flood, Hosts, Listener, LivySettings, Measured, Metrics,
    SinglePrincipal, Tls,
};

/// The exit code for a wrong configuration (`EX_CONFIG` of sysexits).
const EXIT_CONFIG: u8 = 78;

/// How long the port may be busy, and how often it is tried. A child that a killed gateway had just forked shares
/// its socket until it runs its own program.
const BUSY_PORT_PATIENCE: Duration = Duration::from_secs(2);
const BUSY_PORT_PAUSE: Duration = Duration::from_millis(10);

/// The SQLite store in the data folder.
const STORE_FILE: &str = "lamplighter.db";

/// Serves until SIGTERM or SIGINT; what runs goes on running. The log has `colours` if it is for people.
pub(crate) fn run(args: &ServeArgs, colours: bool) -> ExitCode {
    let environment = config::environment();
    let config = match config::load(args, &|name| environment.get(name).cloned()) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    start_log(&config.log, colours);
    let words = config.policy.secret_words.iter().map(String::as_str);
    if let Err(error) = model::spark_conf::add_secret_words(words) {
        tracing::warn!(error = &error as &dyn std::error::Error, "keep the words for secrets as they are");
    }
    if let Err(error) = raise_open_files_limit() {
        tracing::warn!(error = &error as &dyn std::error::Error, "keep the limit of open files as it is");
    }
    match serve(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<ConfigProblems>() => {
            eprintln!("{error}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(log: &LogConfig, colours: bool) {
    // The Kubernetes client tells every refused call as an error; the backend tells what matters of it.
    let filter = tracing_subscriber::EnvFilter::new(format!("kube_client=off,{}", log.filter));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Pretty => subscriber.with_target(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).with_span_list(false).init(),
    }
}

fn serve(config: &Config) -> anyhow::Result<()> {
    let data = DataDir::open(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(64).build()?;
    let served = runtime.block_on(serve_on_runtime(config, &data));
    // A blocking read may be waiting for a driver; nobody waits for it.
    runtime.shutdown_background();
    served
}

async fn serve_on_runtime(config: &Config, data: &DataDir) -> anyhow::Result<()> {
    // Before anything is touched, so that a busy port changes nothing.
    let socket = bind(config.listen).await.with_context(|| {
        format!("listen on {}: is another gateway running there? choose another with --listen", config.listen)
    })?;
    let listen = socket.local_addr()?;
    let metrics = Arc::new(Metrics::default());
    let listener = Listener { socket, tls: tls(config)?, metrics: Arc::clone(&metrics) };
    warn_of_exposure(config, listen);
    let store = Arc::new(Measured::new(open_store(config).await?, Arc::clone(&metrics)));
    let Places { options, logs, kinds } = Places::make(config, data.instance).await?;
    let engine = Engine::start(store, engine_options(config, data, options)?).await.context("read the store")?;
    let closing = Closing::default();
    tokio::spawn(Arc::clone(&metrics).follow(Arc::clone(&engine)));
    let hosts = Hosts::new(listen, &config.allowed_hosts).with_tls(config.tls.is_some());
    let app = app(config, Arc::clone(&engine), (logs, kinds), hosts, metrics, closing.clone())?;
    tokio::spawn(close_on_signal(closing.clone()));
    let broken = Arc::new(AtomicBool::new(false));
    tokio::spawn(close_when_broken(Arc::clone(&engine), closing.clone(), Arc::clone(&broken)));
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    tracing::info!(%listen, scheme, data_dir = %config.data_dir.display(), "lamplighter serves");
    server::serve(listener, server::router(app), config.limits.connections.clone(), closing).await;
    engine.shut_down().await;
    // Started anew it takes everything up where it was; going on it would look after nothing.
    anyhow::ensure!(!broken.load(Ordering::Relaxed), "the engine ended by a fault of its own; start the gateway again");
    tracing::info!("lamplighter ends; what runs goes on");
    Ok(())
}

async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let patient_until = Instant::now() + BUSY_PORT_PATIENCE;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < patient_until => {
                tokio::time::sleep(BUSY_PORT_PAUSE).await;
            }
            bound => return bound,
        }
    }
}

/// The certificate, looked after from now on.
fn tls(config: &Config) -> anyhow::Result<Option<Arc<Tls>>> {
    let Some(files) = &config.tls else { return Ok(None) };
    let loaded = Tls::load(&files.certificate, &files.key);
    let problems = |error| config.problems("tls.certificate", [format!("{:#}", anyhow::Error::from(error))]);
    let tls = Arc::new(loaded.map_err(problems)?);
    tokio::spawn(Arc::clone(&tls).follow());
    Ok(Some(tls))
}

/// What was allowed aloud is told aloud, at each start.
fn warn_of_exposure(config: &Config, listen: SocketAddr) {
    if listen.ip().is_loopback() {
        return;
    }
    if config.auth.tokens.is_empty() {
        tracing::warn!(%listen, "EVERYBODY who reaches this address runs code as this user: there are no tokens");
    } else if config.tls.is_none() {
        tracing::warn!(%listen, "tokens travel in the clear: everybody on the way can read them");
    }
    if config.allowed_hosts.is_empty() {
        tracing::warn!("requests to other names than localhost are refused; list this gateway's in `allowed_hosts`");
    }
}

async fn close_on_signal(closing: Closing) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals can't be heard; end the gateway with SIGKILL, which is safe too");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    closing.close();
}

async fn close_when_broken(engine: Arc<Engine>, closing: Closing, broken: Arc<AtomicBool>) {
    engine.broken().await;
    broken.store(true, Ordering::Relaxed);
    closing.close();
}

async fn open_store(config: &Config) -> anyhow::Result<DynStore> {
    match &config.store {
        StoreConfig::Sqlite => {
            let path = config.data_dir.join(STORE_FILE);
            let opened = store::sqlite::SqliteStore::open(&path);
            Ok(Arc::new(opened.with_context(|| format!("open the store {}", path.display()))?))
        }
        StoreConfig::Postgres(url) => {
            let connected = store::postgres::PostgresStore::connect(url.expose()).await;
            Ok(Arc::new(connected.context("connect to the store in PostgreSQL")?))
        }
    }
}

fn engine_options(config: &Config, data: &DataDir, backends: Vec<BackendOptions>) -> anyhow::Result<EngineOptions> {
    Ok(EngineOptions {
        holder: HolderId::new(&format!("gateway/{}", data.instance))?,
        shared_store: config.store != StoreConfig::Sqlite,
        policy: Policy { stop_grace: config.local.stop_grace, ..Policy::default() },
        retention: config.retention,
        backends,
    })
}

fn app(
    config: &Config,
    engine: Arc<Engine>,
    (logs, kinds): (Logs, Kinds),
    hosts: Hosts,
    metrics: Arc<Metrics>,
    closing: Closing,
) -> anyhow::Result<AppState> {
    let preflight = places::preflight(engine.default_backend().clone(), kinds.clone());
    Ok(Arc::new(App {
        engine,
        logs,
        preflight,
        access: access(config)?,
        policy: policy(config, &kinds)?,
        kinds,
        flood: Flood::default(),
        hosts,
        limits: config.limits.requests.clone(),
        livy: LivySettings {
            rules: livy::create::Rules {
                local_dir_allow_list: config.livy.local_dir_allow_list.clone(),
                conf_deny_list: config.livy.conf_deny_list.clone(),
                file_schemes: None,
            },
            log_lines: config.livy.log_lines,
        },
        metrics,
        streams: Arc::new(Semaphore::new(config.limits.streams_max)),
        closing,
    }))
}

/// Who is let in: whoever has a token, or without any, everybody as the user that runs the gateway.
fn access(config: &Config) -> anyhow::Result<Arc<dyn Access>> {
    let tokens = Tokens::compile(&config.auth).map_err(|found| config.problems("auth", shown(&found)))?;
    if tokens.is_empty() {
        return Ok(Arc::new(SinglePrincipal::new(own_principal()?)));
    }
    Ok(Arc::new(BearerTokens::new(tokens)))
}

/// The rules of the configuration, with what the placements on clusters let tenants name.
fn policy(config: &Config, kinds: &Kinds) -> anyhow::Result<policy::Policy> {
    let known: Vec<_> = kinds.keys().cloned().collect();
    let unknown = config.policy.unknown_backends(&known);
    if !unknown.is_empty() {
        return Err(config.problems("policy", shown(&unknown)).into());
    }
    let compiled = policy::Policy::compile(&config.policy, config.auth.principals());
    let mut policy = compiled.map_err(|found| config.problems("policy", shown(&found)))?;
    for (name, cluster) in &config.kubernetes.0 {
        for (tenant, granted) in cluster.grants() {
            policy.grant(BackendName::new(name)?, tenant, &granted);
        }
    }
    Ok(policy)
}

fn shown(problems: &[policy::Problem]) -> impl Iterator<Item = String> {
    problems.iter().map(ToString::to_string)
}

/// On a gateway without authentication everyone is the user that runs it.
fn own_principal() -> anyhow::Result<Principal> {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| UserName::new(&std::env::var(name).ok()?).ok());
    let user = match named {
        Some(user) => user,
        None => UserName::new(&format!("uid-{}", rustix::process::getuid().as_raw()))?,
    };
    Ok(Principal::sole(user, TenantName::new("default")?))
}

/// The folder of everything that must survive a restart, held by this process alone.
struct DataDir {
    /// Tells this folder from any other, for ever.
    instance: uuid::Uuid,
    /// Locked for as long as it is open.
    _lock: File,
}

impl DataDir {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).with_context(|| format!("create the data folder {}", path.display()))?;
        let lock = private(&path.join("lock"))?;
        // Not `flock`: a process that was just forked would share that until it runs its own program, and keep a
        // gateway out that is started right after this one was killed.
        rustix::fs::fcntl_lock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).with_context(|| {
            format!("another gateway uses the data folder {}; choose another with --data-dir", path.display())
        })?;
        Ok(Self { instance: instance(&path.join("instance"))?, _lock: lock })
    }
}

/// Reads the folder's id, or gives it one. The caller holds the folder's lock.
fn instance(path: &Path) -> anyhow::Result<uuid::Uuid> {
    let mut text = String::new();
    match File::open(path) {
        Ok(mut file) => {
            file.read_to_string(&mut text)?;
            text.trim().parse().with_context(|| format!("{} is damaged: it must hold a UUID", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let store = path.with_file_name(STORE_FILE);
            // With another id nobody would look after what is stored.
            anyhow::ensure!(
                !store.exists(),
                "{} is missing although {} is there; restore it",
                path.display(),
                store.display()
            );
            let instance = uuid::Uuid::new_v4();
            let temporary = path.with_extension("new");
            let mut file = private(&temporary)?;
            file.set_len(0)?;
            writeln!(file, "{instance}")?;
            file.sync_all()?;
            std::fs::rename(&temporary, path)?;
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok(instance)
        }
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

fn private(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).read(true).write(true).truncate(false).mode(0o600).open(path);
    file.with_context(|| format!("open {}", path.display()))
}
