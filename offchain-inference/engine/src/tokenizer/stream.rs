// SPDX-License-Identifier: Apache-2.0
//! Detokenisation of a stream of tokens.

use super::{TokenId, Tokenizer};

/// Turns tokens into text as they come. A character that is spread over several tokens appears
/// when it is whole; bytes that can never become UTF-8 appear as U+FFFD.
pub struct TokenStream<'a> {
    tokenizer: &'a Tokenizer,
    pending: Vec<u8>,
    at_start: bool,
}

impl<'a> TokenStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            pending: Vec::new(),
            at_start: true,
        }
    }

    /// The text that `token` completes; empty for control tokens and unfinished characters.
    pub fn push(&mut self, token: TokenId) -> String {
        let start = self.pending.len();
        self.tokenizer.token_bytes(token, &mut self.pending);
        if self.pending.len() > start && std::mem::take(&mut self.at_start) {
            self.tokenizer.strip_space_prefix(&mut self.pending);
        }
        let keep = unfinished_tail(&self.pending);
        let whole = self.pending.len() - keep;
        let tail = self.pending.split_off(whole);
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending = tail;
        text
    }

    /// The rest at the end: U+FFFD for a character that was cut short. Not called if the caller
    /// stops a model in the middle.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// The number of bytes at the end of `bytes` that may still become a character, 0 to 3.
fn unfinished_tail(bytes: &[u8]) -> usize {
    // `error_len` is `None` only when the input ends within a character.
    let mut rest = bytes;
    loop {
        match std::str::from_utf8(rest) {
            Ok(_) => return 0,
            Err(error) => match error.error_len() {
                None => return rest.len() - error.valid_up_to(),
                Some(bad) => rest = rest.get(error.valid_up_to() + bad..).unwrap_or_default(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::unfinished_tail;

    #[test]
    fn only_a_character_that_can_still_be_finished_is_held_back() {
        assert_eq!(unfinished_tail(b"abc"), 0);
        assert_eq!(unfinished_tail(&"🦜".as_bytes()[..3]), 3);
        assert_eq!(unfinished_tail(b"a\xff"), 0);
        assert_eq!(unfinished_tail(b"\xff\xc3"), 1);
        assert_eq!(unfinished_tail(b"\xf0\x9f\xffz"), 0);
    }
}
