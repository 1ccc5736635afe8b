//! JSON as Livy's server writes it.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// The bytes of a value: no blanks, upper-case hexadecimal in escapes, characters beyond the Basic
/// Multilingual Plane as two escapes (`\uD83D\uDE00`), every other one raw.
///
/// For the types of this crate, which always serialise; the bytes of one that doesn't end where it failed.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    let _fails_only_in_the_value = value.serialize(&mut Serializer::with_formatter(&mut bytes, LivyFormatter));
    bytes
}

struct LivyFormatter;

impl Formatter for LivyFormatter {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| c > '\u{ffff}') {
            let (plain, beyond) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = beyond.chars();
            for unit in chars.next().into_iter().collect::<String>().encode_utf16() {
                write!(writer, "\\u{unit:04X}")?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: io::Write + ?Sized>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let short: &[u8] = match escape {
            CharEscape::Quote => b"\\\"",
            CharEscape::ReverseSolidus => b"\\\\",
            CharEscape::Solidus => b"/",
            CharEscape::Backspace => b"\\b",
            CharEscape::FormFeed => b"\\f",
            CharEscape::LineFeed => b"\\n",
            CharEscape::CarriageReturn => b"\\r",
            CharEscape::Tab => b"\\t",
            CharEscape::AsciiControl(byte) => return write!(writer, "\\u{byte:04X}"),
        };
        writer.write_all(short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_escaped_as_livy_does() {
        let written = to_json("a\"\\/\n\u{1b}\u{7f}\u{2028}naïve ☃ 😀!");
        assert_eq!(String::from_utf8_lossy(&written), "\"a\\\"\\\\/\\n\\u001B\u{7f}\u{2028}naïve ☃ \\uD83D\\uDE00!\"");
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text in any::<String>()) {
            let read: Option<String> = serde_json::from_slice(&to_json(&text)).ok();
            prop_assert_eq!(read, Some(text));
        }
    }
}
