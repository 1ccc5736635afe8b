//! The text of a Java properties file, which is how Spark keeps `spark-defaults.conf` and `--properties-file`.
//!
//! [`parse`] follows `java.util.Properties.load` on text decoded as UTF-8, [`serialize`] writes text that it reads
//! back unchanged. Spark does one thing more after loading, and that one loses something: it trims values. Ask
//! [`check_representable`] before trusting a value to a file, and [`as_spark_reads`] what Spark makes of one.

use std::fmt::Write as _;

/// What Java skips before keys and around separators; other spaces of Unicode are ordinary characters.
const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Why a text is no properties file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// `\u` without four hexadecimal digits behind it; Java refuses the whole file.
    #[error("line {line}: `\\u` needs four hexadecimal digits behind it; write a literal backslash twice")]
    MalformedEscape {
        /// Where the logical line starts, from 1.
        line: usize,
    },
    /// Half of a surrogate pair, which is no character on its own.
    #[error("line {line}: a `\\u` escape is half of a surrogate pair; write both halves, or the character itself")]
    LoneSurrogate {
        /// Where the logical line starts, from 1.
        line: usize,
    },
}

/// A value that a properties file would carry to Spark changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("value of `{key}` begins or ends with blanks, which Spark removes from a properties file; remove them")]
pub struct NotRepresentable {
    key: String,
}

/// Reads the pairs of a properties file in the order of the text.
///
/// A key that occurs twice is returned twice; in Java the later one wins. Two things differ from Java, on text
/// that nobody writes on purpose: half a surrogate pair is an error, and a lone backslash at the very end isn't
/// an entry without a name.
///
/// # Errors
/// [`PropertiesError`] names the line of a malformed `\u` escape.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, PropertiesError> {
    logical_lines(text)
        .iter()
        .map(|line| {
            let (key, value) = split_pair(&line.text);
            Ok((unescape(key, line.number)?, unescape(value, line.number)?))
        })
        .collect()
}

/// Writes pairs, one per line, in plain ASCII, so that every reader agrees on them whatever its encoding.
///
/// [`parse`] and Java read back exactly these pairs.
pub fn serialize<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        key.chars().for_each(|c| escape(&mut text, c, " =:#!"));
        text.push('=');
        let leading_blanks = value.len() - value.trim_start_matches(' ').len();
        let (blanks, rest) = value.split_at(leading_blanks);
        blanks.chars().for_each(|c| escape(&mut text, c, " "));
        rest.chars().for_each(|c| escape(&mut text, c, ""));
        text.push('\n');
    }
    text
}

/// What Spark makes of a value after loading it: characters up to the space are removed from both ends, except
/// line breaks, which can only stand there because somebody escaped them.
pub fn as_spark_reads(value: &str) -> &str {
    value.trim_matches(|c| c <= ' ' && c != '\r' && c != '\n')
}

/// Whether a properties file carries `value` to Spark unchanged.
///
/// # Errors
/// [`NotRepresentable`] names the key, never the value.
pub fn check_representable(key: &str, value: &str) -> Result<(), NotRepresentable> {
    if as_spark_reads(value) == value { Ok(()) } else { Err(NotRepresentable { key: key.to_owned() }) }
}

struct LogicalLine {
    number: usize,
    text: String,
}

/// Joins continued lines and drops comments and empty lines; escapes are still in place.
fn logical_lines(text: &str) -> Vec<LogicalLine> {
    let mut lines = Vec::new();
    let mut open: Option<LogicalLine> = None;
    for (index, natural) in natural_lines(text).enumerate() {
        let content = natural.trim_start_matches(BLANKS);
        // A continuation that has collected nothing yet is still the start of a line, where comments count.
        let mut line = match open.take() {
            Some(line) if !line.text.is_empty() => line,
            _ if content.is_empty() || content.starts_with(['#', '!']) => continue,
            _ => LogicalLine { number: index + 1, text: String::new() },
        };
        let backslashes = content.len() - content.trim_end_matches('\\').len();
        let continues = backslashes % 2 == 1;
        line.text.push_str(if continues { &content[..content.len() - 1] } else { content });
        if continues {
            open = Some(line);
        } else {
            lines.push(line);
        }
    }
    lines.extend(open.filter(|line| !line.text.is_empty()));
    lines
}

/// The lines of `text`, ended by `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let Some(end) = current.find(['\n', '\r']) else {
            rest = None;
            return Some(current);
        };
        let (line, tail) = current.split_at(end);
        rest = Some(tail.strip_prefix("\r\n").unwrap_or(&tail[1..]));
        Some(line)
    })
}

/// Splits a logical line at its first separator that isn't escaped: blanks, then at most one `=` or `:`, blanks.
fn split_pair(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let key_end = line.find(|c: char| {
        let separates = !escaped && (matches!(c, '=' | ':') || BLANKS.contains(&c));
        escaped = c == '\\' && !escaped;
        separates
    });
    let (key, rest) = line.split_at(key_end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANKS))
}

