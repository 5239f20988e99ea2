// SPDX-License-Identifier: Apache-2.0
//! API keys. The gateway keeps their hashes alone.

use sha2::{Digest, Sha256};

/// A new API key and its hash.
pub struct NewKey {
    /// The key, for the caller.
    pub key: String,
    /// The SHA-256 of the key in hexadecimal, for `gateway.toml`.
    pub sha256: String,
}

/// Makes a key of 32 random bytes. Fails if the system has no randomness.
pub fn generate() -> std::io::Result<NewKey> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(std::io::Error::from)?;
    let key = format!("sk-starling-{}", hex(&bytes));
    let sha256 = hash(&[key.as_bytes()]);
    Ok(NewKey { key, sha256 })
}

/// The key in a header `Authorization: Bearer KEY`.
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, key) = header.split_once(' ')?;
    Some(key.trim()).filter(|key| scheme.eq_ignore_ascii_case("bearer") && !key.is_empty())
}

/// The SHA-256 of parts with their lengths before them, in hexadecimal. One part has no length, so
/// that the hash of a key is the one that `sha256sum` prints.
pub fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        if parts.len() > 1 {
            hasher.update((part.len() as u64).to_le_bytes());
        }
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a hexadecimal text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_known_by_its_hash_and_no_key_comes_twice() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one.key, two.key);
        assert_eq!(hash(&[one.key.as_bytes()]), one.sha256);
        assert_eq!(one.key.len(), "sk-starling-".len() + 64);
    }

    #[test]
    fn hashes_are_those_of_other_programs() {
        let known = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!(hash(&[b"test"]), known);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }

    #[test]
    fn bearer_keys_are_read() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for other in ["", "abc", "Basic abc", "Bearer "] {
            assert_eq!(bearer(other), None);
        }
    }

    #[test]
    fn hexadecimal_is_read_again() {
        assert_eq!(unhex(&hex(&[0, 15, 255])), Some(vec![0, 15, 255]));
        assert_eq!((unhex("0"), unhex("zz"), unhex("é")), (None, None, None));
    }
}
