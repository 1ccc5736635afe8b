//! From spark-submit's command line to what the API takes. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use api::ApplicationCreate;
use backends::local::WORK_DIR_KEY;
use model::spark_submit::{Action, Master, SparkSubmit};

use super::Flags;
use crate::cli::failure::Failure;

/// What is to be sent, and what the user should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The body.
    pub(super) create: ApplicationCreate,
    /// What was left out.
    pub(super) warnings: Vec<String>,
}

/// The request for a submission whose properties files are filled in and whose paths are resolved.
///
/// `--name` becomes Spark's name and not the gateway's: the latter is unique, and spark-submit may be run twice.
///
/// # Errors
/// [`Failure`] when the master asks for a backend that no gateway has unless it is named.
pub(super) fn request(submit: SparkSubmit, flags: &Flags, typed_in: &Path) -> Result<Request, Failure> {
    if flags.backend.is_none() {
        check_master(&submit)?;
    }
    let warnings = submit
        .conf
        .ignored_by_spark()
        .map(|key| format!("{key} is left out, because Spark ignores keys that don't begin with `spark.`"))
        .collect();
    let conf = submit.conf.iter().filter(|(key, _)| key.starts_with("spark."));
    let mut conf: BTreeMap<String, String> = conf.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    // So that relative paths among the program's arguments mean what they mean to spark-submit.
    if let Some(typed_in) = typed_in.to_str() {
        conf.entry(WORK_DIR_KEY.to_owned()).or_insert_with(|| typed_in.to_owned());
    }
    let Action::Submit(program) = submit.action else {
        return Err(Failure::usage("there is no program to submit".to_owned()));
    };
    let create = ApplicationCreate {
        resource: program.resource,
        class_name: program.class_name,
        args: program.args,
        conf,
        labels: flags.labels().collect(),
        external_id: flags.external_id.clone(),
        backend: flags.backend.clone(),
        spark: flags.spark.clone(),
        max_attempts: flags.attempts(),
        run_timeout: flags.run_timeout.clone(),
        queue_timeout: flags.queue_timeout.clone(),
        proxy_user: submit.proxy_user,
        ..ApplicationCreate::default()
    };
    Ok(Request { create, warnings })
}

/// The gateway picks among its backends by itself only for masters on its own machine.
fn check_master(submit: &SparkSubmit) -> Result<(), Failure> {
    let kind = match submit.master() {
        Ok(None | Some(Master::Local { .. } | Master::LocalCluster { .. })) => return Ok(()),
        Ok(Some(Master::Standalone { .. })) => "standalone",
        Ok(Some(Master::Yarn)) => "yarn",
        Ok(Some(Master::Kubernetes { .. })) => "kubernetes",
        Ok(Some(Master::Other(_))) => "this",
        Err(error) => return Err(Failure::usage(error.to_string())),
    };
    let master = submit.conf.get("spark.master").unwrap_or_default();
    Err(Failure::new(format!("no backend of type {kind} is configured for master `{master}`"))
        .with_hint("leave --master out to run it on the gateway's machine, or name a backend with --backend"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use expect_test::{Expect, expect};
    use model::spark_submit;
    use std::path::Path;

    fn check(line: &str, flags: &Flags, expected: &Expect) {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut submit = spark_submit::parse(&args).unwrap();
        submit.resolve_paths(Path::new("/home/ada")).unwrap();
        let shown = match request(submit, flags, Path::new("/home/ada")) {
            Ok(request) => {
                let warnings: String = request.warnings.iter().map(|warning| format!("\nwarning: {warning}")).collect();
                serde_json::to_string_pretty(&request.create).unwrap() + &warnings
            }
            Err(failure) => format!("{failure:?}"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn flags_of_both_kinds_become_one_request() {
        let flags = Flags {
            backend: Some("local".to_owned()),
            spark: Some("3.5".to_owned()),
            max_attempts: Some("2".to_owned()),
            run_timeout: Some("1h".to_owned()),
            label: vec!["team=core".to_owned()],
            external_id: Some("run-9".to_owned()),
            ..Flags::default()
        };
        check(
            "--master local[2] --name etl --jars a.jar,/b.jar --conf spark.x=y=z --conf hadoop.k=v --class M app.jar --jars x",
            &flags,
            &expect![[r#"
                {
                  "resource": "/home/ada/app.jar",
                  "class_name": "M",
                  "args": [
                    "--jars",
                    "x"
                  ],
                  "conf": {
                    "spark.app.name": "etl",
                    "spark.jars": "/home/ada/a.jar,/b.jar",
                    "spark.lamplighter.work-dir": "/home/ada",
                    "spark.master": "local[2]",
                    "spark.x": "y=z"
                  },
                  "labels": {
                    "team": "core"
                  },
                  "external_id": "run-9",
                  "backend": "local",
                  "spark": "3.5",
                  "max_attempts": 2,
                  "run_timeout": "1h"
                }
                warning: hadoop.k is left out, because Spark ignores keys that don't begin with `spark.`"#]],
        );
    }

    #[test]
    fn a_plain_program_is_a_plain_request() {
        check(
            "pi.py 10",
            &Flags::default(),
            &expect![[r#"
                {
                  "resource": "/home/ada/pi.py",
                  "args": [
                    "10"
                  ],
                  "conf": {
                    "spark.lamplighter.work-dir": "/home/ada"
                  }
                }"#]],
        );
    }

    #[test]
    fn masters_elsewhere_are_refused_unless_a_backend_is_named() {
        check(
            "--master yarn pi.py",
            &Flags::default(),
            &expect![[
                r#"Failure { code: Failed, message: "no backend of type yarn is configured for master `yarn`", details: [], hint: Some("leave --master out to run it on the gateway's machine, or name a backend with --backend") }"#
            ]],
        );
        check(
            "--master spark://h:7077 pi.py",
            &Flags::default(),
            &expect![[
                r#"Failure { code: Failed, message: "no backend of type standalone is configured for master `spark://h:7077`", details: [], hint: Some("leave --master out to run it on the gateway's machine, or name a backend with --backend") }"#
            ]],
        );
        check(
            "--master k8s://h pi.py",
            &Flags::default(),
            &expect![[
                r#"Failure { code: Failed, message: "no backend of type kubernetes is configured for master `k8s://h`", details: [], hint: Some("leave --master out to run it on the gateway's machine, or name a backend with --backend") }"#
            ]],
        );
        let flags = Flags { backend: Some("cluster".to_owned()), ..Flags::default() };
        check(
            "--master yarn pi.py",
            &flags,
            &expect![[r#"
                {
                  "resource": "/home/ada/pi.py",
                  "conf": {
                    "spark.lamplighter.work-dir": "/home/ada",
                    "spark.master": "yarn"
                  },
                  "backend": "cluster"
                }"#]],
        );
    }
}
