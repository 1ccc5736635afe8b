//! What holds for every application.

use std::collections::BTreeMap;

use model::id::AttemptId;
use model::spark_conf::{SparkConf, is_secret};
use model::spec::ApplicationSpec;
use proptest::prelude::*;
use spark_kubernetes::{check, labels, names};
use uuid::Uuid;

use crate::support::{java, json, objects, placement, properties, python};

/// What no configuration has by chance.
const MARK: &str = "zq7";

/// Keys of every kind that an application can use, and values that can be told again.
fn conf() -> impl Strategy<Value = BTreeMap<String, String>> {
    let families = prop::sample::select(vec![
        "spark.hadoop.",
        "spark.sql.",
        "spark.executorEnv.",
        "spark.kubernetes.driverEnv.",
        "spark.kubernetes.driver.annotation.",
        "spark.kubernetes.executor.label.",
        "spark.driver.",
        "spark.pyspark.",
        "spark.local.",
        "spark.",
    ]);
    let names = prop::sample::select(vec![
        "a",
        "db_password",
        "fs.s3a.secret.key",
        "apiKey",
        "X",
        "python",
        "driver.python",
        "extraJavaOptions",
        "dir",
        "app.name",
        "token",
        "jars",
    ]);
    let values = prop::sample::select(vec!["", "/", "password=", "TOKEN ", "é=:#!\\ ", "s3a://", "$(A)$$"]);
    let entry = (families, names, values, 0_u32..1000);
    let entries = prop::collection::vec(entry, 0..8);
    entries.prop_map(|entries| {
        let entry = |(family, name, value, n): (&str, &str, &str, u32)| {
            (format!("{family}{name}"), format!("{value}{MARK}{n}"))
        };
        entries.into_iter().map(entry).collect()
    })
}

fn application() -> impl Strategy<Value = ApplicationSpec> {
    (conf(), any::<bool>(), prop::collection::vec("[ -~é$]{0,12}", 0..4)).prop_map(|(conf, is_java, args)| {
        let spec = if is_java { java("") } else { python("") };
        ApplicationSpec { conf: SparkConf::from_entries(conf).unwrap(), args, ..spec }
    })
}

proptest! {
    #[test]
    fn names_are_dns_labels_and_lead_back(bits in any::<u128>()) {
        let attempt = AttemptId::new(Uuid::from_u128(bits));
        let all = [
            names::pod_name(attempt),
            names::service_name(attempt),
            names::secret_name(attempt),
            names::config_map_name(attempt),
            names::network_policy_name(attempt),
            format!("{}-exec-{}", names::application_id(attempt), i32::MAX),
        ];
        for name in all {
            prop_assert!(labels::is_dns_label(&name), "{}", name);
        }
        prop_assert_eq!(names::attempt_of(&names::pod_name(attempt)), Some(attempt));
    }

    #[test]
    fn every_text_becomes_a_label(text in "\\PC{0,80}") {
        prop_assert!(labels::is_value(&labels::value(&text)));
    }

    #[test]
    fn what_is_refused_and_what_is_built_agree(spec in application()) {
        let placement = placement("4.1");
        prop_assert_eq!(check(&spec, &placement), objects(&spec, &placement).err().unwrap_or_default());
    }

    /// Secrets are in the Secret and nowhere else.
    #[test]
    fn secrets_stay_secret(spec in application()) {
        let Ok(objects) = objects(&spec, &placement("4.1")) else { return Ok(()) };
        let public = [
            json(&objects.pod).to_string(),
            json(&objects.config_map).to_string(),
            json(&objects.service).to_string(),
            format!("{objects:?}"),
        ];
        let shown = serde_json::Value::from(objects.redacted()).to_string();
        for (key, value) in spec.conf.iter().filter(|(key, value)| is_secret(key) || is_secret(value)) {
            let mark = &value[value.find(MARK).unwrap()..];
            // Another value may have the same number.
            let others = spec.conf.iter().filter(|(other, value)| *other != key && value.contains(mark)).count();
            for text in public.iter().chain([&shown]).filter(|_| others == 0) {
                prop_assert!(!text.contains(mark), "{} in {}", key, text);
            }
        }
    }

    /// What was asked for reaches the driver as it was written, executors' secret variables by reference.
    #[test]
    fn the_driver_reads_what_was_asked(spec in application()) {
        let Ok(objects) = objects(&spec, &placement("4.1")) else { return Ok(()) };
        let read = properties(&objects);
        let secrets = objects.secret.string_data.as_ref().unwrap();
        for (key, value) in spec.conf.iter().filter(|(key, _)| *key != "spark.jars") {
            let referred = key.strip_prefix("spark.executorEnv.").and_then(|name| {
                let reference = read.get(&format!("spark.kubernetes.executor.secretKeyRef.{name}"))?;
                secrets.get(reference.split_once(':')?.1).map(String::as_str)
            });
            prop_assert_eq!(referred.or(read.get(key)), Some(value), "{}", key);
        }
    }

    /// Arguments arrive as they were written although Kubernetes replaces `$(NAME)`.
    #[test]
    fn arguments_are_verbatim(spec in application()) {
        let Ok(objects) = objects(&spec, &placement("4.1")) else { return Ok(()) };
        let pod = json(&objects.pod);
        let args = pod["spec"]["containers"][0]["args"].as_array().unwrap();
        let own: Vec<String> = args.iter().rev().take(spec.args.len()).rev()
            .map(|arg| expanded(arg.as_str().unwrap())).collect();
        prop_assert_eq!(own, spec.args);
    }
}

/// What Kubernetes makes of an argument when no variable is defined: `$$` is a dollar, `$(NAME)` stays.
fn expanded(text: &str) -> String {
    let mut shown = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '$' && chars.peek() == Some(&'$') {
            chars.next();
        } else if c == '$' && chars.peek() == Some(&'(') {
            panic!("{text} refers to a variable");
        }
        shown.push(c);
    }
    shown
}
