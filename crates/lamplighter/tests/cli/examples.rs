//! `alias spark-submit='lamplighter submit'`: Spark's own examples, side by side with the real spark-submit.

use std::path::Path;
use std::process::{Command, Stdio};

use testkit::environment::{SPARK_4, SPARK_35, is_fast, needed};

use super::gateway::{Gateway, done};

/// What both are given behind `--master local[2]`; WORDS and NUMBERS are files, all others are taken as they are.
const LINES: [&str; 4] =
    ["pi.py 1", "wordcount.py WORDS", "--conf spark.app.name=sorted sort.py NUMBERS", "wordcount.py"];

fn compare(test: &str, variable: &str, lines: &[&str]) {
    let Some(home) = needed(test, variable) else { return };
    let gateway = Gateway::with_spark(&home);
    let words = gateway.file("words.txt", "to be or not to be that is the question\n");
    let numbers = gateway.file("numbers.txt", "3 1 2\n10 -5\n");
    let examples = home.join("examples/src/main/python");
    for line in lines {
        let args = arguments(line, &examples, &words, &numbers);
        let mut bare = Command::new(home.join("bin/spark-submit"));
        bare.args(&args).current_dir(gateway.desk()).stdin(Stdio::null()).env("SPARK_HOME", &home);
        let bare = done(&mut bare);
        let ours: Vec<&str> = std::iter::once("submit").chain(args.iter().map(String::as_str)).collect();
        let ours = gateway.run_args(&ours);
        assert_eq!(ours.code, bare.code, "{line}: {ours:?} {bare:?}");
        assert_eq!(settled(&ours.stdout), settled(&bare.stdout), "{line}: {ours:?} {bare:?}");
    }
}

fn arguments(line: &str, examples: &Path, words: &Path, numbers: &Path) -> Vec<String> {
    let told = format!("--master local[2] {line}");
    let place = |word: &str| match word {
        "WORDS" => words.display().to_string(),
        "NUMBERS" => numbers.display().to_string(),
        program if program.ends_with(".py") => examples.join(program).display().to_string(),
        other => other.to_owned(),
    };
    told.split(' ').map(place).collect()
}

/// Without what differs between any two runs: the digits of a pi that was guessed.
fn settled(stdout: &str) -> String {
    let settle = |line: &str| match line.split_once("roughly 3.") {
        Some((before, _)) => format!("{before}roughly 3\n"),
        None => format!("{line}\n"),
    };
    stdout.lines().map(settle).collect()
}

#[test]
fn examples_of_spark_4_behave_as_without_a_gateway() {
    let wanted = if is_fast() { 1 } else { LINES.len() };
    compare("examples_of_spark_4_behave_as_without_a_gateway", SPARK_4, &LINES[..wanted]);
}

#[test]
fn examples_of_spark_3_5_behave_as_without_a_gateway() {
    compare("examples_of_spark_3_5_behave_as_without_a_gateway", SPARK_35, &LINES[2..]);
}
