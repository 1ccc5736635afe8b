//! Places in the list of applications, as opaque text that is safe in a URL.

use model::id::ApplicationId;
use model::time::Timestamp;

/// A place in the list of applications: right after this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListCursor {
    /// When the last application seen was accepted.
    pub accepted_at: Timestamp,
    /// Its id.
    pub id: ApplicationId,
}

/// Text that no list of ours gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a cursor of this list; take `next_cursor` of the page before as it is")]
pub struct InvalidCursor;

/// Begins every cursor, so that a later format can be told apart.
const FORMAT: &str = "a1";

impl ListCursor {
    /// The text for `next_cursor`.
    pub fn encode(&self) -> String {
        format!("{FORMAT}.{:x}.{}", self.accepted_at.as_millis(), self.id)
    }

    /// Reads what [`ListCursor::encode`] wrote.
    ///
    /// # Errors
    /// [`InvalidCursor`] for anything else.
    pub fn decode(text: &str) -> Result<Self, InvalidCursor> {
        let mut parts = text.splitn(3, '.');
        let (Some(FORMAT), Some(millis), Some(id)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidCursor);
        };
        let cursor = Self {
            accepted_at: Timestamp::from_millis(i64::from_str_radix(millis, 16).map_err(|_| InvalidCursor)?),
            id: id.parse().map_err(|_| InvalidCursor)?,
        };
        // One spelling per place: `+1f` or upper case were not written by us.
        if cursor.encode() == text { Ok(cursor) } else { Err(InvalidCursor) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_place_comes_back(millis in 0_i64.., number in 0..=ApplicationId::MAX_NUMBER) {
            let id = ApplicationId::new(model::id::ApplicationKind::Batch, number).unwrap();
            let cursor = ListCursor { accepted_at: Timestamp::from_millis(millis), id };
            let text = cursor.encode();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b)), "{text}");
            prop_assert_eq!(ListCursor::decode(&text), Ok(cursor));
        }

        #[test]
        fn no_text_is_trouble(text in ".*") {
            if let Ok(cursor) = ListCursor::decode(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }
    }
}
