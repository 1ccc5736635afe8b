//! Every setting of the gateway, declared where it is read; see [`super::reader`] for what that makes of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use engine::runtime::Retention;
use model::id::{BackendName, SparkName};
use policy::config::{AuthConfig, PolicyConfig};
use policy::{Policy, Principals, Tokens};

use super::notation::{
    Address, Bytes, Choice, Count, FilePath, Many, Maybe, Notation, OrWord, Refuse, Scalar, Switch, Text, Time, quoted,
};
use super::problem::Place;
use super::reader::{Fallback, Reader, Setting};
use super::yaml::{Entry, Node, Value};
use super::{
    Clusters, Config, Exposure, LOCAL, Limits, LivyConfig, LocalSettings, LogConfig, LogFormat, SecretUrl, StoreConfig,
    TlsFiles, Variables, WorkFolder,
};
use crate::server::{ConnectionLimits, RequestLimits};

/// Where the gateway listens when nothing else is said: Livy's port, on loopback.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8998);

/// The shortest limit of time that leaves a client a chance.
const SECOND: Time = Time { min: Duration::from_secs(1) };

/// Reads everything; what is wrong is remembered by the reader.
pub(super) fn read(from: &mut Reader<'_>, variables: Variables<'_>) -> Config {
    // In the order of the reference: what stands under no heading goes first.
    let listen = listen(from);
    let allowed_hosts = allowed_hosts(from);
    let exposure = exposure(from);
    let data_dir = data_dir(from, variables);
    let store = store(from);
    let sparks = sparks(from);
    let log = log(from);
    let tls = tls(from);
    let auth = auth(from);
    let policy = policy(from, &auth);
    let local = local(from);
    let kubernetes = kubernetes(from);
    let default_backend = default_backend(from, &local, &kubernetes);
    check_local(from, &local, &auth);
    check_exposure(from, listen, exposure, tls.is_some(), !auth.tokens.is_empty());
    Config {
        listen,
        allowed_hosts,
        exposure,
        data_dir,
        store,
        sparks,
        log,
        tls,
        auth,
        policy,
        local,
        kubernetes,
        instance: instance(from),
        default_backend,
        retention: retention(from),
        livy: livy(from),
        limits: limits(from),
        effective: Vec::new(),
    }
}

fn listen(from: &mut Reader<'_>) -> SocketAddr {
    from.get(Setting {
        key: "listen",
        about: "Address to listen on",
        notation: Address,
        default: Fallback::Value(DEFAULT_LISTEN),
    })
}

fn exposure(from: &mut Reader<'_>) -> Exposure {
    Exposure {
        to_strangers: from.get(Setting {
            key: "allow_unauthenticated_remote_access",
            about: "Let everybody who reaches `listen` run code as the gateway's user, also from other machines, \
                    though there are no tokens",
            notation: Switch,
            default: Fallback::Value(false),
        }),
        in_cleartext: from.get(Setting {
            key: "allow_cleartext",
            about: "Let tokens travel to `listen` from other machines without TLS, where everybody on the way can \
                    read them; right behind a proxy that speaks TLS",
            notation: Switch,
            default: Fallback::Value(false),
        }),
    }
}

/// Refuses to be reached from other machines in a way that nobody said aloud.
fn check_exposure(from: &mut Reader<'_>, listen: SocketAddr, allowed: Exposure, has_tls: bool, has_tokens: bool) {
    if listen.ip().is_loopback() {
        return;
    }
    let reached = format!("{listen} can be reached from other machines");
    if !has_tokens && !allowed.to_strangers {
        from.refuse(
            "listen",
            &format!(
                "{reached}, and whoever reaches the gateway runs code as its user; give tokens under `auth`, listen on \
                 a loopback address such as 127.0.0.1:{}, or say `allow_unauthenticated_remote_access: true`",
                listen.port()
            ),
        );
    }
    if has_tokens && !has_tls && !allowed.in_cleartext {
        let advice = "set `tls.certificate` and `tls.key`, or say `allow_cleartext: true`";
        from.refuse("listen", &format!("{reached}, and tokens would travel in the clear; {advice}"));
    }
}

