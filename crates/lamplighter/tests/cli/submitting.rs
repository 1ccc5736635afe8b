//! `submit`: as if the program ran here.

use std::process::Stdio;

use expect_test::{Expect, expect};
use rustix::process::Signal;

use super::gateway::{Done, Gateway, Running, command_at, done, until};

/// Prints a line a moment, for ever.
const ENDLESS: &str = "n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.05; done";
/// The same, and can't be asked to end.
const STUBBORN: &str = "trap '' TERM; n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.05; done";

fn check(gateway: &Gateway, line: &str, expected: &Expect) {
    expected.assert_eq(&shown(&gateway.run(line), gateway));
}

fn shown(done: &Done, gateway: &Gateway) -> String {
    let desk = gateway.desk().display().to_string();
    format!("code {}\n--- stdout\n{}--- stderr\n{}", done.code, done.stdout, done.stderr).replace(&desk, "DESK")
}

/// Submits an endless program and waits until it ticks.
fn ticking(gateway: &Gateway, script: &str) -> Running {
    gateway.file("ticks.py", script);
    let running = gateway.spawn("submit ticks.py");
    until("the program ticks", || running.stdout().contains("tick 3\n"));
    running
}

#[test]
fn output_and_exit_code_are_the_programs() {
    let gateway = Gateway::with_fake_spark();
    gateway.file("app.py", "echo out $*; echo oops >&2; exit 3");
    check(
        &gateway,
        "submit app.py a --detach",
        &expect![[r"
        code 3
        --- stdout
        out a --detach
        --- stderr
        submitted batch-0
        oops
        batch-0 failed: the program failed; its log tells why (oops)
    "]],
    );
    gateway.file("fine.py", "echo fine");
    check(
        &gateway,
        "submit -q fine.py",
        &expect![[r"
        code 0
        --- stdout
        fine
        --- stderr
    "]],
    );
    gateway.file("shot.py", "kill -9 $$");
    assert_eq!(gateway.run("submit shot.py").code, 137);
}

#[test]
fn detached_submissions_print_the_id_alone() {
    let gateway = Gateway::with_fake_spark();
    gateway.file("app.py", "true");
    check(
        &gateway,
        "submit --master local[2] -d --label team=core --external-id r1 app.py",
        &expect![[r"
        code 0
        --- stdout
        batch-0
        --- stderr
    "]],
    );
    let json = gateway.run("submit --detach -o json --name etl app.py x");
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["id"], "batch-1");
    assert_eq!(json["args"], serde_json::json!(["x"]));
    assert_eq!(json["conf"]["spark.app.name"], "etl");
    assert_eq!(gateway.run("submit -o json app.py").code, 2, "the program's output is no JSON");
}

#[test]
fn paths_start_where_they_are_typed() {
    let gateway = Gateway::with_fake_spark();
    let desk = gateway.desk();
    gateway.file("app.py", r#"grep -o 'spark\.\(from\|jars\|over\).*' "$FAKE_SPARK_PROPERTIES""#);
    gateway.file("job.conf", "spark.from.file yes\nspark.over file\nother.key ignored\n");
    gateway.file("lib.jar", "");
    check(
        &gateway,
        "submit -q --properties-file job.conf --jars lib.jar --conf spark.over=flag ./app.py",
        &expect![[r"
        code 0
        --- stdout
        spark.from.file=yes
        spark.jars=DESK/lib.jar
        spark.over=flag
        --- stderr
    "]],
    );
    std::fs::create_dir(desk.join("below")).unwrap();
    let url = format!("http://127.0.0.1:{}", gateway.port());
    let below = done(&mut command_at(&url, &desk.join("below"), &["submit", "-q", "../app.py"]));
    assert_eq!((below.code, below.stdout.as_str()), (1, ""), "nothing to grep: {below:?}");
}

#[test]
fn what_cannot_run_is_refused_with_the_reason() {
    let gateway = Gateway::with_fake_spark();
    gateway.file("app.py", "true");
    check(
        &gateway,
        "submit --master yarn --deploy-mode cluster app.py",
        &expect![[r"
        code 1
        --- stdout
        --- stderr
        error: no backend of type yarn is configured for master `yarn`
        hint: leave --master out to run it on the gateway's machine, or name a backend with --backend
    "]],
    );
    check(
        &gateway,
        "submit --mster local --driver-memory 1x app.py",
        &expect![[r"
        code 2
        --- stdout
        --- stderr
        error: the command line can't be understood
          --mster: is no option of spark-submit; did you mean --master?
          --driver-memory (spark.driver.memory): size `1x` has an unknown unit; use b, k, m, g, t or p; write a size such as 512m or 4g
        hint: `lamplighter submit --help` lists all options
    "]],
    );
    check(
        &gateway,
        "submit gone.py",
        &expect![[r"
        code 1
        --- stdout
        --- stderr
        error: the application can't be accepted
          program: there is no file DESK/gone.py
    "]],
    );
    check(
        &gateway,
        "submit --status driver-20260101-0001",
        &expect![[r"
        code 2
        --- stdout
        --- stderr
        error: --status: `driver-20260101-0001` is no application of a gateway
        hint: its applications are called batch-N; `lamplighter ps` lists them
    "]],
    );
    assert_eq!(gateway.run("ps -a -q").stdout, "", "nothing was submitted");
}

#[test]
fn the_first_interrupt_cancels_and_waits() {
    let gateway = Gateway::with_fake_spark();
    for (number, (signal, code)) in [(Signal::INT, 130), (Signal::TERM, 143)].into_iter().enumerate() {
        let running = ticking(&gateway, ENDLESS);
        running.signal(signal);
        let done = running.finish();
        assert_eq!(done.code, code, "{done:?}");
        assert!(done.stderr.contains("cancelling batch-"), "{done:?}");
        assert_eq!(gateway.state(&format!("batch-{number}")), "cancelled");
    }
}

#[test]
fn the_second_interrupt_stops_waiting() {
    let gateway = Gateway::with_fake_spark();
    let running = ticking(&gateway, STUBBORN);
    running.signal(Signal::INT);
    until("the gateway has heard it", || gateway.state("batch-0") == "stopping");
    running.signal(Signal::INT);
    let done = running.finish();
    assert_eq!(done.code, 130, "{done:?}");
    assert_eq!(gateway.state("batch-0"), "stopping");
}

#[test]
fn cancelled_elsewhere_ends_with_the_drivers_code() {
    let gateway = Gateway::with_fake_spark();
    let running = ticking(&gateway, ENDLESS);
    let killed = gateway.run("submit --kill batch-0");
    assert_eq!((killed.code, killed.stdout.as_str()), (0, "batch-0 cancelled\n"), "{killed:?}");
    assert_eq!(running.finish().code, 143);
}

#[test]
fn a_key_makes_repeating_harmless() {
    let gateway = Gateway::with_fake_spark();
    gateway.file("app.py", "true");
    let ids: Vec<String> = (0..3).map(|_| gateway.run("submit -d --idempotency-key k1 app.py").stdout).collect();
    assert_eq!(ids, ["batch-0\n", "batch-0\n", "batch-0\n"]);
}

#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let gateway = Gateway::with_fake_spark();
    gateway.file("app.py", "for n in 1 2 3 4 5; do echo line $n; sleep 0.05; done; exit 5");
    let mut command = gateway.command(&["submit", "-q", "app.py"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    let logs = gateway.run("logs batch-0");
    assert_eq!(logs.stdout.lines().count(), 5, "{logs:?}");
}
