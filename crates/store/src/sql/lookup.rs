//! What stands in an index for a text of any length and spelling.

use model::principal::Owner;
use sha2::{Digest, Sha256};

/// Texts up to this length stand for themselves.
const WHOLE_BYTES: usize = 64;
/// Bytes of a digest: enough that nobody can find two texts with the same one.
const DIGEST_BYTES: usize = 16;

/// A digest of several texts that belong together.
pub(crate) type TextDigest = [u8; DIGEST_BYTES];

/// The key of a name or an external id. Short texts are their own keys; of a long one a digest stands for the rest.
/// Similar texts get neighbouring keys, which keeps what is accepted together on few pages of the index.
pub(crate) fn lookup_key(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    if bytes.len() <= WHOLE_BYTES {
        return bytes.to_vec();
    }
    // One byte longer than any text that stands for itself, so the two never meet.
    [&bytes[..=WHOLE_BYTES - DIGEST_BYTES], &digest(&[text])].concat()
}

/// The key of an idempotency key: those of different owners never meet.
pub(crate) fn key_of_owner(owner: &Owner, key: &str) -> TextDigest {
    digest(&[owner.user.as_str(), owner.tenant.as_str(), key])
}

/// The digest of `parts`; lengths go in too, so that no two lists of parts look alike.
fn digest(parts: &[&str]) -> TextDigest {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part.as_bytes());
    }
    let mut short = [0; DIGEST_BYTES];
    short.copy_from_slice(&sha.finalize()[..DIGEST_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn different_texts_have_different_keys_of_bounded_length() {
        let mut texts: Vec<_> = (0..130).map(|length| "a".repeat(length)).collect();
        texts.extend((0..130).map(|length| format!("{}b", "a".repeat(length))));
        texts.push("é".repeat(40));
        let keys: BTreeSet<_> = texts.iter().map(|text| lookup_key(text)).collect();
        assert_eq!(keys.len(), texts.iter().collect::<BTreeSet<_>>().len());
        assert!(keys.iter().all(|key| key.len() <= WHOLE_BYTES + 1));
        let long = "a".repeat(100);
        let forged = lookup_key(&long);
        assert!(
            String::from_utf8(forged).is_err() || lookup_key(&long).len() > WHOLE_BYTES,
            "no text can be another's key"
        );
    }

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_ne!(digest(&["ab"]), digest(&["ab", ""]));
    }
}