fn tls(from: &mut Reader<'_>) -> Option<TlsFiles> {
    from.section("tls", "TLS of the listener. The files are read again when they change");
    let certificate = from.get(Setting {
        key: "tls.certificate",
        about: "The certificate with those that vouch for it, in PEM form",
        notation: Maybe(FilePath),
        default: Fallback::Value(None),
    });
    let key = from.get(Setting {
        key: "tls.key",
        about: "The certificate's private key, in PEM form",
        notation: Maybe(FilePath),
        default: Fallback::Value(None),
    });
    match (certificate, key) {
        (Some(certificate), Some(key)) => return Some(TlsFiles { certificate, key }),
        (None, None) => {}
        (Some(_), None) => from.refuse("tls.certificate", "needs `tls.key` too"),
        (None, Some(_)) => from.refuse("tls.key", "needs `tls.certificate` too"),
    }
    None
}

fn auth(from: &mut Reader<'_>) -> AuthConfig {
    from.subtree(("auth", "Who is let in", "access.md"), |auth| Tokens::compile(auth).err().unwrap_or_default())
}

fn policy(from: &mut Reader<'_>, auth: &AuthConfig) -> PolicyConfig {
    from.subtree(("policy", "What applications may be", "access.md"), |rules| {
        Policy::compile(rules, auth.principals()).err().unwrap_or_default()
    })
}

fn allowed_hosts(from: &mut Reader<'_>) -> Vec<String> {
    from.get(Setting {
        key: "allowed_hosts",
        about: "Names besides loopback's that requests may be sent to",
        notation: Many(Text),
        default: Fallback::Value(Vec::new()),
    })
}

fn data_dir(from: &mut Reader<'_>, variables: Variables<'_>) -> PathBuf {
    let variable = |name: &str| variables(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
    let found = base.map(|base| base.join("lamplighter"));
    let chosen = from.get(Setting {
        key: "data_dir",
        about: "Folder for everything that must survive a restart",
        notation: Maybe(FilePath),
        default: Fallback::Found("`$XDG_DATA_HOME/lamplighter`, or `~/.local/share/lamplighter`", found),
    });
    chosen.unwrap_or_else(|| {
        from.refuse("data_dir", "neither it nor HOME is set; say where to keep data with --data-dir");
        PathBuf::new()
    })
}

fn store(from: &mut Reader<'_>) -> StoreConfig {
    from.get_secret(Setting {
        key: "store",
        about: "Where applications are stored: `sqlite`, a file in the data folder, or a PostgreSQL database",
        notation: StoreNotation,
        default: Fallback::Value(StoreConfig::Sqlite),
    })
}

struct StoreNotation;

impl Scalar for StoreNotation {
    type Value = StoreConfig;

    fn words(&self) -> String {
        "`sqlite` or `postgres://USER:PASSWORD@HOST:5432/DATABASE`".to_owned()
    }

    fn parse(&self, text: &str) -> Result<StoreConfig, String> {
        match text {
            "sqlite" => Ok(StoreConfig::Sqlite),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(StoreConfig::Postgres(SecretUrl(url.to_owned())))
            }
            // The text may hold a password, so it isn't repeated.
            _ => Err("must be `sqlite` or a URL like postgres://user@host:5432/database".to_owned()),
        }
    }

    fn show(&self, value: &StoreConfig) -> String {
        match value {
            StoreConfig::Sqlite => "sqlite".to_owned(),
            StoreConfig::Postgres(_) => "***".to_owned(),
        }
    }
}

fn sparks(from: &mut Reader<'_>) -> Vec<(SparkName, PathBuf)> {
    from.get(Setting {
        key: "sparks",
        about: "Installations of Spark by name, the first is the default. Without any, the one in `SPARK_HOME`, a \
                virtual environment's PySpark or the one on `PATH` is taken",
        notation: SparksNotation,
        default: Fallback::Value(Vec::new()),
    })
}

/// Names with absolute paths; in variables `4=/opt/spark-4,3.5=/opt/spark-3.5`.
struct SparksNotation;

impl Notation for SparksNotation {
    type Value = Vec<(SparkName, PathBuf)>;

