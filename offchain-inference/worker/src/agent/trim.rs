// SPDX-License-Identifier: Apache-2.0

//! Shortens a text.

use crate::config::Trim;

/// Applies `trim`, and removes white space at both ends in any case.
pub fn apply(trim: &Trim, text: &str) -> String {
    let mut text = text.trim();
    if trim.paragraph {
        text = text.split("\n\n").next().unwrap_or(text).trim_end();
    }
    if let Some(max) = trim.max_bytes {
        text = text.get(..text.floor_char_boundary(max)).unwrap_or(text);
    }
    if trim.sentences {
        text = whole_sentences(text);
    }
    text.trim_end().to_owned()
}

/// Cuts `text` after its last whole sentence; returns all of it if no sentence in it ends.
fn whole_sentences(text: &str) -> &str {
    let mut end = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let ends = match c {
            // Closes the quotation or parenthesis of the sentence.
            '"' | '”' | ')' => end == Some(at),
            // A dot in a number or a name ends no sentence.
            '.' | '!' | '?' | '…' => {
                let next = chars.peek().map(|(_, c)| *c);
                next.is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '”' | ')'))
            },
            '。' | '！' | '？' | '\n' => true,
            _ => false,
        };
        if ends {
            end = Some(at + c.len_utf8());
        }
    }
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sentences(text: &str) -> String {
        let trim = Trim {
            sentences: true,
            ..Trim::default()
        };
        apply(&trim, text)
    }

    #[test]
    fn an_unfinished_sentence_goes() {
        assert_eq!(sentences(" One. Two! And thr"), "One. Two!");
        assert_eq!(sentences("It is 3.14 or so. Or 2.7"), "It is 3.14 or so.");
        assert_eq!(sentences("He said \"no.\" And the"), "He said \"no.\"");
        assert_eq!(sentences("no end at all"), "no end at all");
        assert_eq!(sentences("- one\n- two\n- th"), "- one\n- two");
    }

    #[test]
    fn paragraphs_and_bytes_are_cut() {
        let trim = Trim {
            paragraph: true,
            sentences: false,
            max_bytes: Some(4),
        };
        assert_eq!(apply(&trim, "\n\nabé def\n\nmore"), "abé");
    }

    proptest! {
        #[test]
        fn trimming_twice_is_trimming_once(text in ".{0,60}", paragraph: bool, sentences: bool, max in 0usize..40) {
            let trim = Trim { paragraph, sentences, max_bytes: Some(max) };
            let once = apply(&trim, &text);
            prop_assert!(once.len() <= max);
            prop_assert!(text.contains(&once));
            prop_assert_eq!(apply(&trim, &once), once.clone());
        }
    }
}
