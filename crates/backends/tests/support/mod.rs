//! What tests of the local backend share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backends::local::{Installations, LocalBackend, LocalConfig, SupervisorCommand, WorkPolicy};
use backends::log::LogLimits;
use engine::backend::{AttemptRef, Backend as _, LaunchOrder};
use model::id::{ApplicationId, ApplicationKind, AttemptId};
use model::label::Labels;
use model::principal::Owner;
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use uuid::Uuid;

/// A data folder in which one backend after the other can be started.
pub(crate) struct World {
    pub(crate) data: tempfile::TempDir,
    pub(crate) config: LocalConfig,
}

impl World {
    /// An empty data folder, with the Spark at `home`.
    pub(crate) fn new(home: &Path) -> Self {
        let data = tempfile::tempdir().unwrap();
        let installations = Installations::find(&[("test".parse().unwrap(), home.to_owned())], &|_| None).unwrap();
        let config = LocalConfig {
            name: "local".parse().unwrap(),
            shard: "local@here".parse().unwrap(),
            data_dir: data.path().to_owned(),
            installations,
            supervisor: SupervisorCommand {
                program: env!("CARGO_BIN_EXE_supervise-for-tests").into(),
                args: Vec::new(),
            },
            environment_added: Vec::new(),
            log: LogLimits::default(),
            work: WorkPolicy::default(),
        };
        Self { data, config }
    }

    /// A backend over the folder.
    pub(crate) fn backend(&self) -> LocalBackend {
        LocalBackend::new(self.config.clone()).unwrap()
    }

    /// The folder of an attempt.
    pub(crate) fn attempt_dir(&self, attempt: &AttemptRef) -> PathBuf {
        self.data.path().join("attempts").join(attempt.id.to_string())
    }
}

/// A specification that runs a program with arguments.
pub(crate) fn spec(program: &Path, args: &[&str]) -> ApplicationSpec {
    ApplicationSpec {
        name: None,
        resource: program.to_str().unwrap().to_owned(),
        class_name: None,
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        conf: SparkConf::new(),
        proxy_user: None,
        spark: None,
        labels: Labels::default(),
        external_id: None,
        limits: Limits::default(),
    }
}

/// An order for a new attempt.
pub(crate) fn order(backend: &LocalBackend, spec: ApplicationSpec) -> LaunchOrder {
    let attempt = AttemptRef {
        id: AttemptId::new(Uuid::now_v7()),
        application: ApplicationId::new(ApplicationKind::Batch, 7).unwrap(),
        binding: backend.binding(),
    };
    let owner = Owner { user: "tester".parse().unwrap(), tenant: "default".parse().unwrap() };
    LaunchOrder { attempt, spec: Arc::new(spec), owner, number: 1 }
}

/// Every living process that was started with the attempt's marker.
pub(crate) fn processes_of(attempt: &AttemptRef) -> BTreeSet<i32> {
    let marker = format!("LAMPLIGHTER_ATTEMPT={}", attempt.id);
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|all| all.split(|&b| b == 0).any(|one| one == marker.as_bytes()))
    })
    .collect()
}
