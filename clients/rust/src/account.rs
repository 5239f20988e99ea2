// SPDX-License-Identifier: Apache-2.0
//! Names and addresses of accounts.

use std::str::FromStr;

use sp_core::crypto::{AccountId32, Ss58Codec};
use sp_keyring::Sr25519Keyring;

use crate::{Error, Result};

/// Reads an SS58 address, a public key in hexadecimal, or the name of a development account.
pub fn parse(text: &str) -> Result<AccountId32> {
    if let Some(key) = development(text) {
        return Ok(key.to_account_id());
    }
    text.parse().map_err(|_| {
        Error::Usage(format!(
            "`{text}` is not an account: pass an SS58 address, 32 bytes in hexadecimal, or the \
             name of a development account (alice, bob, …)"
        ))
    })
}

/// The development account of this name.
pub fn development(name: &str) -> Option<Sr25519Keyring> {
    let mut letters = name.chars();
    let first = letters.next()?.to_uppercase();
    let capitalised: String = first.chain(letters.flat_map(char::to_lowercase)).collect();
    Sr25519Keyring::from_str(&capitalised).ok()
}

/// The name of a development account.
pub fn development_name(account: &AccountId32) -> Option<String> {
    Sr25519Keyring::from_account_id(account).map(|key| key.to_string())
}

/// Shortens an address to its beginning and its end.
pub fn short(account: &AccountId32) -> String {
    let address = account.to_ss58check();
    match (
        address.get(..6),
        address.get(address.len().saturating_sub(4)..),
    ) {
        (Some(start), Some(end)) => format!("{start}…{end}"),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

    #[test]
    fn accounts_have_names_addresses_and_keys() {
        let alice = parse(ALICE).unwrap();
        for text in [
            "alice",
            "Alice",
            "ALICE",
            "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
        ] {
            assert_eq!(parse(text).unwrap(), alice, "{text}");
        }
        assert_eq!(development_name(&alice).unwrap(), "Alice");
        assert_eq!(short(&alice), "5Grwva…utQY");
    }

    #[test]
    fn a_text_that_is_not_an_account_is_refused_by_name() {
        for text in [
            "",
            "mallory",
            "0x00",
            "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQX",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }
}
