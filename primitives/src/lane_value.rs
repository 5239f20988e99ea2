// SPDX-License-Identifier: Apache-2.0
//! A response of a lane as the bytes that a member seals.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use codec::Encode;

use crate::sealing::{max_bytes, padded_len, unpad};

/// The longest response of a lane, in bytes. A seal of sixteen members with it fits a message.
const MOST: u32 = 16 << 10;

/// The bytes of a response, with zeros up to one of a few lengths: the length of a ciphertext is
/// seen before its text. A longer text is cut.
pub fn response(text: &str, max_tokens: u32) -> Vec<u8> {
    let most = max_bytes(max_tokens, MOST);
    let longest = usize::try_from(most).unwrap_or(usize::MAX);
    let text = text
        .get(..text.floor_char_boundary(longest))
        .unwrap_or(text);
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut bytes = len.encode();
    bytes.extend_from_slice(text.as_bytes());
    let padded = usize::try_from(padded_len(len, most)).unwrap_or(bytes.len());
    bytes.resize(padded.max(bytes.len()), 0);
    bytes
}

/// The text of a response; `None` if it is empty, too long, no text, or padded with anything but
/// zeros.
pub fn text(bytes: &[u8], max_tokens: u32) -> Option<String> {
    let text = unpad(bytes)?;
    let most = usize::try_from(max_bytes(max_tokens, MOST)).ok()?;
    let is_good = !text.is_empty() && text.len() <= most;
    let text = is_good.then(|| core::str::from_utf8(text).ok()).flatten()?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_response_is_cut_at_a_letter() {
        let long = "ä".repeat(60);
        assert_eq!(text(&response(&long, 1), 1), Some("ä".repeat(32)));
        assert_eq!(text(&response("", 1), 1), None);
    }

    proptest! {
        #[test]
        fn a_response_comes_back_and_its_length_says_little(given in "[a-z ]{1,300}") {
            let bytes = response(&given, 64);
            prop_assert_eq!(text(&bytes, 64), Some(given.clone()));
            prop_assert!(bytes.len() == 517 || bytes.len().is_power_of_two());
        }

        #[test]
        fn no_bytes_are_a_surprise(bytes: Vec<u8>) {
            if let Some(text) = text(&bytes, 8) {
                prop_assert!(!text.is_empty() && text.len() <= 64);
            }
        }
    }
}
