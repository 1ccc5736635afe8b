//! Server-sent events, from bytes to messages.
//!
//! Pure: bytes go in as they arrive, cut anywhere, and whole messages come out. Start with [`Decoder::push`].

use std::collections::VecDeque;

/// Bytes one message may have. A gateway's longest is one piece of a log line; more comes from something else.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One event of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The `event` field; empty when the stream gave none.
    pub(crate) event: String,
    /// The `data` fields, joined by line feeds.
    pub(crate) data: String,
    /// The last `id` seen up to here: where to go on after a lost connection.
    pub(crate) id: Option<String>,
}

/// A message or line larger than [`MESSAGE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of the event stream is larger than {MESSAGE_BYTES_MAX} bytes")]
pub(crate) struct MessageTooLarge;

/// Puts messages together from pieces of the stream.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The line that isn't complete yet.
    line: Vec<u8>,
    /// The byte before was a carriage return, so a line feed now belongs to it.
    after_return: bool,
    /// A byte order mark can only be the very first thing.
    begun: bool,
    event: String,
    data: Option<String>,
    id: Option<String>,
    ready: VecDeque<Message>,
}

impl Decoder {
    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// [`MessageTooLarge`]; the stream is of no use then.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), MessageTooLarge> {
        for &byte in bytes {
            let follows_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if follows_return => {}
                b'\n' | b'\r' => self.end_line()?,
                _ if self.line.len() >= MESSAGE_BYTES_MAX => return Err(MessageTooLarge),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    /// The next whole message, if one has arrived.
    pub(crate) fn next(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) -> Result<(), MessageTooLarge> {
        let bytes = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&bytes);
        let first = !std::mem::replace(&mut self.begun, true);
        let line = if first { text.strip_prefix('\u{feff}').unwrap_or(&text) } else { &text };
        if line.is_empty() {
            self.end_message();
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        self.field(field, value.strip_prefix(' ').unwrap_or(value))
    }

    fn field(&mut self, field: &str, value: &str) -> Result<(), MessageTooLarge> {
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                let data = self.data.get_or_insert_default();
                if data.len() + value.len() >= MESSAGE_BYTES_MAX {
                    return Err(MessageTooLarge);
                }
                data.push_str(value);
                data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // Comments (an empty field name), `retry` and what later servers may add.
            _ => {}
        }
        Ok(())
    }

    fn end_message(&mut self) {
        let event = std::mem::take(&mut self.event);
        // Without data nothing is dispatched, only the id is kept.
        if let Some(mut data) = self.data.take() {
            data.pop();
            self.ready.push_back(Message { event, data, id: self.id.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn decode(pieces: &[&[u8]]) -> Vec<Message> {
        let mut decoder = Decoder::default();
        for piece in pieces {
            decoder.push(piece).unwrap();
        }
        std::iter::from_fn(|| decoder.next()).collect()
    }

    fn check(stream: &str, expected: &Expect) {
        let shown: String = decode(&[stream.as_bytes()])
            .into_iter()
            .map(|m| format!("{:?} {:?} {:?}\n", m.event, m.data, m.id))
            .collect();
        expected.assert_eq(&shown);
    }

    #[test]
    fn fields_make_messages() {
        check(
            "\u{feff}event: log\ndata: {\"a\":1}\nid: 7\n\ndata:x\ndata\ndata:  y\n\n",
            &expect![[r#"
                "log" "{\"a\":1}" Some("7")
                "" "x\n\n y" Some("7")
            "#]],
        );
    }

    #[test]
    fn comments_unknown_fields_and_unfinished_messages_are_nothing() {
        check(": heartbeat\n\nretry: 5\nwhat: ever\n\nid: 9\n\ndata: cut off", &expect![""]);
        check(
            "id: 9\n\nid: 1\0\ndata: a\n\n",
            &expect![[r#"
            "" "a" Some("9")
        "#]],
        );
    }

    #[test]
    fn every_line_end_counts() {
        check(
            "data: a\r\n\r\ndata: b\r\rdata: c\n\n",
            &expect![[r#"
            "" "a" None
            "" "b" None
            "" "c" None
        "#]],
        );
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut decoder = Decoder::default();
        let piece = vec![b'x'; MESSAGE_BYTES_MAX];
        assert_eq!(decoder.push(&piece), Ok(()));
        assert_eq!(decoder.push(b"x"), Err(MessageTooLarge));
    }

    #[test]
    fn data_lines_together_are_bounded() {
        let mut decoder = Decoder::default();
        let line = [b"data:".as_slice(), &vec![b'x'; MESSAGE_BYTES_MAX / 2], b"\n"].concat();
        assert_eq!(decoder.push(&line), Ok(()));
        assert_eq!(decoder.push(&line), Err(MessageTooLarge));
    }

    /// Streams with all that matters to the decoder, and arbitrary bytes between.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"data: ".to_vec()),
            Just(b"id: ".to_vec()),
            Just(b"event:".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just("\u{feff}é€".as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_does_not_matter(
            stream in stream(),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
        ) {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            at.extend([0, stream.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &stream[ends[0]..ends[1]]).collect();
            prop_assert_eq!(decode(&pieces), decode(&[&stream]));
        }

        #[test]
        fn what_is_sent_arrives(messages in proptest::collection::vec(("[a-z]{0,5}", "[^\r]{0,20}", "[a-z0-9]{1,4}"), 0..8)) {
            let mut text = String::new();
            for (event, data, id) in &messages {
                text.push_str(&format!("event: {event}\nid: {id}\n"));
                for line in data.split('\n') {
                    text.push_str(&format!("data: {line}\n"));
                }
                text.push('\n');
            }
            let expected: Vec<Message> = messages
                .into_iter()
                .map(|(event, data, id)| Message { event, data, id: Some(id) })
                .collect();
            prop_assert_eq!(decode(&[text.as_bytes()]), expected);
        }
    }
}
