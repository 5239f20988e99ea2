// SPDX-License-Identifier: Apache-2.0
//! The key of an agent's off-chain worker.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sp_application_crypto::Pair as _;
use sp_core::{crypto::AccountId32, sr25519};
use starling_primitives::{
    crypto::InferencePair, messages::ownership_payload, InferenceKey, InferenceSignature, H256,
    INFERENCE,
};

use crate::{secret_uri, Error, Result};

/// An inference key with its secret.
pub struct Secret {
    uri: String,
    pair: InferencePair,
}

impl Secret {
    /// Generates a key from the system's randomness, with a phrase of twelve words.
    pub fn generate() -> Self {
        let (pair, phrase, _) = sr25519::Pair::generate_with_phrase(None);
        Self {
            uri: phrase,
            pair: pair.into(),
        }
    }

    /// The key of a secret URI: a phrase, or a seed in hexadecimal, with derivations.
    pub fn from_uri(uri: &str) -> Result<Self> {
        let uri = secret_uri::read(uri)?;
        // The library's error repeats what it was given.
        let pair = sr25519::Pair::from_string(&uri, None).map_err(|_| secret_uri::invalid(&uri))?;
        Ok(Self {
            uri,
            pair: pair.into(),
        })
    }

    /// The secret URI of the key.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The public half.
    pub fn public(&self) -> InferenceKey {
        self.pair.public()
    }

    /// Proves that the key's owner assigns it to `account` on the chain with this genesis.
    pub fn prove(&self, genesis: H256, account: &AccountId32) -> InferenceSignature {
        self.pair.sign(&ownership_payload(genesis, account))
    }

    /// Writes the key into the keystore of a node, readable by its owner alone. A running node
    /// finds it there. Returns the path of the file.
    pub fn insert(&self, keystore: &Path) -> Result<PathBuf> {
        fs::create_dir_all(keystore).map_err(Error::io(keystore.display()))?;
        let path = keystore.join(file_name(&self.public()));
        let secret =
            serde_json::to_string(&self.uri).map_err(|error| Error::Protocol(error.to_string()))?;
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| {
                file.write_all(secret.as_bytes())?;
                file.sync_all()
            })
            .map_err(Error::io(path.display()))?;
        Ok(path)
    }
}

/// The name of a key's file in a keystore: key type and public key in hexadecimal.
fn file_name(key: &InferenceKey) -> String {
    let bytes: &[u8] = key.as_ref();
    INFERENCE
        .0
        .iter()
        .chain(bytes)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use starling_primitives::messages::verify_ownership;

    #[test]
    fn the_proof_is_for_one_account_of_one_chain() {
        let secret = Secret::generate();
        let (genesis, account) = (H256::repeat_byte(1), AccountId32::new([2; 32]));
        let proof = secret.prove(genesis, &account);
        let fits = |genesis, account| verify_ownership(&secret.public(), genesis, account, &proof);
        assert!(fits(genesis, &account));
        assert!(!fits(H256::repeat_byte(3), &account));
        assert!(!fits(genesis, &AccountId32::new([3; 32])));
    }

    #[test]
    fn a_generated_phrase_gives_the_key_again() {
        let secret = Secret::generate();
        let again = Secret::from_uri(secret.uri()).unwrap();
        assert_eq!(again.public(), secret.public());
        assert_eq!(secret.uri().split_whitespace().count(), 12);
    }

    #[test]
    fn a_keystore_gets_the_file_that_a_node_expects() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let secret = Secret::from_uri("//Alice").unwrap();
        let path = secret.insert(&folder.path().join("keystore")).unwrap();
        assert_eq!(
            path.file_name().unwrap().to_str().unwrap(),
            "696e6672d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "\"//Alice\"");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_text_that_is_not_a_secret_is_refused() {
        assert!(Secret::from_uri("only four short words").is_err());
    }
}
