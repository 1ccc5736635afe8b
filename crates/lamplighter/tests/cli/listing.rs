//! The commands about applications that are there, and about none.

use std::io::Read as _;
use std::process::Stdio;

use expect_test::{Expect, expect};

use super::gateway::{Gateway, command_at, done, until};

fn check(gateway: &Gateway, line: &str, expected: &Expect) {
    let done = gateway.run(line);
    expected.assert_eq(&format!("code {}\n--- stdout\n{}--- stderr\n{}", done.code, done.stdout, done.stderr));
}

/// batch-0 failed with code 3, batch-1 succeeded, batch-2 runs until it is cancelled.
fn three() -> Gateway {
    let gateway = Gateway::with_fake_spark();
    gateway.file("bad.py", "echo one; echo two >&2; echo three; exit 3");
    gateway.file("good.py", "echo fine");
    gateway.file("long.py", "echo begun; exec sleep 1000");
    assert_eq!(gateway.run("submit -q --label team=core --name etl bad.py").code, 3);
    assert_eq!(gateway.run("submit -q --label team=web good.py").code, 0);
    assert_eq!(gateway.run("submit -d --label team=core --label tier=1 long.py").code, 0);
    until("the last one runs", || gateway.state("batch-2") == "running");
    gateway
}

#[test]
fn lists_are_chosen_by_state_name_and_label() {
    let gateway = three();
    let ids = |line: &str| gateway.run(line).stdout.replace('\n', " ");
    assert_eq!(ids("ps -q"), "batch-2 ");
    assert_eq!(ids("ps -q --all"), "batch-2 batch-1 batch-0 ");
    assert_eq!(ids("ps -qa --limit 2"), "batch-2 batch-1 ");
    assert_eq!(ids("ps -q --state failed,running"), "batch-2 batch-0 ");
    assert_eq!(ids("ps -qa --label team=core"), "batch-2 batch-0 ");
    assert_eq!(ids("ps -qa --label team=core --label tier=1"), "batch-2 ");
    assert_eq!(ids("ps -qa --name etl"), "batch-0 ");
    assert_eq!(ids("ps -qa --name good.py --limit 1"), "batch-1 ");
    let table = gateway.run("ps");
    assert!(table.stdout.starts_with("ID        NAME      STATE"), "{table:?}");
    let json: serde_json::Value = serde_json::from_str(&gateway.run("ps -a -o json").stdout).unwrap();
    assert_eq!(json["items"].as_array().unwrap().len(), 3);
    check(
        &gateway,
        "ps --label team=nobody",
        &expect![[r"
        code 0
        --- stdout
        --- stderr
        no active applications; --all shows those that have ended
    "]],
    );
    check(
        &gateway,
        "ps --state lost",
        &expect![[r"
        code 2
        --- stdout
        --- stderr
        error: invalid value 'lost' for '--state <STATE>'
          [possible values: accepted, starting, running, stopping, succeeded, failed, cancelled]

        For more information, try '--help'.
    "]],
    );
}

#[test]
fn logs_are_read_whole_in_part_and_as_they_come() {
    let gateway = three();
    // The two streams of a driver are two pipes, so only the order within each is certain.
    let sorted = |line: &str| {
        let mut lines: Vec<String> = gateway.run(line).stdout.lines().map(str::to_owned).collect();
        lines.sort();
        lines.join(" ")
    };
    assert_eq!(sorted("logs batch-0"), "one three two");
    assert_eq!(gateway.run("logs batch-0 --stream stdout").stdout, "one\nthree\n");
    assert_eq!(gateway.run("logs batch-0 --stream stdout --tail 1").stdout, "three\n");
    assert_eq!(gateway.run("logs batch-0 --attempt 1 --stream stderr -f").stdout, "two\n");
    let stamped = gateway.run("logs batch-1 --timestamps").stdout;
    assert!(stamped.ends_with("Z fine\n") && stamped.starts_with("20"), "{stamped}");
    let follower = gateway.spawn("logs -f batch-2");
    until("it is followed", || follower.stdout() == "begun\n");
    assert_eq!(gateway.run("kill -q batch-2").code, 0);
    assert_eq!(follower.finish().code, 0);
}

#[test]
fn waiting_ends_with_the_first_failure() {
    let gateway = three();
    check(
        &gateway,
        "wait batch-1 batch-0",
        &expect![[r"
        code 3
        --- stdout
        batch-1 succeeded: the program ended with exit code 0
        batch-0 failed: the program failed; its log tells why (two)
        --- stderr
    "]],
    );
    check(
        &gateway,
        "wait --timeout 100ms batch-2",
        &expect![[r"
        code 124
        --- stdout
        --- stderr
        error: not all have ended in time
        hint: they go on; wait again, or cancel with `lamplighter kill`
    "]],
    );
    let waiting = gateway.spawn("wait -q batch-2");
    assert_eq!(gateway.run("kill batch-2").stdout, "batch-2 cancelled\n");
    assert_eq!(waiting.finish().code, 143);
}

#[test]
fn killing_and_removing_try_every_one() {
    let gateway = three();
    check(
        &gateway,
        "rm batch-2 batch-0",
        &expect![[r"
        code 1
        --- stdout
        batch-0 removed
        --- stderr
        error: it is running; POST /api/v1/applications/batch-2/cancel ends it, `?cancel=true` ends and deletes it
        hint: `lamplighter rm --force` cancels it first
    "]],
    );
    check(
        &gateway,
        "kill batch-9 batch-2 batch-1",
        &expect![[r"
        code 4
        --- stdout
        batch-2 cancelled
        batch-1 succeeded
        --- stderr
        error: there is no application `batch-9`
        hint: `lamplighter ps --all` lists what there is
    "]],
    );
    check(
        &gateway,
        "kill --rm batch-1",
        &expect![[r"
        code 0
        --- stdout
        batch-1 removed
        --- stderr
    "]],
    );
    assert_eq!(gateway.run("retry batch-2").stdout, "batch-3\n");
    assert_eq!(gateway.run("rm --force batch-3").code, 0);
    until("it is gone", || gateway.run("show batch-3").code == 4);
}

#[test]
fn without_a_gateway_commands_say_what_to_do() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let run = |line: &str| done(&mut command_at(&url, &std::env::temp_dir(), &line.split(' ').collect::<Vec<_>>()));
    let lost = run("ps");
    assert_eq!(lost.code, 69);
    expect![[r"
        error: can't reach the gateway at URL: Connection refused (os error 111)
        hint: start one with `lamplighter serve`, or name another with --url or LAMPLIGHTER_URL
    "]]
    .assert_eq(&lost.stderr.replace(&url, "URL"));
    for line in ["submit Cargo.toml", "show batch-0", "logs -f batch-0", "wait batch-0", "kill batch-0"] {
        assert_eq!(run(line).code, 69, "{line}");
    }
    assert_eq!(run("--url ftp://h ps").code, 78);
    assert_eq!(run("ps --what").code, 2);
    assert_eq!(run("version").code, 0);
    let doctor = run("doctor");
    assert_eq!((doctor.code, doctor.stdout.contains("fail  gateway")), (1, true), "{doctor:?}");
}

#[test]
fn documents_and_scripts_need_no_gateway() {
    let run = |line: &str| {
        done(&mut command_at("http://127.0.0.1:1", &std::env::temp_dir(), &line.split(' ').collect::<Vec<_>>()))
    };
    let openapi: serde_json::Value = serde_json::from_str(&run("openapi").stdout).unwrap();
    assert_eq!(openapi["openapi"], "3.1.0");
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&format!("completions {shell}")).stdout.contains("idempotency-key"), "{shell}");
    }
    let help = run("submit --help").stdout;
    assert!(help.contains("--idempotency-key") && help.contains("--total-executor-cores"), "{help}");
    assert_eq!(run("submit -h").stdout, help);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let gateway = three();
    let mut command = gateway.command(&["logs", "-f", "batch-2"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 6];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"begun\n");
    let listed = gateway.command(&["ps", "-a"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut listed = listed.unwrap();
    drop(listed.stdout.take());
    let output = listed.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
    child.kill().unwrap();
    child.wait().unwrap();
}
