// SPDX-License-Identifier: Apache-2.0
//! Guesses by prompt lookup: a text often repeats what it said before (Saxena 2023).

use crate::tokenizer::TokenId;

/// The most tokens of the end of a text that are looked for earlier in it.
const LONGEST: usize = 4;

/// The tokens that followed the last earlier occurrence of the end of `tokens`, at most `most`. The
/// longest end that occurs counts, if it has at least `least` tokens.
pub(super) fn lookup(tokens: &[TokenId], least: usize, most: usize) -> &[TokenId] {
    if most == 0 {
        return &[];
    }
    for length in (least.max(1)..=LONGEST).rev() {
        let Some((before, end)) = tokens.split_at_checked(tokens.len().saturating_sub(length))
        else {
            continue;
        };
        if end.len() < length || before.is_empty() {
            continue;
        }
        // An occurrence may overlap the end, as in a text that repeats itself.
        let all_but_last = tokens.get(..tokens.len() - 1).unwrap_or_default();
        let found = all_but_last
            .windows(length)
            .rposition(|window| window == end);
        if let Some(start) = found {
            let follows = tokens.get(start + length..).unwrap_or_default();
            return follows.get(..most.min(follows.len())).unwrap_or_default();
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::lookup;

    #[test]
    fn what_followed_the_longest_end_is_guessed() {
        let tokens = [1, 2, 3, 9, 7, 3, 8, 1, 2, 3];
        assert_eq!(lookup(&tokens, 1, 2), [9, 7]);
        assert_eq!(lookup(&tokens, 1, 100), [9, 7, 3, 8, 1, 2, 3]);
        assert_eq!(lookup(&tokens, 1, 0), [0u32; 0]);
    }

    #[test]
    fn the_last_occurrence_counts_and_may_touch_the_end() {
        assert_eq!(lookup(&[5, 1, 5, 2, 5], 1, 1), [2]);
        assert_eq!(lookup(&[4, 4, 4], 1, 3), [4]);
    }

    #[test]
    fn an_end_that_is_too_short_does_not_count() {
        let tokens = [1, 2, 3, 9, 7, 2, 3];
        assert_eq!(lookup(&tokens, 2, 1), [9]);
        assert_eq!(lookup(&tokens, 3, 1), [0u32; 0]);
    }

    #[test]
    fn a_text_without_repetition_gives_no_guess() {
        assert_eq!(lookup(&[], 1, 4), [0u32; 0]);
        assert_eq!(lookup(&[1], 1, 4), [0u32; 0]);
        assert_eq!(lookup(&[1, 2, 3], 1, 4), [0u32; 0]);
    }
}
