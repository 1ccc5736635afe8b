//! Finds the line of a failed driver's output that says best why it failed: pure.

/// The longest evidence kept, in bytes.
const EVIDENCE_BYTES_MAX: usize = 2_000;

/// The driver's own last error line, from the ends of its standard error and standard output.
///
/// In this order: the exception at the end of the last Python traceback, the exception that ended the Java main
/// thread, what Spark itself says before it starts a program, and else the last line that is no routine message.
pub(super) fn evidence(stderr: &str, stdout: &str) -> Option<String> {
    let line = python_exception(stderr)
        .or_else(|| last_line_with(stderr, "Exception in thread \"main\" "))
        .or_else(|| last_line_starting(stderr, "Error: "))
        .or_else(|| last_line_with(stderr, "java.lang.OutOfMemoryError"))
        .or_else(|| last_telling_line(stderr))
        .or_else(|| last_telling_line(stdout))?;
    let line = line.trim();
    Some(line[..line.floor_char_boundary(EVIDENCE_BYTES_MAX.min(line.len()))].to_owned())
}

/// The exception of the last traceback: the first line after its frames that isn't indented.
fn python_exception(text: &str) -> Option<&str> {
    let start = text.rfind("Traceback (most recent call last):")?;
    let mut lines = text[start..].lines().skip(1);
    lines.find(|line| !line.is_empty() && !line.starts_with([' ', '\t']))
}

fn last_line_with<'a>(text: &'a str, part: &str) -> Option<&'a str> {
    text.lines().rev().find(|line| line.contains(part))
}

fn last_line_starting<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines().rev().find(|line| line.starts_with(start))
}

fn last_telling_line(text: &str) -> Option<&str> {
    text.lines().rev().find(|line| !line.trim().is_empty() && !is_routine(line))
}

/// Whether this is a message of Spark's log below the level of an error, or a part of a Java stack trace.
fn is_routine(line: &str) -> bool {
    let frame = line.trim_start();
    if frame.len() < line.len() && (frame.starts_with("at ") || frame.starts_with("... ")) {
        return true;
    }
    // `26/11/21 12:00:00 INFO Name: …`
    let mut words = line.split(' ');
    let dated = |word: Option<&str>, separator| word.is_some_and(|word| word.split(separator).count() == 3);
    dated(words.next(), '/') && dated(words.next(), ':') && matches!(words.next(), Some("INFO" | "WARN" | "DEBUG" | "TRACE"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(stderr: &str, stdout: &str, expected: Expect) {
        expected.assert_eq(&evidence(stderr, stdout).unwrap_or_default());
    }

    #[test]
    fn a_failure_without_words_gives_the_last_output() {
        check("", "counting\nno input, giving up\n\n", expect!["no input, giving up"]);
        check("", "", expect![""]);
        check("26/11/21 12:00:00 INFO ShutdownHookManager: Shutdown hook called\n", "", expect![""]);
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let long = "é".repeat(3_000);
        assert_eq!(evidence(&long, "").map(|line| line.len()), Some(EVIDENCE_BYTES_MAX));
    }
}
