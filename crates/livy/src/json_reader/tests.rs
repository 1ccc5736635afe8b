use super::*;
use proptest::prelude::*;

/// Reads a whole body and returns the complaint, without its source description.
fn complaint(body: &[u8]) -> Option<String> {
    let mut reader = Reader::new(body);
    let read = reader.root().and_then(|token| token.map_or(Ok(()), |token| reader.skip(&token)));
    let shown = read.err()?.to_string();
    Some(shown.replace("Source: (org.eclipse.jetty.server.HttpInputOverHTTP); ", ""))
}

/// A body, the place of the complaint about it, and its words.
fn check(body: &str, (line, column): (usize, usize), words: &str) {
    let expected = format!("{words}\n at [line: {line}, column: {column}]");
    assert_eq!(complaint(body.as_bytes()), Some(expected), "{body:?}");
}

#[test]
fn complaints_have_jacksons_words_and_places() {
    let values = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
    check("[1,]", (1, 5), "Unexpected character (']' (code 93)): expected a value");
    check(
        "[1 2]",
        (1, 5),
        "Unexpected character ('2' (code 50)): was expecting comma to separate \
         Array entries",
    );
    check("{\"a\"\n:}", (2, 3), "Unexpected character ('}' (code 125)): expected a value");
    check(
        "{\"a\" 1}",
        (1, 7),
        "Unexpected character ('1' (code 49)): was expecting a colon to separate \
         field name and value",
    );
    check(
        "[1}",
        (1, 4),
        "Unexpected close marker '}': expected ']' (for Array starting at [line: 1, \
         column: 1])",
    );
    check(
        "]",
        (1, 2),
        "Unexpected close marker ']': expected '}' (for root starting at [line: 1, \
         column: 0])",
    );
    check("[\"a", (1, 4), "Unexpected end-of-input: was expecting closing quote for a string value");
    check(
        "[\"a\nb\"]",
        (1, 5),
        "Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using \
         backslash to be included in string value",
    );
    check("[\"\\x\"]", (1, 5), "Unrecognized character escape 'x' (code 120)");
    check(
        "[\"\\u00g0\"]",
        (1, 8),
        "Unexpected character ('g' (code 103)): expected a hex-digit for character \
         escape sequence",
    );
    check("[\"\\ud83d\"]", (1, 9), "Unpaired surrogate \\uD83D in character escape sequence");
    check("[01]", (1, 3), "Invalid numeric value: Leading zeroes not allowed");
    check(
        "[-x]",
        (1, 4),
        "Unexpected character ('x' (code 120)): expected digit (0-9) to follow \
         minus sign, for valid numeric value",
    );
    check(
        "[1.]",
        (1, 5),
        "Unexpected character (']' (code 93)) in numeric value: Decimal point not \
         followed by a digit",
    );
    check("[nulL]", (1, 7), &format!("Unrecognized token 'nulL': was expecting {values}"));
    check("[truex]", (1, 8), &format!("Unrecognized token 'truex': was expecting {values}"));
    check("[?]", (1, 3), &format!("Unexpected character ('?' (code 63)): expected a valid value {values}"));
    check(
        "\u{1}",
        (1, 2),
        "Illegal character ((CTRL-CHAR, code 1)): only regular white space (\\r, \
         \\n, \\t) is allowed between tokens",
    );
    check(
        "12a",
        (1, 4),
        "Unexpected character ('a' (code 97)): Expected space separating root-level \
         values",
    );
}

#[test]
fn what_follows_the_value_is_not_looked_at() {
    assert_eq!(complaint(b"[1] garbage"), None);
    assert_eq!(complaint(b"{\"a\":[true,null,-1.5e3]}}"), None);
}

#[test]
fn nesting_ends_at_its_limit() {
    assert_eq!(complaint("[".repeat(1000).as_bytes()).map(|text| text.contains("close marker")), Some(true));
    let deep = complaint("[".repeat(1001).as_bytes());
    assert_eq!(
        deep.as_deref(),
        Some("Depth (1001) exceeds the maximum allowed nesting depth (1000)\n at [line: 1, column: 1002]")
    );
}

#[test]
fn bytes_that_are_no_utf8_are_refused() {
    let cases: [(&[u8], &str); 4] = [
        (b"[\"\xff\"]", "start byte 0xff"),
        (b"[\"\xc3\"]", "middle byte 0x22"),
        (b"[\"\xe2\x82x\"]", "middle byte 0x78"),
        (b"[\"\xed\xa0\x80\"]", "middle byte 0xa0"),
    ];
    for (body, expected) in cases {
        let shown = complaint(body).unwrap_or_default();
        assert!(shown.contains(expected), "{body:?}: {shown}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = complaint(&body);
    }

    #[test]
    fn almost_json_is_read_or_refused(body in r#"([\[\]{}:,"' 0-9eE+.\-\\u\n/]|true|null|é|😀|NaN){0,60}"#) {
        let accepted = complaint(body.as_bytes()).is_none();
        let mut documents = serde_json::Deserializer::from_str(&body).into_iter::<serde::de::IgnoredAny>();
        let by_serde = !matches!(documents.next(), Some(Err(_)));
        // What follows a number that is the whole body is looked at here, and not there.
        let scalar = !matches!(body.trim_start().chars().next(), Some('[' | '{'));
        prop_assert!(accepted == by_serde || scalar, "{body:?}: {accepted} {by_serde}");
    }
}
