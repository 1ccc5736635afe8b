//! Master URLs: where an application's executors come from.

use std::fmt;
use std::str::FromStr;

/// A cluster, as `--master` and `spark.master` name it.
///
/// It displays as a URL that parses to the same master.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Master {
    /// `local[4]`: all in the driver.
    Local {
        /// How many tasks run at a time.
        threads: LocalThreads,
        /// How often a task may fail; Spark's own default is once.
        max_failures: Option<u32>,
    },
    /// `local-cluster[2,1,1024]`: a standalone cluster in processes of this machine, which Spark uses for tests.
    LocalCluster {
        /// How many workers.
        workers: u32,
        /// Cores of each.
        cores_per_worker: u32,
        /// Memory of each in MiB.
        memory_per_worker_mib: u32,
    },
    /// `spark://host:7077`, or several standby masters behind commas.
    Standalone {
        /// `host:port` of each.
        addresses: Vec<String>,
    },
    /// `yarn`: the cluster that the Hadoop configuration names.
    Yarn,
    /// `k8s://https://host:6443`.
    Kubernetes {
        /// URL of the API server; `https` where none was written.
        api_server: String,
    },
    /// Another cluster manager's URL, such as `mesos://…`, which Spark may have a plug-in for.
    Other(String),
}

/// How many threads of a [`Master::Local`] run tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocalThreads {
    /// As many as the machine has cores, `*`.
    AllCores,
    /// This many, at least one.
    Count(u32),
}

/// Why a text is no [`Master`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MasterError {
    /// Neither a known word nor a URL.
    #[error("master `{0}` is none of local[N], spark://HOST:PORT, yarn and k8s://URL")]
    Unknown(String),
    /// Something between the brackets of `local[…]` that isn't a positive number or `*`.
    #[error("master `{0}` must be local, local[N], local[*] or local[N,MAX_FAILURES] with positive numbers")]
    Local(String),
    /// Not three positive numbers between the brackets.
    #[error("master `{0}` must be local-cluster[WORKERS,CORES,MEMORY_MIB] with positive numbers")]
    LocalCluster(String),
    /// An address without host or port.
    #[error("master `{0}` must be spark://HOST:PORT, more of them as HOST:PORT behind commas")]
    Standalone(String),
    /// No address, or a scheme other than `http` and `https`.
    #[error("master `{0}` must be k8s:// and the http or https URL of an API server")]
    Kubernetes(String),
}

impl FromStr for Master {
    type Err = MasterError;

    fn from_str(text: &str) -> Result<Self, MasterError> {
        if text == "yarn" {
            Ok(Self::Yarn)
        } else if let Some(addresses) = text.strip_prefix("spark://") {
            standalone(addresses).ok_or_else(|| MasterError::Standalone(text.to_owned()))
        } else if let Some(url) = text.strip_prefix("k8s://") {
            kubernetes(url).ok_or_else(|| MasterError::Kubernetes(text.to_owned()))
        } else if let Some(arguments) = text.strip_prefix("local-cluster") {
            local_cluster(arguments).ok_or_else(|| MasterError::LocalCluster(text.to_owned()))
        } else if let Some(arguments) = text.strip_prefix("local") {
            local(arguments).ok_or_else(|| MasterError::Local(text.to_owned()))
        } else if text.split_once("://").is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty()) {
            Ok(Self::Other(text.to_owned()))
        } else {
            Err(MasterError::Unknown(text.to_owned()))
        }
    }
}

fn local(arguments: &str) -> Option<Master> {
    if arguments.is_empty() {
        return Some(Master::Local { threads: LocalThreads::Count(1), max_failures: None });
    }
    let inside = bracketed(arguments)?;
    let (threads, max_failures) = match inside.split_once(',') {
        Some((threads, failures)) => (threads.trim_end(), Some(positive(failures.trim_start())?)),
        None => (inside, None),
    };
    let threads = match threads {
        "*" => LocalThreads::AllCores,
        count => LocalThreads::Count(positive(count)?),
    };
    Some(Master::Local { threads, max_failures })
}

fn local_cluster(arguments: &str) -> Option<Master> {
    let mut numbers = bracketed(arguments)?.split(',').map(|number| positive(number.trim()));
    let master = Master::LocalCluster {
        workers: numbers.next()??,
        cores_per_worker: numbers.next()??,
        memory_per_worker_mib: numbers.next()??,
    };
    numbers.next().is_none().then_some(master)
}

fn standalone(addresses: &str) -> Option<Master> {
    let addresses: Vec<String> = addresses.split(',').map(str::to_owned).collect();
    addresses.iter().all(|address| is_host_and_port(address)).then_some(Master::Standalone { addresses })
}

