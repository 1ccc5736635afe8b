#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clap::{Args as _, FromArgMatches as _};
use expect_test::{Expect, expect};

use super::*;

/// What a gateway makes of a file, variables and flags: what holds and isn't default, or what is wrong.
fn check(yaml: &str, variables: &[(&str, &str)], flags: &str, expected: &Expect) {
    let shown = match loaded(yaml, variables, flags) {
        Ok(config) => {
            let said = config.effective.iter().filter(|one| one.place != problem::Place::Default);
            said.map(|one| format!("{}: {}  # {}\n", one.key, one.shown, one.place)).collect()
        }
        Err(problems) => problems.to_string(),
    };
    expected.assert_eq(&shown);
}

fn loaded(yaml: &str, variables: &[(&str, &str)], flags: &str) -> Result<Config, ConfigProblems> {
    let file = yaml::parse("F", yaml).map_err(ConfigProblems::new)?;
    let command = ServeArgs::augment_args(clap::Command::new("serve"));
    let matches = command.get_matches_from(std::iter::once("serve").chain(flags.split_whitespace()));
    let args = ServeArgs::from_arg_matches(&matches).unwrap();
    let look = |name: &str| match name {
        "HOME" => Some("/home/ada".to_owned()),
        name => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
    };
    let mut reader = Reader::new(&args.settings, &look, file);
    let config = settings::read(&mut reader, &look);
    let (_, effective, problems) = reader.finish();
    if problems.is_empty() { Ok(Config { effective, ..config }) } else { Err(ConfigProblems::new(problems)) }
}

