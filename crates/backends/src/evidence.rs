//! Finds the line of a failed driver's output that says best why it failed: pure.

/// The longest evidence kept, in bytes.
const EVIDENCE_BYTES_MAX: usize = 2_000;

/// The driver's own last error line, from the ends of its standard error and standard output.
///
/// `spark-submit` lets Python write everything to standard output, tracebacks included, and logs to standard
/// error itself. So in this order: the exception of the last traceback, the exception that ended the Java main
/// thread, what the Java launcher or Spark says before a program starts, and else the last line that is no
/// routine message.
pub(crate) fn evidence(stderr: &str, stdout: &str) -> Option<String> {
    let line = python_exception(stdout)
        .or_else(|| python_exception(stderr))
        .or_else(|| last_line(stderr, |line| line.contains("Exception in thread \"main\" ")))
        .or_else(|| line_before(stderr, "Error: Could not create the Java Virtual Machine."))
        .or_else(|| last_line(stderr, |line| line.starts_with("Error: ")))
        .or_else(|| last_line(stderr, |line| line.contains("java.lang.OutOfMemoryError")))
        .or_else(|| last_line(stderr, is_telling))
        .or_else(|| last_line(stdout, is_telling))?;
    let line = line.trim();
    Some(line[..line.floor_char_boundary(EVIDENCE_BYTES_MAX.min(line.len()))].to_owned())
}

/// The exception of the last traceback: the first line after its frames that isn't indented.
fn python_exception(text: &str) -> Option<&str> {
    let start = text.rfind("Traceback (most recent call last):")?;
    let mut lines = text[start..].lines().skip(1);
    lines.find(|line| !line.is_empty() && !line.starts_with([' ', '\t']))
}

fn last_line(text: &str, wanted: impl Fn(&str) -> bool) -> Option<&str> {
    text.lines().rev().find(|line| wanted(line))
}

fn line_before<'a>(text: &'a str, line: &str) -> Option<&'a str> {
    let mut before = text.lines().rev().skip_while(|other| *other != line);
    before.nth(1)
}

/// Whether this is neither blank, nor a part of a Java stack trace, nor a message below the level of an error.
fn is_telling(line: &str) -> bool {
    let frame = line.trim_start();
    if frame.is_empty() || line.starts_with("WARNING: ") {
        return false;
    }
    if frame.len() < line.len() && (frame.starts_with("at ") || frame.starts_with("... ")) {
        return false;
    }
    // `26/11/21 12:00:00 INFO Name: …`
    let mut words = line.split(' ');
    let dated = |word: Option<&str>, separator| word.is_some_and(|word| word.split(separator).count() == 3);
    let logged = dated(words.next(), '/') && dated(words.next(), ':');
    !(logged && matches!(words.next(), Some("INFO" | "WARN" | "DEBUG" | "TRACE")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;
    use std::fs;
    use std::path::Path;

    fn check(stderr: &str, stdout: &str, expected: &Expect) {
        expected.assert_eq(&evidence(stderr, stdout).unwrap_or_default());
    }

    /// What real drivers of both Spark lines printed before they failed.
    #[test]
    fn real_failures_are_told_in_a_line() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/evidence");
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let told = paths.iter().map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let (stderr, stdout) = text.split_once("== stdout\n").unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let line = evidence(stderr.strip_prefix("== stderr\n").unwrap(), stdout);
            format!("{name}: {}\n", line.as_deref().unwrap_or("-"))
        });
        expect![[r#"
            3.5-executor-memory-misspelt: Exception in thread "main" org.apache.spark.SparkException: Executor memory must be a positive number
            3.5-exit-3: -
            3.5-heap-misspelt: Invalid maximum heap size: -Xmx10x
            3.5-missing-table: pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `nope` cannot be found. Verify the spelling and correctness of the schema and catalog.
            3.5-no-class: Error: Failed to load class examples.Nope.
            3.5-no-jar: Exception in thread "main" org.apache.spark.SparkException: Failed to get main class in JAR with error 'File file:/x/nofile.jar does not exist'.  Please specify one with --class.
            3.5-no-python-file: /home/ada/spark-3.5/bin/python3: can't open file '/home/ada/jobs/nofile.py': [Errno 2] No such file or directory
            3.5-python-fails: KeyError: 'missing column'
            3.5-udf-fails: ValueError: bad row 0
            4-executor-memory-misspelt: Exception in thread "main" org.apache.spark.SparkException: Executor memory must be a positive number
            4-exit-3: -
            4-heap-misspelt: Invalid maximum heap size: -Xmx10x
            4-missing-table: pyspark.errors.exceptions.captured.AnalysisException: [TABLE_OR_VIEW_NOT_FOUND] The table or view `nope` cannot be found. Verify the spelling and correctness of the schema and catalog.
            4-no-class: Error: Failed to load class examples.Nope.
            4-no-jar: Exception in thread "main" org.apache.spark.SparkException: Failed to get main class in JAR with error 'File file:/x/nofile.jar does not exist'.  Please specify one with --class.
            4-no-python-file: /home/ada/spark-4/bin/python3: can't open file '/home/ada/jobs/nofile.py': [Errno 2] No such file or directory
            4-python-fails: KeyError: 'missing column'
            4-udf-fails: ValueError: bad row 0
        "#]].assert_eq(&told.collect::<String>());
    }

    #[test]
    fn a_failure_without_words_gives_the_last_output() {
        check("", "counting\nno input, giving up\n\n", &expect!["no input, giving up"]);
        check("", "", &expect![""]);
        check("26/11/21 12:00:00 INFO ShutdownHookManager: Shutdown hook called\n", "", &expect![""]);
        check(
            "26/11/21 12:00:00 ERROR SparkContext: Error initializing\n\tat a.B.c(D.scala:1)\n",
            "",
            &expect!["26/11/21 12:00:00 ERROR SparkContext: Error initializing"],
        );
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let long = "é".repeat(3_000);
        assert_eq!(evidence(&long, "").map(|line| line.len()), Some(EVIDENCE_BYTES_MAX));
    }

    proptest! {
        #[test]
        fn any_output_is_survived(stderr in any::<String>(), stdout in "(Traceback \\(most recent call last\\):|\n| |x|:)*") {
            let _ = evidence(&stderr, &stdout);
        }
    }
}
