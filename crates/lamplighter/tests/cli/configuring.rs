//! The configuration as the program takes it: what is wrong is told at once, and a certificate makes it speak TLS.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use expect_test::{Expect, expect};
use rustix::process::Signal;
use tempfile::TempDir;
use testkit::fake_spark::FakeSpark;

use crate::gateway::{Done, Running, command_at, done, until};

/// `lamplighter` in a folder, without the variables of whoever runs the tests.
fn command(folder: &Path, line: &str) -> Command {
    let mut command = command_at("http://127.0.0.1:1", folder, &line.split(' ').collect::<Vec<_>>());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LAMPLIGHTER_")) {
        command.env_remove(name);
    }
    command.env("HOME", folder).env_remove("XDG_DATA_HOME");
    command
}

fn check(yaml: &str, line: &str, code: i32, expected: &Expect) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("l.yaml"), yaml).unwrap();
    let Done { code: ended, stdout, stderr } =
        done(command(folder.path(), line).env("LAMPLIGHTER_LOCAL_PLACES", "many"));
    expected.assert_eq(&format!("{stdout}{stderr}").replace(&folder.path().display().to_string(), "FOLDER"));
    assert_eq!(ended, code);
}

#[test]
fn a_gateway_does_not_start_with_a_wrong_configuration_and_tells_all_of_it() {
    check(
        "lisen: 127.0.0.1:1\nlocal:\n  work: alway\npolicy:\n  tenats: {}\n",
        "serve --config l.yaml --listen 0.0.0.0:0 --retention-age soon",
        78,
        &expect![[r#"
            error: LAMPLIGHTER_LOCAL_PLACES: `many` is not a number from 0 to 1000000
            error: --listen: 0.0.0.0:0 can be reached from other machines, and whoever reaches the gateway runs code as its user; give tokens under `auth`, listen on a loopback address such as 127.0.0.1:0, or say `allow_unauthenticated_remote_access: true`
            error: --retention-age: time `soon` is not a whole number with a unit, such as 30s or 2h
            error: l.yaml:1:1: unknown key `lisen`; did you mean `listen`?
            error: l.yaml:3:9: local.work: `alway` is not `always` or `on_success` or `never`; did you mean `always`?
            error: l.yaml:5:3: policy.tenats: unknown key `tenats`; did you mean `tenants`?
        "#]],
    );
}

#[test]
fn a_configuration_can_be_looked_at_without_a_gateway() {
    check(
        "listen: nowhere\n",
        "config check l.yaml",
        78,
        &expect![[r"
            error: the configuration is wrong
              LAMPLIGHTER_LOCAL_PLACES: `many` is not a number from 0 to 1000000
              l.yaml:1:9: listen: `nowhere` is not ADDRESS:PORT, as in 127.0.0.1:8998
        "]],
    );
    let folder = tempfile::tempdir().unwrap();
    let sample = done(&mut command(folder.path(), "config sample")).stdout;
    std::fs::write(folder.path().join("sample.yaml"), sample).unwrap();
    assert_eq!(done(&mut command(folder.path(), "config check sample.yaml")).stdout, "sample.yaml is in order\n");
    let mut print = command(folder.path(), "config print --config sample.yaml --log-format json");
    let printed = done(print.env("LAMPLIGHTER_STORE", "postgres://ada:hunter2@db/lamplighter")).stdout;
    for line in [
        "listen: 127.0.0.1:8998  # default",
        "log_format: json  # --log-format",
        "store: \"***\"  # LAMPLIGHTER_STORE",
        "  stop_grace: 10s  # default",
    ] {
        assert!(printed.lines().any(|it| it == line), "`{line}` is missing in\n{printed}");
    }
    assert!(!printed.contains("hunter2"));
}

/// A gateway with a certificate.
struct Secured {
    folder: TempDir,
    port: u16,
    gateway: Running,
    _spark: FakeSpark,
}

impl Secured {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spark = FakeSpark::new().unwrap();
        put_certificate(folder.path(), 1);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let line = format!(
            "serve --listen 127.0.0.1:{port} --data-dir data --tls-certificate tls.crt --tls-key tls.key \
             --log-format json --log info,lamplighter=debug"
        );
        let mut serve = command(folder.path(), &line);
        serve.env("SPARK_HOME", spark.home());
        Self { gateway: Running::new(serve), folder, port, _spark: spark }
    }

    fn list(&self, ca_file: &Path) -> Done {
        let url = format!("https://localhost:{}", self.port);
        done(command_at(&url, self.folder.path(), &["ps"]).env("LAMPLIGHTER_CA_FILE", ca_file))
    }
}

/// Puts a new certificate with its key in the folder; answers a copy of it.
fn put_certificate(folder: &Path, number: u64) -> PathBuf {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let copy = folder.join(format!("{number}.crt"));
    std::fs::write(&copy, made.cert.pem()).unwrap();
    for (name, pem) in [("tls.key", made.signing_key.serialize_pem()), ("tls.crt", made.cert.pem())] {
        std::fs::write(folder.join(name), pem).unwrap();
        let file = std::fs::File::options().write(true).open(folder.join(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + number)).unwrap();
    }
    copy
}

#[test]
fn a_certificate_is_served_and_a_new_one_taken_without_a_restart() {
    let secured = Secured::start();
    let first = secured.folder.path().join("1.crt");
    until("the gateway answers", || secured.list(&first).code == 0);
    let second = put_certificate(secured.folder.path(), 2);
    until("the new certificate is shown", || secured.list(&second).code == 0);
    let former = secured.list(&first);
    assert_eq!(former.code, 69, "{}", former.stderr);
    secured.gateway.signal(Signal::TERM);
    let log = secured.gateway.finish();
    assert_eq!(log.code, 0, "{}", log.stderr);
    let lines: Vec<serde_json::Value> = log.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |message: &str| lines.iter().any(|line| line["message"] == message);
    assert!(told("took the new certificate"), "{}", log.stderr);
    assert!(told("lamplighter serves"), "{}", log.stderr);
    let answered: Vec<_> = lines.iter().filter(|line| line["message"] == "answered").collect();
    assert!(!answered.is_empty(), "{}", log.stderr);
    for line in answered {
        assert!(line["span"]["request_id"].is_string(), "{line}");
    }
}
