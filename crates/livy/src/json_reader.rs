//! A streaming JSON reader that accepts and refuses what Livy's does, in the same words.
//!
//! Livy reads bodies with Jackson 2.15, whose messages and positions clients see in 400 answers. No Rust
//! parser says them, and a general one would not stop at the end of the first value, keep the text of
//! numbers or accept a byte order mark. Reading is lazy in the same places as Jackson's, because that decides
//! which of two mistakes is reported: a field's name comes with the first token of its value, numbers and
//! words are read whole, the text of a string waits for [`Reader::text`].
//!
//! Start with [`Reader::root`], then [`Reader::next_field`] and [`Reader::next_element`].

mod scalar;
mod whitespace;

use std::fmt;

/// Deepest nesting, as Jackson's `StreamReadConstraints`.
const DEPTH_MAX: usize = 1000;

/// A place in the body: 1-based line, and column in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    line: usize,
    column: usize,
}

impl Location {
    /// Jackson's place of a token before there was one.
    pub(crate) const NOWHERE: Self = Self { line: 1, column: 0 };
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column } = self;
        write!(f, "[Source: (org.eclipse.jetty.server.HttpInputOverHTTP); line: {line}, column: {column}]")
    }
}

/// What is wrong with a body, in Jackson's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    message: String,
    at: Location,
    /// The fields and positions that led there, innermost first.
    chain: Vec<String>,
}

impl JsonError {
    pub(crate) fn new(message: impl Into<String>, at: Location) -> Self {
        Self { message: message.into(), at, chain: Vec::new() }
    }

    /// Notes that the value at `reference` was being read.
    pub(crate) fn within(mut self, reference: impl Into<String>) -> Self {
        self.chain.push(reference.into());
        self
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n at {}", self.message, self.at)?;
        for (position, reference) in self.chain.iter().rev().enumerate() {
            let lead = if position == 0 { " (through reference chain: " } else { "->" };
            write!(f, "{lead}{reference}")?;
        }
        f.write_str(if self.chain.is_empty() { "" } else { ")" })
    }
}

pub(crate) type Result<T> = std::result::Result<T, JsonError>;

/// The beginning of a value, or all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    StartObject,
    StartArray,
    /// The text follows, see [`Reader::text`].
    String,
    /// A number as it was written.
    Integer(String),
    /// A number with a point or an exponent, as it was written.
    Float(String),
    Bool(bool),
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Root,
    Object,
    Array,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Object => "Object",
            Self::Array => "Array",
        })
    }
}

/// An object or array that is not closed yet.
struct Open {
    kind: Kind,
    at: Location,
    has_entries: bool,
}