#[test]
fn flags_win_over_variables_over_the_file() {
    check("", &[], "", &expect![""]);
    check(
        "listen: 127.0.0.1:1\ndata_dir: /a\nlocal:\n  stop_grace: 2m\n  places: 3\n",
        &[("LAMPLIGHTER_LISTEN", "127.0.0.1:2"), ("LAMPLIGHTER_DATA_DIR", "/b"), ("LAMPLIGHTER_LOG", "")],
        "--data-dir /c --local-places 9",
        &expect![[r#"
            listen: 127.0.0.1:2  # LAMPLIGHTER_LISTEN
            data_dir: /c  # --data-dir
            local.places: 9  # --local-places
            local.stop_grace: 2min  # F:4:15
        "#]],
    );
}

#[test]
fn every_notation_can_be_written_everywhere() {
    check(
        "sparks:\n  '4': /opt/spark-4\n  3.5: /opt/spark-3.5\nallowed_hosts: [a, b]\nretention: {age: forever}\n",
        &[("LAMPLIGHTER_STORE", "postgres://u:secret@h/d"), ("LAMPLIGHTER_LIMITS_BODY_BYTES_MAX", "1m")],
        "--log-format json --local-environment A,B --local-environment C",
        &expect![[r#"
            allowed_hosts: [a, b]  # F:4:16
            store: "***"  # LAMPLIGHTER_STORE
            sparks: {"4": /opt/spark-4, "3.5": /opt/spark-3.5}  # F:2:3
            log_format: json  # --log-format
            local.environment: [A, B, C]  # --local-environment
            retention.age: forever  # F:5:18
            limits.body_bytes_max: 1m  # LAMPLIGHTER_LIMITS_BODY_BYTES_MAX
        "#]],
    );
    check(
        "",
        &[("LAMPLIGHTER_SPARKS", "4=/opt/4, 3.5=/opt/3"), ("LAMPLIGHTER_ALLOWED_HOSTS", "a,,b")],
        "",
        &expect![[r#"
            allowed_hosts: [a, b]  # LAMPLIGHTER_ALLOWED_HOSTS
            sparks: {"4": /opt/4, "3.5": /opt/3}  # LAMPLIGHTER_SPARKS
        "#]],
    );
}

#[test]
fn all_problems_are_told_together() {
    check(
        "lisen: x\nstore: mysql://secret\nsparks:\n  x: relative\n  y z: /y\nplaces: 3\nlocal:\n  stop_grace: soon\n  wrk: always\n  \
         work: [never]\nlivy:\n  log_lines: 0\nlimits: many\nretention:\n  age: {days: 3}\nlog_format: jsn\n",
        &[("LAMPLIGHTER_LOG", "a=b=c"), ("LAMPLIGHTER_LOCAL_PLACES", "-1")],
        "--listen nowhere --limits-body-timeout=0s",
        &expect![[r#"
            error: --listen: `nowhere` is not ADDRESS:PORT, as in 127.0.0.1:8998
            error: LAMPLIGHTER_LOG: `a=b=c` is no filter: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
            error: LAMPLIGHTER_LOCAL_PLACES: `-1` is not a number from 0 to 1000000
            error: --limits-body-timeout: `0s` is not a time of at least 1s
            error: F:1:1: unknown key `lisen`; did you mean `listen`?
            error: F:2:8: store: must be `sqlite` or a URL like postgres://user@host:5432/database
            error: F:4:6: sparks: x: `relative` is not an absolute path
            error: F:5:3: sparks: `y z` is not a valid Spark name
            error: F:6:1: unknown key `places`; did you mean `local.places`?
            error: F:8:15: local.stop_grace: time `soon` is not a whole number with a unit, such as 30s or 2h
            error: F:9:3: unknown key `local.wrk`; did you mean `local.work`?
            error: F:10:9: local.work: expected `always` or `on_success` or `never`, found a list
            error: F:12:14: livy.log_lines: `0` is not a number from 1 to 100000
            error: F:13:9: limits: expected keys with values, found a text
            error: F:15:8: retention.age: expected a time such as 30s or 2h, or `forever`, found a mapping
            error: F:16:13: log_format: `jsn` is not `pretty` or `json`; did you mean `json`?"#]],
    );
}

#[test]
fn strangers_are_let_in_only_when_it_is_said_aloud() {
    check(
        "listen: 0.0.0.0:8998\n",
        &[],
        "",
        &expect![
            "error: F:1:9: listen: 0.0.0.0:8998 can be reached from other machines, and whoever reaches the gateway runs code as its user; give tokens under `auth`, listen on a loopback address such as 127.0.0.1:8998, or say `allow_unauthenticated_remote_access: true`"
        ],
    );
    check(
        "",
        &[],
        "--listen 0.0.0.0:8998 --allow-unauthenticated-remote-access",
        &expect![[r#"
        listen: 0.0.0.0:8998  # --listen
        allow_unauthenticated_remote_access: true  # --allow-unauthenticated-remote-access
    "#]],
    );
    let tokens = format!("auth: {{tokens: [{{user: ada, tenant: core, sha256: {:064x}}}]}}", 7);
    check(
        &tokens,
        &[],
        "--listen 0.0.0.0:8998",
        &expect![
            "error: --listen: 0.0.0.0:8998 can be reached from other machines, and tokens would travel in the clear; set `tls.certificate` and `tls.key`, or say `allow_cleartext: true`"
        ],
    );
    check(
        &tokens,
        &[],
        "--listen 0.0.0.0:8998 --allow-cleartext=true",
        &expect![[r#"
            listen: 0.0.0.0:8998  # --listen
            allow_cleartext: true  # --allow-cleartext
            auth: {"tokens":[{"user":"ada","tenant":"core","sha256":"0000000000000000000000000000000000000000000000000000000000000007"}]}  # F:1:7
        "#]],
    );
    check(
        &format!("{tokens}\ntls: {{certificate: /c, key: /k}}"),
        &[],
        "--listen [::]:8998",
        &expect![[r#"
            listen: "[::]:8998"  # --listen
            tls.certificate: /c  # F:2:20
            tls.key: /k  # F:2:29
            auth: {"tokens":[{"user":"ada","tenant":"core","sha256":"0000000000000000000000000000000000000000000000000000000000000007"}]}  # F:1:7
        "#]],
    );
}

#[test]
fn certificate_and_key_belong_together() {
    check(
        "tls: {certificate: /c.pem}\n",
        &[],
        "--limits-streams-max 5000",
        &expect![[r#"
        error: --limits-streams-max: must not be more than `limits.connections_max`
        error: F:1:20: tls.certificate: needs `tls.key` too"#]],
    );
    check(
        "tls: {certificate: /c.pem, key: /k.pem}\n",
        &[],
        "",
        &expect![[r#"
        tls.certificate: /c.pem  # F:1:20
        tls.key: /k.pem  # F:1:33
    "#]],
    );
}

proptest::proptest! {
    #[test]
    fn no_file_panics(text in "((listen|sparks|local|places|tls|auth|tokens|policy|tenants|conf|kubernetes|- |[a-z]|: |:|\\[|\\]|\\{|\\}|,|[0-9]|\n|  ){0,30})") {
        let _ = loaded(&text, &[], "");
    }
}

#[test]
fn a_file_that_can_not_be_read_is_told() {
    let args = ServeArgs::new(Some("/nowhere/lamplighter.yaml".into()), None);
    let problems = load(&args, &|_| None).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "error: read the configuration file /nowhere/lamplighter.yaml: No such file or directory (os error 2)"
    );
}

#[test]
fn the_sample_says_what_holds_anyway() {
    let plain = sample().lines().filter(|line| !line.starts_with("# ")).fold(String::new(), |text, line| {
        let line = line.strip_prefix('#').unwrap_or(line);
        text + line + "\n"
    });
    let told = loaded(&plain, &[], "").unwrap();
    let untold = loaded("", &[], "").unwrap();
    assert_eq!(Config { effective: Vec::new(), ..told }, Config { effective: Vec::new(), ..untold });
}

#[test]
fn the_reference_names_every_setting() {
    let page = reference();
    for declared in declarations() {
        assert!(page.contains(&format!("`{}`", declared.key)), "{} is missing", declared.key);
    }
}
