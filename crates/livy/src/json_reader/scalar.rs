//! Words, numbers and text.

use super::{JsonError, Kind, Reader, Result, Token, describe};

/// Longest text and longest number in bytes, as Jackson's `StreamReadConstraints`.
const TEXT_MAX: usize = 20_000_000;
const NUMBER_MAX: usize = 1000;
/// Longest part of an unknown word that is shown.
const SHOWN_WORD_MAX: usize = 256;

const VALUES: &str = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";

/// What a text is, for complaints about it.
#[derive(Clone, Copy)]
enum Text {
    Name,
    Value,
}

impl Text {
    fn unclosed(self) -> &'static str {
        match self {
            Self::Name => " in field name",
            Self::Value => ": was expecting closing quote for a string value",
        }
    }

    fn called(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Value => "string value",
        }
    }
}

impl Reader<'_> {
    /// The text of a [`Token::String`], to be called once.
    pub(crate) fn text(&mut self) -> Result<String> {
        self.quoted(Text::Value)
    }

    pub(super) fn name(&mut self) -> Result<String> {
        self.quoted(Text::Name)
    }

    /// The rest of `true`, `false`, `null` and their like, whose first letter was read.
    pub(super) fn word(&mut self, word: &str) -> Result<()> {
        for (index, expected) in word.bytes().enumerate().skip(1) {
            if self.peek() != Some(expected) {
                return Err(self.unknown_word(&word[..index]));
            }
            self.next += 1;
        }
        match self.peek() {
            Some(byte) if is_word_part(char::from(byte)) => Err(self.unknown_word(word)),
            _ => Ok(()),
        }
    }

    /// The number whose first byte was read.
    pub(super) fn number(&mut self) -> Result<Token> {
        let start = self.next - 1;
        let mut first = self.input[start];
        if first == b'-' {
            first = self.take().ok_or_else(|| self.end_of_input(" in a Number value"))?;
            if !first.is_ascii_digit() {
                let hint = "expected digit (0-9) to follow minus sign, for valid numeric value";
                return Err(self.unexpected(char::from(first), hint));
            }
        }
        if first == b'0' && self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.error("Invalid numeric value: Leading zeroes not allowed"));
        }
        self.digits();
        let fraction = self.fraction()?;
        let exponent = self.exponent()?;
        self.end_number()?;
        let length = self.next - start;
        if length > NUMBER_MAX {
            return Err(self.error(format!("Number length ({length}) exceeds the maximum length ({NUMBER_MAX})")));
        }
        let text = String::from_utf8_lossy(&self.input[start..self.next]).into_owned();
        Ok(if fraction || exponent { Token::Float(text) } else { Token::Integer(text) })
    }

    fn digits(&mut self) -> usize {
        let rest = &self.input[self.next..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.next += count;
        count
    }

    fn fraction(&mut self) -> Result<bool> {
        if self.peek() != Some(b'.') {
            return Ok(false);
        }
        self.next += 1;
        self.digits_must_follow("Decimal point not followed by a digit")
    }

    fn exponent(&mut self) -> Result<bool> {
        if !matches!(self.peek(), Some(b'e' | b'E')) {
            return Ok(false);
        }
        self.next += 1;
        if matches!(self.peek(), Some(b'+' | b'-')) {
            self.next += 1;
        }
        self.digits_must_follow("Exponent indicator not followed by a digit")
    }

    fn digits_must_follow(&mut self, complaint: &str) -> Result<bool> {
        if self.digits() > 0 {
            return Ok(true);
        }
        match self.take() {
            None => Err(self.end_of_input(" in a Number value")),
            Some(byte) => {
                let shown = describe(char::from(byte));
                Err(self.error(format!("Unexpected character ({shown}) in numeric value: {complaint}")))
            }
        }
    }

    /// A number that is the whole body must be followed by white space.
    fn end_number(&mut self) -> Result<()> {
        match self.peek() {
            Some(byte) if self.kind() == Kind::Root && !byte.is_ascii_whitespace() => {
                self.next += 1;
                Err(self.unexpected(char::from(byte), "Expected space separating root-level values"))
            }
            _ => Ok(()),
        }
    }

    /// The complaint about a byte that begins no value.
    pub(super) fn unexpected_value(&mut self, byte: u8) -> JsonError {
        let found = char::from(byte);
        match byte {
            b'}' | b',' => self.unexpected(found, "expected a value"),
            b']' if self.kind() == Kind::Array => self.unexpected(found, "expected a value"),
            b'N' => self.non_standard("NaN"),
            b'I' => self.non_standard("Infinity"),
            b'+' => self.error(format!(
                "Unexpected character ({}) in numeric value: JSON spec does not allow numbers to have plus signs: \
                 enable `JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS` to allow",
                describe(found)
            )),
            _ if found.is_alphabetic() || matches!(found, '_' | '$') => self.unknown_word(&found.to_string()),
            _ => self.unexpected(found, &format!("expected a valid value {VALUES}")),
        }
    }

    fn non_standard(&mut self, word: &str) -> JsonError {
        match self.word(word) {
            Err(error) => error,
            Ok(()) => self.error(format!(
                "Non-standard token '{word}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
            )),
        }
    }

    /// The complaint about a word that begins with `read`, which reads the rest of it and one character more.
    fn unknown_word(&mut self, read: &str) -> JsonError {
        let mut word = read.to_owned();
        while let Some(byte) = self.take() {
            let found = match self.decode_for_error(byte) {
                Ok(found) => found,
                Err(error) => return error,
            };
            if !is_word_part(found) {
                break;
            }
            word.push(found);
            if word.len() >= SHOWN_WORD_MAX {
                word.push_str("...");
                break;
            }
        }
        self.error(format!("Unrecognized token '{word}': was expecting {VALUES}"))
    }

    /// A text whose opening quote was read.
    fn quoted(&mut self, what: Text) -> Result<String> {
        let mut text = String::new();
        loop {
            self.plain_text(&mut text)?;
            if text.len() > TEXT_MAX {
                let length = text.len();
                return Err(self.error(format!("String length ({length}) exceeds the maximum length ({TEXT_MAX})")));
            }
            match self.take() {
                Some(b'"') => return Ok(text),
                Some(b'\\') => text.push(self.escaped()?),
                Some(control) => {
                    let (shown, called) = (describe(char::from(control)), what.called());
                    return Err(self.error(format!(
                        "Illegal unquoted character ({shown}): \
                         has to be escaped using backslash to be included in {called}"
                    )));
                }
                None => return Err(self.end_of_input(what.unclosed())),
            }
        }
    }

    /// Reads up to a quote, an escape, a control character or the body's end.
    fn plain_text(&mut self, text: &mut String) -> Result<()> {
        let rest = &self.input[self.next..];
        let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
        let length = rest.iter().take_while(is_plain).count();
        match std::str::from_utf8(&rest[..length]) {
            Ok(plain) => text.push_str(plain),
            Err(error) => return Err(self.invalid_utf8(self.next + error.valid_up_to())),
        }
        self.next += length;
        Ok(())
    }

    /// The character of an escape whose backslash was read.
    fn escaped(&mut self) -> Result<char> {
        let byte = self.take().ok_or_else(|| self.end_of_input(" in character escape sequence"))?;
        Ok(match byte {
            b'"' | b'/' | b'\\' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            other => {
                let found = self.decode_for_error(other)?;
                return Err(self.error(format!("Unrecognized character escape {}", describe(found))));
            }
        })
    }

    /// One `\uXXXX` or a surrogate pair of two, behind the first `\u`.
    ///
    /// Java's strings can hold half a pair; a file name or an argument can't, so that is refused.
    fn unicode_escape(&mut self) -> Result<char> {
        let unit = self.code_unit()?;
        let mut units = vec![unit];
        if (0xd800..0xdc00).contains(&unit) && self.input[self.next..].starts_with(b"\\u") {
            self.next += 2;
            units.push(self.code_unit()?);
        }
        match char::decode_utf16(units).next() {
            Some(Ok(decoded)) => Ok(decoded),
            _ => Err(self.error(format!("Unpaired surrogate \\u{unit:04X} in character escape sequence"))),
        }
    }

    fn code_unit(&mut self) -> Result<u16> {
        let mut unit = 0;
        for _ in 0..4 {
            let byte = self.take().ok_or_else(|| self.end_of_input(" in character escape sequence"))?;
            let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
            let Some(digit) = digit else {
                let hint = "expected a hex-digit for character escape sequence";
                return Err(self.unexpected(char::from(byte), hint));
            };
            unit = unit * 16 + digit;
        }
        Ok(unit)
    }
}

/// Java's idea of a character that can stand in an identifier.
fn is_word_part(found: char) -> bool {
    found.is_alphanumeric() || matches!(found, '_' | '$' | '\u{0}'..='\u{8}' | '\u{e}'..='\u{1b}' | '\u{7f}'..='\u{9f}')
}
