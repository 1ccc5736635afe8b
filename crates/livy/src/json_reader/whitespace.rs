//! What stands between tokens, and characters decoded for complaints.

use super::{JsonError, Reader, Result, describe};

impl Reader<'_> {
    /// The next byte, which stays unread.
    pub(super) fn peek(&self) -> Option<u8> {
        self.input.get(self.next).copied()
    }

    /// Reads the next byte.
    pub(super) fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.next += 1;
        Some(byte)
    }

    /// The first byte that is no white space, or nothing at the body's end.
    pub(super) fn skip_blanks_or_end(&mut self) -> Result<Option<u8>> {
        while let Some(byte) = self.take() {
            match byte {
                b' ' | b'\t' => {}
                b'\n' => self.start_line(),
                b'\r' => {
                    if self.peek() == Some(b'\n') {
                        self.next += 1;
                    }
                    self.start_line();
                }
                b'/' => return Err(self.unexpected('/', COMMENT_HINT)),
                control if control < b' ' => return Err(self.illegal_space(control)),
                other => return Ok(Some(other)),
            }
        }
        Ok(None)
    }

    /// The first byte that is no white space, where there must be one.
    pub(super) fn skip_blanks(&mut self) -> Result<u8> {
        let kind = self.kind();
        match self.skip_blanks_or_end()? {
            Some(byte) => Ok(byte),
            None => Err(self.end_of_input(&format!(" within/between {kind} entries"))),
        }
    }

    /// The character that begins with the byte just read.
    pub(super) fn decode_for_error(&mut self, first: u8) -> Result<char> {
        if first.is_ascii() {
            return Ok(char::from(first));
        }
        let start = self.next - 1;
        let bytes = &self.input[start..self.input.len().min(start + 4)];
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        };
        let Some(found) = valid.chars().next() else {
            return Err(self.invalid_utf8(start));
        };
        self.next = start + found.len_utf8();
        Ok(found)
    }

    /// The complaint about the sequence at `start`, which is no UTF-8.
    pub(super) fn invalid_utf8(&mut self, start: usize) -> JsonError {
        let bytes = &self.input[start..self.input.len().min(start + 4)];
        let first = bytes.first().copied().unwrap_or_default();
        let good = match std::str::from_utf8(bytes) {
            Err(error) if error.valid_up_to() == 0 => error.error_len().unwrap_or(bytes.len()),
            _ => 1,
        };
        // A byte that can begin a sequence is not to blame; the first that does not continue it is.
        let (at, which) = match bytes.get(good) {
            Some(_) if (0xc2..0xf5).contains(&first) => (start + good, "middle"),
            _ => (start, "start"),
        };
        let byte = self.input.get(at).copied().unwrap_or_default();
        self.next = at + 1;
        self.error(format!("Invalid UTF-8 {which} byte 0x{byte:x}"))
    }

    fn illegal_space(&self, control: u8) -> JsonError {
        let shown = describe(char::from(control));
        self.error(format!(
            "Illegal character ({shown}): \
             only regular white space (\\r, \\n, \\t) is allowed between tokens"
        ))
    }

    fn start_line(&mut self) {
        self.line += 1;
        self.line_start = self.next;
    }
}

const COMMENT_HINT: &str = "maybe a (non-standard) comment? \
    (not recognized as one since Feature 'ALLOW_COMMENTS' not enabled for parser)";
