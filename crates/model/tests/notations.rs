//! Spark's notations for any input: nothing panics, and what is written is read back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use model::duration::{SparkDuration, TimeUnit};
use model::memory_size::{ByteUnit, MemorySize};
use model::properties;
use model::spark_conf::{self, SparkConf};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;

const BYTE_UNITS: [ByteUnit; 3] = [ByteUnit::Byte, ByteUnit::Mebibyte, ByteUnit::Pebibyte];
const TIME_UNITS: [TimeUnit; 3] = [TimeUnit::Microsecond, TimeUnit::Second, TimeUnit::Day];

/// Text in which the characters that mean something to a properties file are frequent.
fn properties_text() -> impl Strategy<Value = String> {
    let meaningful = prop::sample::select(vec![
        "\\", "\\u", "\\u00e9", "\\uD83D", "\\uDE00", "\n", "\r", " ", "\t", "\u{c}", "=", ":", "#", "!", "é", "😀",
    ]);
    let piece = prop_oneof![3 => meaningful.prop_map(str::to_owned), 1 => any::<String>(), 1 => "[a-z.]{1,5}"];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

fn conf_entries() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("(spark\\.)?[a-z][a-zA-Z.]{0,12}", properties_text(), 0..12)
}

proptest! {
    #[test]
    fn any_text_is_a_size_or_an_error(text in ".*") {
        for unit in BYTE_UNITS {
            let _ = MemorySize::parse(&text, unit);
        }
    }

    #[test]
    fn sizes_are_read_back(bytes in 0..=MemorySize::MAX.bytes()) {
        let size = MemorySize::from_bytes(bytes).unwrap();
        for unit in BYTE_UNITS {
            prop_assert_eq!(MemorySize::parse(&size.to_string(), unit), Ok(size));
        }
    }

    #[test]
    fn sizes_in_any_unit_are_exact_or_refused(
        count: u64,
        suffix in prop::sample::select(vec![("b", 0), ("kb", 1), ("m", 2), ("gb", 3), ("T", 4), ("p", 5)]),
    ) {
        let exact = u128::from(count) << (10 * suffix.1);
        let parsed = MemorySize::parse(&format!("{count}{}", suffix.0), ByteUnit::Byte);
        let expected = (exact <= u128::from(MemorySize::MAX.bytes())).then_some(exact);
        prop_assert_eq!(parsed.ok().map(|size| u128::from(size.bytes())), expected);
    }

    #[test]
    fn any_text_is_a_time_or_an_error(text in ".*") {
        for unit in TIME_UNITS {
            let _ = SparkDuration::parse(&text, unit);
        }
    }

    #[test]
    fn times_are_read_back(micros in 0..=SparkDuration::MAX.micros()) {
        let span = SparkDuration::from_micros(micros).unwrap();
        for unit in TIME_UNITS {
            prop_assert_eq!(SparkDuration::parse(&span.to_string(), unit), Ok(span));
        }
    }

    #[test]
    fn properties_are_read_back(pairs in vec((properties_text(), properties_text()), 0..10)) {
        let text = properties::serialize(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        prop_assert!(text.is_ascii());
        prop_assert_eq!(properties::parse(&text), Ok(pairs));
    }

    #[test]
    fn any_text_is_properties_or_names_a_line_that_exists(text in properties_text()) {
        if let Err(error) = properties::parse(&text) {
            let line = error.to_string();
            let number = line.strip_prefix("line ").and_then(|rest| rest.split(':').next()).unwrap();
            let number: usize = number.parse().unwrap();
            prop_assert!((1..=text.split(['\n', '\r']).count()).contains(&number));
        }
    }

    #[test]
    fn what_is_representable_survives_spark(key in "spark\\.[a-z]{1,8}", value in properties_text()) {
        let text = properties::serialize([(key.as_str(), value.as_str())]);
        let read = SparkConf::from_properties(&text).unwrap();
        let unchanged = read.get(&key) == Some(value.as_str());
        prop_assert_eq!(properties::check_representable(&key, &value).is_ok(), unchanged);
    }

    #[test]
    fn any_text_is_an_assignment_or_an_error(text in ".*") {
        if let Ok((key, value)) = spark_conf::parse_assignment(&text) {
            prop_assert_eq!(format!("{key}={value}"), text);
        }
    }

    #[test]
    fn defaults_give_way_to_the_user(defaults in conf_entries(), user in conf_entries()) {
        let merged = spark_conf::merge_defaults(
            &SparkConf::from_entries(defaults.clone()).unwrap(),
            &SparkConf::from_entries(user.clone()).unwrap(),
        );
        let mut expected = defaults;
        expected.extend(user);
        prop_assert_eq!(merged.unwrap(), SparkConf::from_entries(expected).unwrap());
    }

    #[test]
    fn stored_configurations_are_read_back(entries in conf_entries()) {
        let conf = SparkConf::from_entries(entries).unwrap();
        let stored = serde_json::to_string(&conf).unwrap();
        prop_assert_eq!(serde_json::from_str::<SparkConf>(&stored).unwrap(), conf);
    }

    #[test]
    fn what_is_shown_hides_every_secret(name in "[a-z]{0,4}", word in "([sS]ecret|PASSWORD|[tT]oken|[aA]ccess\\.?[kK]ey|credentials)") {
        let hidden = "c0ffee";
        let by_key = SparkConf::from_entries([(format!("spark.{name}{word}"), hidden)]).unwrap();
        let by_value = SparkConf::from_entries([("spark.opts", format!("-D{word}={hidden}"))]).unwrap();
        let shown = format!("{by_key:?}{by_value:?}");
        prop_assert!(!shown.contains(hidden));
    }
}
