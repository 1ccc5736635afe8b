//! The real gateway is killed, and so are its supervisors and drivers: nothing is lost and nothing runs twice.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::fake_spark::FakeSpark;
use testkit::gateway::{Client, Gateway, Options, wait_until};
use testkit::kill::{self, Plan};

/// Another seed gives other jobs and other kills.
const SEED_VARIABLE: &str = "LAMPLIGHTER_TEST_SEED";

fn plan(seed: u64, applications: u32, kills: u32) -> Plan {
    let seed = std::env::var(SEED_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
    Plan {
        seed,
        applications,
        kills,
        clients: 4,
        binary: env!("CARGO_BIN_EXE_lamplighter").into(),
        config: "local:\n  places: 8\n  stop_grace: 2s\n".to_owned(),
    }
}

#[track_caller]
fn check(plan: &Plan) {
    eprintln!("{SEED_VARIABLE}={} chooses these jobs and kills again", plan.seed);
    let report = kill::run(plan).unwrap();
    eprintln!("{report}");
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.kill_count(), report.acknowledged), (plan.kills, plan.applications));
}

#[test]
fn killed_at_any_instant_it_loses_nothing_and_repeats_nothing() {
    check(&plan(20_261_121, 80, 44));
}

#[test]
fn on_postgresql_too() {
    let server = match testkit::postgres::server() {
        Ok(server) => server,
        Err(missing) => return eprintln!("skipped: on_postgresql_too: {missing}"),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut plan = plan(20_261_122, 24, 12);
    plan.config += &format!("store: {}\n", runtime.block_on(server.database()));
    check(&plan);
}

/// A gateway with one running application.
struct Running {
    gateway: Gateway,
    client: Client,
    id: String,
    driver: i32,
    _spark: FakeSpark,
}

impl Running {
    fn start() -> Self {
        let spark = FakeSpark::new().unwrap();
        let gateway = Gateway::start(Options::new(env!("CARGO_BIN_EXE_lamplighter"), spark.home())).unwrap();
        let pid_file = gateway.scratch().join("driver");
        let program = spark.program("wait.sh", "echo $$ > $1.new && mv $1.new $1\nsleep 600\n").unwrap();
        let client = gateway.client();
        let body = json!({ "resource": program, "args": [pid_file] }).to_string();
        let id = client.post("/api/v1/applications", &body).unwrap().json().unwrap()["id"].as_str().unwrap().to_owned();
        wait_until("the driver to run", || Ok(pid_file.exists())).unwrap();
        let driver = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        let running = Self { gateway, client, id, driver, _spark: spark };
        wait_until("the application to run", || Ok(running.application()["state"] == "running")).unwrap();
        running
    }

    fn application(&self) -> Value {
        self.client.get(&format!("/api/v1/applications/{}", self.id)).unwrap().json().unwrap()
    }

    /// Waits for the end, and answers state, reason and exit code.
    fn end(&self) -> (String, String, Value) {
        wait_until("the application to end", || Ok(!self.application()["ended_at"].is_null())).unwrap();
        let application = self.application();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&application["state"]), text(&application["reason"]["code"]), application["exit_code"].clone())
    }
}

fn kill9(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn parent(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

#[test]
fn a_driver_killed_from_outside_is_told_as_such() {
    let running = Running::start();
    kill9(running.driver);
    assert_eq!(running.end(), ("failed".to_owned(), "killed_by_signal".to_owned(), json!(137)));
    assert_eq!(running.gateway.processes_left(), Vec::<i32>::new());
}

#[test]
fn with_its_supervisor_a_driver_dies_and_the_loss_is_told() {
    let running = Running::start();
    kill9(parent(running.driver));
    assert_eq!(running.end(), ("failed".to_owned(), "supervisor_lost".to_owned(), Value::Null));
    assert_eq!(running.gateway.processes_left(), Vec::<i32>::new());
}

#[test]
fn a_supervisor_that_died_while_the_gateway_was_down_is_told_too() {
    let mut running = Running::start();
    running.gateway.kill9().unwrap();
    kill9(parent(running.driver));
    running.gateway.restart().unwrap();
    assert_eq!(running.end(), ("failed".to_owned(), "supervisor_lost".to_owned(), Value::Null));
    assert_eq!(running.gateway.processes_left(), Vec::<i32>::new());
}

#[test]
fn what_the_store_does_not_know_is_reported() {
    let mut running = Running::start();
    let foreign = running.gateway.data_dir().join("attempts/01900000-0000-7000-8000-000000000000");
    fs::create_dir(&foreign).unwrap();
    running.gateway.restart().unwrap();
    wait_until("the foreign attempt to be reported", || {
        Ok(leftovers(&running.client) == [Path::new(&foreign).display().to_string()])
    })
    .unwrap();
}

fn leftovers(client: &Client) -> Vec<String> {
    let backends = client.get("/api/v1/backends").unwrap().json().unwrap();
    serde_json::from_value(backends["items"][0]["leftovers"].clone()).unwrap()
}