    fn words(&self) -> String {
        "names with absolute paths".to_owned()
    }

    fn read(&self, node: &Node, refuse: Refuse<'_>) -> Option<Self::Value> {
        let Value::Map(entries) = &node.value else {
            refuse(&node.place, format!("expected names with paths, found {}", node.kind()));
            return None;
        };
        let read: Vec<_> = entries.iter().map(|entry| read_spark(entry, refuse)).collect();
        read.into_iter().collect()
    }

    fn show(&self, value: &Self::Value) -> String {
        let one = |(name, path): &(SparkName, PathBuf)| {
            format!("{}: {}", serde_json::Value::from(name.as_str()), quoted(&path.display().to_string()))
        };
        format!("{{{}}}", value.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    fn lift(&self, place: Place, text: &str) -> Node {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let entry = |pair: &str| {
            let (name, path) = pair.split_once('=').unwrap_or((pair, ""));
            Entry { key: name.to_owned(), place: place.clone(), value: Node::text(place.clone(), path) }
        };
        let entries = pairs.map(entry).collect();
        Node { place: place.clone(), value: Value::Map(entries) }
    }
}

fn read_spark(entry: &Entry, refuse: Refuse<'_>) -> Option<(SparkName, PathBuf)> {
    let name = SparkName::new(&entry.key).map_err(|error| refuse(&entry.place, error.to_string())).ok();
    let path = match &entry.value.value {
        Value::Scalar(path, _) if path.starts_with('/') => Some(PathBuf::from(path)),
        Value::Scalar(path, _) => {
            refuse(&entry.value.place, format!("{}: `{path}` is not an absolute path", entry.key));
            None
        }
        _ => {
            refuse(&entry.value.place, format!("{}: expected a path, found {}", entry.key, entry.value.kind()));
            None
        }
    };
    name.zip(path)
}

fn kubernetes(from: &mut Reader<'_>) -> Clusters {
    from.subtree(
        ("kubernetes", "Clusters that applications run on, by the name of the backend", "kubernetes.md"),
        Clusters::problems,
    )
}

fn instance(from: &mut Reader<'_>) -> Option<String> {
    from.get(Setting {
        key: "instance",
        about: "What marks the objects of this gateway on a cluster; gateways that share a store must share it",
        notation: Maybe(Text),
        default: Fallback::Found("the id of the data folder", None),
    })
}

/// The backend of applications that name none.
fn default_backend(from: &mut Reader<'_>, local: &LocalSettings, clusters: &Clusters) -> Option<BackendName> {
    let key = "default_backend";
    let chosen = from.get(Setting {
        key,
        about: "The backend of applications that name none",
        notation: Maybe(Text),
        default: Fallback::Found("`local` if it is enabled, else the first cluster", None),
    });
    let names = local.enabled.then_some(LOCAL).into_iter().chain(clusters.0.keys().map(String::as_str));
    let names: Vec<&str> = names.collect();
    let Some(chosen) = chosen else {
        if names.is_empty() {
            from.refuse("local.enabled", "is false and there is no cluster under `kubernetes`, so nothing can run");
        }
        return names.first().and_then(|name| BackendName::new(name).ok());
    };
    if !names.contains(&chosen.as_str()) {
        from.refuse(key, &format!("there is no backend `{chosen}`; there are {}", names.join(", ")));
    }
    BackendName::new(&chosen).ok()
}

/// Drivers on this machine run as the gateway's own user, so people who don't trust each other can't share it.
fn check_local(from: &mut Reader<'_>, local: &LocalSettings, auth: &AuthConfig) {
    if local.enabled && auth.principals() == Principals::Several {
        from.refuse(
            "local.enabled",
            "with tokens for several people applications can't run on this machine: all of them would be the gateway's \
             own user, who can read everything; set `local.enabled: false` and name a cluster under `kubernetes`",
        );
    }
}

fn local(from: &mut Reader<'_>) -> LocalSettings {
    from.section("local", "The backend that runs drivers on the gateway's own machine");
    LocalSettings {
        enabled: from.get(Setting {
            key: "local.enabled",
            about: "Whether applications may run on this machine",
            notation: Switch,
            default: Fallback::Value(true),
        }),
        places: from.get(Setting {
            key: "local.places",
            about: "Applications that may run at once; with 0 everything waits",
            notation: Count { min: 0, max: 1_000_000 },
            default: Fallback::Found("as many as memory holds at 2 GiB each, 2 to 64", default_places()),
        }),
        queue_max: from.get(Setting {
            key: "local.queue_max",
            about: "Applications that may wait",
            notation: Count { min: 0, max: 1_000_000_000 },
            default: Fallback::Value(100_000),
        }),
        stop_grace: from.get(Setting {
            key: "local.stop_grace",
            about: "Time between asking a driver to end and ending it",
            notation: Time { min: Duration::ZERO },
            default: Fallback::Value(Duration::from_secs(10)),
        }),
        environment: from.get(Setting {
            key: "local.environment",
            about: "Names of variables that drivers get from the gateway besides the usual ones",
            notation: Many(Text),
            default: Fallback::Value(Vec::new()),
        }),
        log_bytes_max: from.get(Setting {
            key: "local.log_bytes_max",
            about: "Size of the log kept per attempt; the first 8 MiB and the newest stay",
            notation: Bytes { min: 0, max: 1 << 50 },
            default: Fallback::Value(64 << 20),
        }),
        work: from.get(Setting {
            key: "local.work",
            about: "When an attempt's working folder is removed, if not with the application",
            notation: Choice(&[
                ("always", WorkFolder::Always),
                ("on_success", WorkFolder::OnSuccess),
                ("never", WorkFolder::Never),
            ]),
            default: Fallback::Value(WorkFolder::OnSuccess),
        }),
    }
}

/// As many drivers as the machine's memory holds at about 2 GiB each.
fn default_places() -> usize {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    (kib.unwrap_or(0) / (2 << 20)).clamp(2, 64)
}

fn retention(from: &mut Reader<'_>) -> Retention {
    let default = Retention::default();
    from.section("retention", "How long records are kept; what is beyond is deleted bit by bit");
    let age_max = from.get(Setting {
        key: "retention.age",
        about: "Longest time after an application's end",
        notation: OrWord { word: "forever", or: Time { min: Duration::ZERO } },
        default: Fallback::Value(default.age_max),
    });
    let count_max = from.get(Setting {
        key: "retention.count",
        about: "Ended applications kept per backend, the newest",
        notation: Maybe(Count { min: 0, max: 1_000_000_000 }),
        default: Fallback::Value(default.count_max),
    });
    let events_max = from.get(Setting {
        key: "retention.events",
        about: "Events kept, the newest",
        notation: Count { min: 0, max: 1_000_000_000 },
        default: Fallback::Value(default.events_max),
    });
    let audit_max = from.get(Setting {
        key: "retention.audit",
        about: "Records of audit kept, the newest",
        notation: Count { min: 0, max: 1_000_000_000 },
        default: Fallback::Value(default.audit_max),
    });
    Retention { age_max, count_max, events_max, audit_max }
}

fn livy(from: &mut Reader<'_>) -> LivyConfig {
    from.section("livy", "What Livy's configuration has names for. The first two hold for every door");
    LivyConfig {
        local_dir_allow_list: from.get(Setting {
            key: "livy.local_dir_allow_list",
            about: "Folders that local files may come from, as `livy.file.local-dir-whitelist`; every folder without it",
            notation: Maybe(Many(FilePath)),
            default: Fallback::Value(None),
        }),
        conf_deny_list: from.get(Setting {
            key: "livy.conf_deny_list",
            about: "Conf keys that are refused, as in `spark-blacklist.conf`",
            notation: Many(Text),
            default: Fallback::Value(Vec::new()),
        }),
        log_lines: from.get(Setting {
            key: "livy.log_lines",
            about: "Lines of a log that Livy's clients can page through",
            notation: Count { min: 1, max: 100_000 },
            default: Fallback::Value(::livy::log::CACHED_LINES),
        }),
    }
}

fn limits(from: &mut Reader<'_>) -> Limits {
    from.section("limits", "What clients are limited to");
    let (requests, connections) = (request_limits(from), connection_limits(from));
    let streams_max = from.get(Setting {
        key: "limits.streams_max",
        about: "Streams of events and logs at once; those beyond are answered 503. Fewer than connections, so that \
                some are left for everything else",
        notation: Count { min: 1, max: 1_000_000 },
        default: Fallback::Found("three quarters of `limits.connections_max`", connections.connections_max * 3 / 4),
    });
    if streams_max > connections.connections_max {
        from.refuse("limits.streams_max", "must not be more than `limits.connections_max`");
    }
    Limits { requests, connections, streams_max }
}

fn request_limits(from: &mut Reader<'_>) -> RequestLimits {
    let default = RequestLimits::default();
    let body = from.get(Setting {
        key: "limits.body_bytes_max",
        about: "Size of a request's body, as sent and decompressed",
        notation: Bytes { min: 1 << 10, max: 1 << 30 },
        default: Fallback::Value(default.body_bytes_max as u64),
    });
    RequestLimits {
        body_bytes_max: usize::try_from(body).unwrap_or(usize::MAX),
        body_timeout: from.get(Setting {
            key: "limits.body_timeout",
            about: "Longest time for a body to arrive",
            notation: SECOND,
            default: Fallback::Value(default.body_timeout),
        }),
        answer_timeout: from.get(Setting {
            key: "limits.answer_timeout",
            about: "Longest time to an answer; streams have begun theirs by then",
            notation: SECOND,
            default: Fallback::Value(default.answer_timeout),
        }),
        delete_timeout: from.get(Setting {
            key: "limits.delete_timeout",
            about: "Longest time that a DELETE waits for the application to end and go",
            notation: SECOND,
            default: Fallback::Value(default.delete_timeout),
        }),
    }
}

fn connection_limits(from: &mut Reader<'_>) -> ConnectionLimits {
    let default = ConnectionLimits::default();
    let head = Bytes { min: 8 << 10, max: 1 << 20 };
    ConnectionLimits {
        connections_max: from.get(Setting {
            key: "limits.connections_max",
            about: "Connections at once; more wait to be accepted",
            notation: Count { min: 2, max: 1_000_000 },
            default: Fallback::Value(default.connections_max),
        }),
        head_bytes_max: usize::try_from(from.get(Setting {
            key: "limits.head_bytes_max",
            about: "Size of a request's head: its line and headers",
            notation: head,
            default: Fallback::Value(default.head_bytes_max as u64),
        }))
        .unwrap_or(usize::MAX),
        head_timeout: from.get(Setting {
            key: "limits.head_timeout",
            about: "Longest time for a request's head to arrive, for a TLS handshake, and between two requests of a \
                    connection",
            notation: SECOND,
            default: Fallback::Value(default.head_timeout),
        }),
        write_timeout: from.get(Setting {
            key: "limits.write_timeout",
            about: "Longest time that a client may take nothing of an answer",
            notation: SECOND,
            default: Fallback::Value(default.write_timeout),
        }),
        drain_timeout: from.get(Setting {
            key: "limits.drain_timeout",
            about: "Longest time for answers to finish once the gateway goes down",
            notation: Time { min: Duration::ZERO },
            default: Fallback::Value(default.drain_timeout),
        }),
    }
}

fn log(from: &mut Reader<'_>) -> LogConfig {
    LogConfig {
        filter: from.get(Setting {
            key: "log",
            about: "What the gateway's own log tells, a filter as in `info,engine=debug`",
            notation: FilterNotation,
            default: Fallback::Value("info".to_owned()),
        }),
        format: from.get(Setting {
            key: "log_format",
            about: "How it is written: for people, or a JSON object a line",
            notation: Choice(&[("pretty", LogFormat::Pretty), ("json", LogFormat::Json)]),
            default: Fallback::Value(LogFormat::Pretty),
        }),
    }
}

struct FilterNotation;

impl Scalar for FilterNotation {
    type Value = String;

    fn words(&self) -> String {
        "a filter".to_owned()
    }

    fn parse(&self, text: &str) -> Result<String, String> {
        match text.parse::<tracing_subscriber::EnvFilter>() {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(format!("`{text}` is no filter: {error}")),
        }
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }
}