fn kubernetes(url: &str) -> Option<Master> {
    let api_server = match url.split_once("://") {
        Some(("http" | "https", _)) => url.to_owned(),
        Some(_) => return None,
        None => format!("https://{url}"),
    };
    let (_, address) = api_server.split_once("://")?;
    let names_host = !address.is_empty() && !address.starts_with(['/', ':', '?', '#']);
    (names_host && !address.contains(char::is_whitespace)).then_some(Master::Kubernetes { api_server })
}

fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// A number above zero in plain digits; `+1` is none.
fn positive(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten().filter(|number| *number > 0)
}

fn is_host_and_port(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        let numeric = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
        let forbidden = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '@');
        numeric && !host.is_empty() && !host.contains(forbidden)
    })
}

/// Whether `text` can stand before the colon of a URI.
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

impl fmt::Display for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { threads, max_failures: None } => write!(f, "local[{threads}]"),
            Self::Local { threads, max_failures: Some(failures) } => write!(f, "local[{threads},{failures}]"),
            Self::LocalCluster { workers, cores_per_worker, memory_per_worker_mib } => {
                write!(f, "local-cluster[{workers},{cores_per_worker},{memory_per_worker_mib}]")
            }
            Self::Standalone { addresses } => write!(f, "spark://{}", addresses.join(",")),
            Self::Yarn => f.write_str("yarn"),
            Self::Kubernetes { api_server } => write!(f, "k8s://{api_server}"),
            Self::Other(url) => f.write_str(url),
        }
    }
}

impl fmt::Display for LocalThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllCores => f.write_str("*"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(texts: &[&str], expected: &Expect) {
        let shown: String = texts
            .iter()
            .map(|text| match text.parse::<Master>() {
                Ok(master) => format!("{master} is {master:?}\n"),
                Err(error) => format!("{error}\n"),
            })
            .collect();
        expected.assert_eq(&shown);
    }

    #[test]
    fn local_masters() {
        check(
            &["local", "local[*]", "local[4, 3]", "local-cluster[2, 1, 1024]"],
            &expect![[r#"
                local[1] is Local { threads: Count(1), max_failures: None }
                local[*] is Local { threads: AllCores, max_failures: None }
                local[4,3] is Local { threads: Count(4), max_failures: Some(3) }
                local-cluster[2,1,1024] is LocalCluster { workers: 2, cores_per_worker: 1, memory_per_worker_mib: 1024 }
            "#]],
        );
        check(
            &["local[0]", "local[]", "localhost", "local-cluster[2,1]"],
            &expect![[r#"
                master `local[0]` must be local, local[N], local[*] or local[N,MAX_FAILURES] with positive numbers
                master `local[]` must be local, local[N], local[*] or local[N,MAX_FAILURES] with positive numbers
                master `localhost` must be local, local[N], local[*] or local[N,MAX_FAILURES] with positive numbers
                master `local-cluster[2,1]` must be local-cluster[WORKERS,CORES,MEMORY_MIB] with positive numbers
            "#]],
        );
    }

    #[test]
    fn masters_of_clusters() {
        check(
            &["yarn", "yarn-client"],
            &expect![[r#"
            yarn is Yarn
            master `yarn-client` is none of local[N], spark://HOST:PORT, yarn and k8s://URL
        "#]],
        );
        check(
            &["spark://a:7077,b:7077", "spark://a", "spark://a:7077,"],
            &expect![[r#"
                spark://a:7077,b:7077 is Standalone { addresses: ["a:7077", "b:7077"] }
                master `spark://a` must be spark://HOST:PORT, more of them as HOST:PORT behind commas
                master `spark://a:7077,` must be spark://HOST:PORT, more of them as HOST:PORT behind commas
            "#]],
        );
        check(
            &["k8s://https://10.0.0.1:6443", "k8s://kubernetes.default.svc", "k8s://", "k8s://ftp://a"],
            &expect![[r#"
                k8s://https://10.0.0.1:6443 is Kubernetes { api_server: "https://10.0.0.1:6443" }
                k8s://https://kubernetes.default.svc is Kubernetes { api_server: "https://kubernetes.default.svc" }
                master `k8s://` must be k8s:// and the http or https URL of an API server
                master `k8s://ftp://a` must be k8s:// and the http or https URL of an API server
            "#]],
        );
        check(
            &["mesos://zk://a:2181/mesos", "", "cluster"],
            &expect![[r#"
            mesos://zk://a:2181/mesos is Other("mesos://zk://a:2181/mesos")
            master `` is none of local[N], spark://HOST:PORT, yarn and k8s://URL
            master `cluster` is none of local[N], spark://HOST:PORT, yarn and k8s://URL
        "#]],
        );
    }
}
