//! What spark-submit itself refuses, before a JVM is started for it.

use super::{Action, DeployMode, Master, Problem, Program, command_line, keys};
use crate::memory_size::{ByteUnit, MemorySize};
use crate::spark_conf::SparkConf;

/// How problems with the program call it.
pub(super) const PROGRAM: &str = "program";

/// What is wrong with an invocation. Without an action, which means the program is missing, the configuration is
/// checked as for a submission, so that all problems are reported at once.
pub(super) fn problems(action: Option<&Action>, conf: &SparkConf, proxy_user: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    match action {
        Some(Action::Help | Action::Version) => {}
        Some(Action::Kill(_) | Action::Status(_)) => problems.extend(cluster(conf)),
        Some(Action::Submit(program)) => {
            problems.extend(check_program(program));
            problems.extend(submission(conf, proxy_user));
        }
        None => problems.extend(submission(conf, proxy_user)),
    }
    problems
}

fn check_program(program: &Program) -> Vec<Problem> {
    let resource = command_line::check_resource(&program.resource).err();
    let class_name = program.class_name.as_deref().and_then(|class| command_line::check_class_name(class).err());
    let resource = resource
        .map(|error| Problem::new(PROGRAM, error.to_string(), "name a JAR, Python or R file behind the options"));
    let class_name =
        class_name.map(|error| Problem::new("--class", error.to_string(), "name the main class of your own program"));
    resource.into_iter().chain(class_name).collect()
}

fn submission(conf: &SparkConf, proxy_user: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(cluster(conf));
    problems.extend(
        [("--driver-memory", keys::DRIVER_MEMORY), ("--executor-memory", keys::EXECUTOR_MEMORY)]
            .into_iter()
            .filter_map(|(option, key)| memory(conf, option, key)),
    );
    problems.extend(
        [
            ("--driver-cores", keys::DRIVER_CORES),
            ("--executor-cores", keys::EXECUTOR_CORES),
            ("--total-executor-cores", keys::TOTAL_EXECUTOR_CORES),
        ]
        .into_iter()
        .filter_map(|(option, key)| count(conf, option, key)),
    );
    // With dynamic allocation the number is only where Spark begins, and it may begin with none.
    if !conf.get("spark.dynamicAllocation.enabled").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        problems.extend(count(conf, "--num-executors", keys::EXECUTOR_INSTANCES));
    }
    if conf.get(keys::DRIVER_JAVA_OPTIONS).is_some_and(|options| options.contains("-Xmx")) {
        problems.push(Problem::new(
            named("--driver-java-options", keys::DRIVER_JAVA_OPTIONS),
            "sets the heap with -Xmx, which Spark refuses",
            "use --driver-memory",
        ));
    }
    if proxy_user.is_some() && conf.contains(keys::PRINCIPAL) {
        problems.push(Problem::new("--proxy-user", "can't stand beside --principal", "use one of them"));
    }
    problems
}

/// Master, deploy mode and Spark Connect, which exclude each other in places.
fn cluster(conf: &SparkConf) -> Vec<Problem> {
    let mut problems = Vec::new();
    let master = conf.get(keys::MASTER).map(str::parse::<Master>);
    if let Some(Err(error)) = &master {
        problems.push(Problem::new(named("--master", keys::MASTER), error.to_string(), "correct it, or leave it out"));
    }
    let deploy_mode = conf.get(keys::DEPLOY_MODE).map(|mode| match mode {
        "client" => Ok(DeployMode::Client),
        "cluster" => Ok(DeployMode::Cluster),
        other => Err(other),
    });
    let local = matches!(master, Some(Ok(Master::Local { .. })));
    match deploy_mode {
        Some(Err(other)) => problems.push(Problem::new(
            named("--deploy-mode", keys::DEPLOY_MODE),
            format!("is `{other}`"),
            "write client or cluster",
        )),
        Some(Ok(DeployMode::Cluster)) if local => problems.push(Problem::new(
            named("--deploy-mode", keys::DEPLOY_MODE),
            "is cluster, but a local master has no cluster to put the driver on",
            "leave it out, or name a cluster with --master",
        )),
        _ => {}
    }
    if conf.contains(keys::REMOTE) && (master.is_some() || deploy_mode.is_some()) {
        problems.push(Problem::new(
            named("--remote", keys::REMOTE),
            "can't stand beside --master or --deploy-mode: the server it names has its own",
            "use one of them",
        ));
    }
    problems
}

fn memory(conf: &SparkConf, option: &str, key: &str) -> Option<Problem> {
    let value = conf.get(key)?;
    let what = match MemorySize::parse(value, ByteUnit::Mebibyte) {
        Ok(size) if size.bytes() > 0 => return None,
        Ok(_) => "is no memory at all".to_owned(),
        Err(error) => error.to_string(),
    };
    Some(Problem::new(named(option, key), what, "write a size such as 512m or 4g"))
}

fn count(conf: &SparkConf, option: &str, key: &str) -> Option<Problem> {
    let value = conf.get(key)?;
    let positive = value.parse::<i32>().is_ok_and(|count| count > 0);
    (!positive).then(|| {
        Problem::new(named(option, key), format!("`{value}` is no whole number above 0"), "write a number such as 2")
    })
}

/// The option and its key, since the value may have come by either.
fn named(option: &str, key: &str) -> String {
    format!("{option} ({key})")
}
