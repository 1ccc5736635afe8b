//! URIs as `java.net.URI` reads them, as far as paths of files need it.
//!
//! Livy puts every file through that class, and its complaints reach the client. Only what decides is
//! kept: scheme, decoded path, fragment.

/// A parsed URI reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uri<'a> {
    /// The scheme, as written.
    pub(crate) scheme: Option<&'a str>,
    /// The path, as written. For an opaque URI (`file:x.py`) what stands before the fragment.
    pub(crate) raw_path: &'a str,
}

/// The complaint of `java.net.URISyntaxException`, class name included.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("java.net.URISyntaxException: {reason} at index {index}: {input}")]
pub(crate) struct UriError {
    reason: String,
    index: usize,
    input: String,
}

const PATH_MARKS: &str = "_-!.~'()*:@&=+$,;/";
const URIC_MARKS: &str = "_-!.~'()*:@&=+$,;/?[]";

impl<'a> Uri<'a> {
    /// Reads a URI reference; paths without a scheme are references too.
    pub(crate) fn parse(input: &'a str) -> Result<Self, UriError> {
        let scheme_end = input.find(['/', '?', '#', ':']).filter(|at| input[*at..].starts_with(':'));
        let (scheme, start) = match scheme_end {
            Some(end) => {
                check_scheme(input, end)?;
                (Some(&input[..end]), end + 1)
            }
            None => (None, 0),
        };
        let fragment = input[start..].find('#').map_or(input.len(), |at| start + at);
        if fragment < input.len() {
            check_chars(input, fragment + 1, input.len(), URIC_MARKS, "fragment")?;
        }
        if scheme.is_some() && !input[start..].starts_with('/') {
            if fragment == start {
                return Err(error(input, "Expected scheme-specific part", start));
            }
            check_chars(input, start, fragment, URIC_MARKS, "opaque part")?;
            return Ok(Self { scheme, raw_path: &input[start..fragment] });
        }
        let path = skip_authority(input, start, fragment)?;
        let query = input[path..fragment].find('?').map_or(fragment, |at| path + at);
        check_chars(input, path, query, PATH_MARKS, "path")?;
        check_chars(input, query, fragment, URIC_MARKS, "query")?;
        Ok(Self { scheme, raw_path: &input[path..query] })
    }

    /// The path with its `%XX` resolved; bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn path(&self) -> String {
        let mut bytes = Vec::with_capacity(self.raw_path.len());
        let mut rest = self.raw_path.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            let escaped = (byte == b'%').then(|| after.get(..2)).flatten().and_then(hex_byte);
            bytes.push(escaped.unwrap_or(byte));
            rest = if escaped.is_some() { &after[2..] } else { after };
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn hex_byte(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match pair {
        [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
        _ => None,
    }
}

fn check_scheme(input: &str, end: usize) -> Result<(), UriError> {
    if end == 0 {
        return Err(error(input, "Expected scheme name", 0));
    }
    let legal = |at: usize, c: char| {
        c.is_ascii_alphabetic() || (at > 0 && (c.is_ascii_digit() || matches!(c, '+' | '-' | '.')))
    };
    match input[..end].char_indices().find(|(at, c)| !legal(*at, *c)) {
        Some((at, _)) => Err(error(input, "Illegal character in scheme name", at)),
        None => Ok(()),
    }
}

/// Where the path begins, behind `//host`. An empty authority may stand before a path only.
fn skip_authority(input: &str, start: usize, fragment: usize) -> Result<usize, UriError> {
    if !input[start..fragment].starts_with("//") {
        return Ok(start);
    }
    let authority = start + 2;
    let end = input[authority..fragment].find(['/', '?']).map_or(fragment, |at| authority + at);
    if end == authority && end == input.len() {
        return Err(error(input, "Expected authority", authority));
    }
    check_chars(input, authority, end, URIC_MARKS, "authority")?;
    Ok(end)
}

/// Every character must be a letter, a digit, one of `marks`, an escape, or beyond ASCII and printable.
fn check_chars(input: &str, from: usize, to: usize, marks: &str, part: &str) -> Result<(), UriError> {
    let mut chars = input[from..to].char_indices();
    while let Some((at, c)) = chars.next() {
        let at = from + at;
        let legal = match c {
            '%' if input.as_bytes().get(at + 1..at + 3).and_then(hex_byte).is_none() => {
                return Err(error(input, "Malformed escape pair", at));
            }
            '%' => chars.nth(1).is_some(),
            c if c.is_ascii() => c.is_ascii_alphanumeric() || marks.contains(c) || (c == '?' && part == "query"),
            c => !c.is_control() && !c.is_whitespace(),
        };
        if !legal {
            return Err(error(input, &format!("Illegal character in {part}"), at));
        }
    }
    Ok(())
}

/// Java counts UTF-16 units.
fn error(input: &str, reason: &str, at: usize) -> UriError {
    UriError { reason: reason.to_owned(), index: input[..at].encode_utf16().count(), input: input.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scheme_and_path_are_found() {
        let check = |text: &str, scheme: Option<&str>, path: &str| {
            let uri = Uri::parse(text).unwrap();
            assert_eq!((uri.scheme, uri.path().as_str()), (scheme, path), "{text}");
        };
        check("/a/b.py", None, "/a/b.py");
        check("file:///a/b.py", Some("file"), "/a/b.py");
        check("file:/a/b%20c.py#alias", Some("file"), "/a/b c.py");
        check("s3a://bucket/x.py?v=1", Some("s3a"), "/x.py");
        check("file:x.py", Some("file"), "x.py");
        check("12", None, "12");
        check("/é/☃", None, "/é/☃");
    }

    #[test]
    fn complaints_are_javas() {
        let check = |text: &str, reason: &str, index: usize| {
            let expected = format!("java.net.URISyntaxException: {reason} at index {index}: {text}");
            assert_eq!(Uri::parse(text).unwrap_err().to_string(), expected);
        };
        check("bad uri with blanks.py", "Illegal character in path", 3);
        check("/é{x}", "Illegal character in path", 2);
        check("/a%zz", "Malformed escape pair", 2);
        check("/a%", "Malformed escape pair", 2);
        check(":x", "Expected scheme name", 0);
        check("1s:/x", "Illegal character in scheme name", 0);
        check("file:", "Expected scheme-specific part", 5);
        check("file://", "Expected authority", 7);
        check("/a#b c", "Illegal character in fragment", 4);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z:/?#%é0-9 .\\[\\]]{0,20}|.{0,20}") {
            if let Ok(uri) = Uri::parse(&text) {
                prop_assert!(text.contains(uri.raw_path));
                let _ = uri.path();
            }
        }
    }
}