fn unescape(raw: &str, line: usize) -> Result<String, PropertiesError> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(backslash) = rest.find('\\') {
        text.push_str(&rest[..backslash]);
        let mut after = rest[backslash + 1..].chars();
        match after.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let (character, behind) = unicode_escape(after.as_str(), line)?;
                text.push(character);
                after = behind.chars();
            }
            Some(other) => text.push(other),
            None => {}
        }
        rest = after.as_str();
    }
    text.push_str(rest);
    Ok(text)
}

/// Reads the digits behind `\u`, and the second escape of a surrogate pair; returns what follows too.
fn unicode_escape(digits: &str, line: usize) -> Result<(char, &str), PropertiesError> {
    let (first, rest) = hex_unit(digits, line)?;
    if let Some(character) = char::from_u32(u32::from(first)) {
        return Ok((character, rest));
    }
    let second = rest.strip_prefix("\\u").ok_or(PropertiesError::LoneSurrogate { line })?;
    let (second, rest) = hex_unit(second, line)?;
    match char::decode_utf16([first, second]).next() {
        Some(Ok(character)) => Ok((character, rest)),
        _ => Err(PropertiesError::LoneSurrogate { line }),
    }
}

fn hex_unit(text: &str, line: usize) -> Result<(u16, &str), PropertiesError> {
    text.split_at_checked(4)
        .filter(|(digits, _)| digits.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|(digits, rest)| Some((u16::from_str_radix(digits, 16).ok()?, rest)))
        .ok_or(PropertiesError::MalformedEscape { line })
}

/// Appends `c`, behind a backslash if it means something to the reader or is one of `special`.
fn escape(text: &mut String, c: char, special: &str) {
    match c {
        '\\' => text.push_str("\\\\"),
        '\t' => text.push_str("\\t"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\u{c}' => text.push_str("\\f"),
        ' '..='~' => {
            if special.contains(c) {
                text.push('\\');
            }
            text.push(c);
        }
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String can't fail.
                let _ = write!(text, "\\u{unit:04X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: &Expect) {
        let shown = match parse(text) {
            Ok(pairs) => pairs.iter().map(|(key, value)| format!("{key:?} -> {value:?}\n")).collect(),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn every_separator_ends_a_key() {
        check(
            "a=1\nb: 2\nc 3\nd\t=\t4\ne = = 5\nf\n",
            &expect![[r#"
                "a" -> "1"
                "b" -> "2"
                "c" -> "3"
                "d" -> "4"
                "e" -> "= 5"
                "f" -> ""
            "#]],
        );
    }

    #[test]
    fn comments_and_empty_lines_are_skipped_whatever_ends_them() {
        check(
            "# one\\\r\n  ! two\r\n\r   \na=1\rb=2#not a comment",
            &expect![[r##"
                "a" -> "1"
                "b" -> "2#not a comment"
            "##]],
        );
    }

    #[test]
    fn a_trailing_backslash_continues_the_line() {
        check(
            "a=1,\\\n   2,\\\r\n\t3\nb=back\\\\\nc=4",
            &expect![[r#"
                "a" -> "1,2,3"
                "b" -> "back\\"
                "c" -> "4"
            "#]],
        );
    }

    #[test]
    fn escapes_are_resolved_in_keys_and_values() {
        check(
            "k\\=\\ 1=\\u00e9\\t\\q\\uD83D\\uDE00",
            &expect![[r#"
                "k= 1" -> "é\tq😀"
            "#]],
        );
    }

    #[test]
    fn malformed_escapes_name_their_line() {
        check(
            "a=1\n\nb=C:\\users",
            &expect!["line 3: `\\u` needs four hexadecimal digits behind it; write a literal backslash twice"],
        );
        check(
            "a=\\uD83Dx",
            &expect!["line 1: a `\\u` escape is half of a surrogate pair; write both halves, or the character itself"],
        );
    }

    #[test]
    fn written_text_is_plain_ascii() {
        let text = serialize([("spark.a b", "  é=#\n"), ("#key", "C:\\x"), ("", "")]);
        expect![[r"
            spark.a\ b=\ \ \u00E9=#\n
            \#key=C:\\x
            =
        "]]
        .assert_eq(&text);
    }

    #[test]
    fn values_that_spark_would_trim_are_named() {
        assert_eq!(as_spark_reads("\t x y \n"), "x y \n");
        assert_eq!(check_representable("spark.a", "x y"), Ok(()));
        let refused = check_representable("spark.app.name", " x").map_err(|error| error.to_string());
        expect![[r#"Err("value of `spark.app.name` begins or ends with blanks, which Spark removes from a properties file; remove them")"#]]
            .assert_eq(&format!("{refused:?}"));
    }
}
