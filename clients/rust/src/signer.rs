// SPDX-License-Identifier: Apache-2.0
//! The signer of a transaction.

use std::path::Path;

use serde_json::Value;
use subxt_signer::{sr25519::Keypair, SecretUri};

use crate::{account, secret_uri, Error, Result};

/// Reads the key of a secret URI: a phrase or a seed in hexadecimal, with derivations, as in
/// `//Alice` or `phrase//hard/soft///password`.
pub fn from_uri(uri: &str) -> Result<Keypair> {
    let uri = secret_uri::read(uri)?;
    let bad = || secret_uri::invalid(&uri);
    let parsed: SecretUri = uri.parse().map_err(|_| bad())?;
    Keypair::from_uri(&parsed).map_err(|_| bad())
}

/// The development account of this name.
pub fn development(name: &str) -> Result<Keypair> {
    let key = account::development(name).ok_or_else(|| {
        Error::Usage(format!(
            "`{name}` is not a development account; they are alice, bob, charlie, dave, eve, \
             ferdie, one and two"
        ))
    })?;
    from_uri(&format!("//{key}"))
}

/// Reads the key in a file: an entry of a keystore (a secret URI as a JSON string), or a secret URI
/// as plain text.
pub fn from_file(path: &Path) -> Result<Keypair> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path.display()))?;
    match serde_json::from_str(&text) {
        Ok(Value::Object(_)) => Err(Error::Usage(format!(
            "{} is an encrypted export of a wallet; use the account's phrase instead",
            path.display()
        ))),
        _ => from_uri(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn alice() -> [u8; 32] {
        development("alice").unwrap().public_key().0
    }

    #[test]
    fn seeds_phrases_and_names_give_the_same_key() {
        let phrase = "bottom drive obey lake curtain smoke basket hold race lonely fit walk//Alice";
        let seed = "0xe5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a";
        for uri in ["//Alice", phrase, seed] {
            assert_eq!(from_uri(uri).unwrap().public_key().0, alice());
        }
    }

    #[test]
    fn keystore_entries_and_plain_files_are_read() {
        for text in ["\"//Alice\"", "//Alice\n"] {
            let file = file(text);
            let key = from_file(file.path()).unwrap();
            assert_eq!(key.public_key().0, alice());
        }
    }

    #[test]
    fn a_file_without_a_key_is_refused_without_repeating_it() {
        for text in [
            "{}",
            r#"{"encoded": "aGk="}"#,
            "not a secret phrase",
            "0x12",
        ] {
            let file = file(text);
            let error = from_file(file.path()).unwrap_err();
            assert!(!error.to_string().contains("secret phrase"), "{error}");
        }
        assert!(development("mallory").is_err());
    }
}