/// Reads one value from a body.
pub(crate) struct Reader<'a> {
    input: &'a [u8],
    /// Index of the next byte.
    next: usize,
    line: usize,
    line_start: usize,
    token_at: Location,
    open: Vec<Open>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        // A byte order mark is skipped, yet counts as three columns.
        let next = if input.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { input, next, line: 1, line_start: 0, token_at: Location::NOWHERE, open: Vec::new() }
    }

    /// Where the next byte is.
    pub(crate) fn here(&self) -> Location {
        Location { line: self.line, column: self.next - self.line_start + 1 }
    }

    /// Where the last token began.
    pub(crate) fn token_at(&self) -> Location {
        self.token_at
    }

    /// The beginning of the body's value, or nothing when there is none.
    pub(crate) fn root(&mut self) -> Result<Option<Token>> {
        match self.skip_blanks_or_end()? {
            Some(byte) => self.value(byte).map(Some),
            None => Ok(None),
        }
    }

    /// Inside an object: the next field's name and the beginning of its value; nothing at the object's end.
    pub(crate) fn next_field(&mut self) -> Result<Option<(String, Token)>> {
        let Some(byte) = self.next_entry()? else {
            return Ok(None);
        };
        if byte != b'"' {
            let found = self.decode_for_error(byte)?;
            return Err(self.unexpected(found, "was expecting double-quote to start field name"));
        }
        let name = self.name()?;
        let byte = self.skip_blanks()?;
        if byte != b':' {
            return Err(self.unexpected(char::from(byte), "was expecting a colon to separate field name and value"));
        }
        let byte = self.skip_blanks()?;
        Ok(Some((name, self.value(byte)?)))
    }

    /// Inside an array: the beginning of the next element; nothing at the array's end.
    pub(crate) fn next_element(&mut self) -> Result<Option<Token>> {
        match self.next_entry()? {
            Some(byte) => self.value(byte).map(Some),
            None => Ok(None),
        }
    }

    /// Reads to the end of a value that nobody wants.
    pub(crate) fn skip(&mut self, beginning: &Token) -> Result<()> {
        if *beginning == Token::String {
            self.text()?;
        }
        if !matches!(beginning, Token::StartObject | Token::StartArray) {
            return Ok(());
        }
        let outside = self.open.len() - 1;
        while self.open.len() > outside {
            let token = match self.kind() {
                Kind::Object => self.next_field()?.map(|(_, token)| token),
                Kind::Array | Kind::Root => self.next_element()?,
            };
            if token == Some(Token::String) {
                self.text()?;
            }
        }
        Ok(())
    }

    fn kind(&self) -> Kind {
        self.open.last().map_or(Kind::Root, |open| open.kind)
    }

    /// The first byte of the next entry of what is open, behind its comma; nothing at the end, which closes it.
    fn next_entry(&mut self) -> Result<Option<u8>> {
        let Some(byte) = self.skip_blanks_or_end()? else {
            return Err(self.unclosed());
        };
        if matches!(byte, b']' | b'}') {
            self.close(byte)?;
            return Ok(None);
        }
        let kind = self.kind();
        let had_entries = self.open.last_mut().map(|open| std::mem::replace(&mut open.has_entries, true));
        if had_entries != Some(true) {
            return Ok(Some(byte));
        }
        if byte != b',' {
            let hint = format!("was expecting comma to separate {kind} entries");
            return Err(self.unexpected(char::from(byte), &hint));
        }
        self.skip_blanks().map(Some)
    }

    fn close(&mut self, byte: u8) -> Result<()> {
        let closed = if byte == b']' { Kind::Array } else { Kind::Object };
        if self.kind() != closed {
            return Err(self.wrong_close(byte));
        }
        self.open.pop();
        Ok(())
    }

    fn wrong_close(&self, byte: u8) -> JsonError {
        let (found, kind) = (char::from(byte), self.kind());
        let expected = if byte == b']' { '}' } else { ']' };
        let start = self.open.last().map_or(Location::NOWHERE, |open| open.at);
        self.error(format!("Unexpected close marker '{found}': expected '{expected}' (for {kind} starting at {start})"))
    }

    /// The value that begins with `byte`, which was just read.
    fn value(&mut self, byte: u8) -> Result<Token> {
        self.token_at = Location { line: self.line, column: self.next - self.line_start };
        match byte {
            b'"' => Ok(Token::String),
            b'{' => self.enter(Kind::Object),
            b'[' => self.enter(Kind::Array),
            b't' => self.word("true").map(|()| Token::Bool(true)),
            b'f' => self.word("false").map(|()| Token::Bool(false)),
            b'n' => self.word("null").map(|()| Token::Null),
            b'-' | b'0'..=b'9' => self.number(),
            b']' | b'}' if self.kind() == Kind::Root => Err(self.wrong_close(byte)),
            _ => Err(self.unexpected_value(byte)),
        }
    }

    fn enter(&mut self, kind: Kind) -> Result<Token> {
        let depth = self.open.len() + 1;
        if depth > DEPTH_MAX {
            let message = format!("Depth ({depth}) exceeds the maximum allowed nesting depth ({DEPTH_MAX})");
            return Err(self.error(message));
        }
        self.open.push(Open { kind, at: self.token_at, has_entries: false });
        Ok(if kind == Kind::Object { Token::StartObject } else { Token::StartArray })
    }

    fn error(&self, message: impl Into<String>) -> JsonError {
        JsonError::new(message, self.here())
    }

    fn unclosed(&self) -> JsonError {
        let kind = self.kind();
        let start = self.open.last().map_or(Location::NOWHERE, |open| open.at);
        self.error(format!("Unexpected end-of-input: expected close marker for {kind} (start marker at {start})"))
    }

    fn end_of_input(&self, place: &str) -> JsonError {
        self.error(format!("Unexpected end-of-input{place}"))
    }

    fn unexpected(&self, found: char, hint: &str) -> JsonError {
        self.error(format!("Unexpected character ({}): {hint}", describe(found)))
    }
}

/// A character as Jackson shows it, without the brackets around.
fn describe(found: char) -> String {
    match u32::from(found) {
        code if found.is_control() => format!("(CTRL-CHAR, code {code})"),
        code if code > 255 => format!("'{found}' (code {code} / 0x{code:x})"),
        code => format!("'{found}' (code {code})"),
    }
}

#[cfg(test)]
mod tests;
