// SPDX-License-Identifier: Apache-2.0
//! Copies in a response, from the question or from itself.
//!
//! A model finds any copied text probable: a response that repeats the question, or itself over and
//! over, would be the most probable of all.

use std::collections::HashSet;

/// Letters and digits in a row that make a copy: five words or so. Shorter agreements are a
/// language's usual phrases, or names.
const LENGTH: usize = 24;

/// A part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) text: &'a str,
    /// True if it stood in the question, or earlier in the response.
    pub(super) copied: bool,
}

impl<'a> Segment<'a> {
    pub(super) fn novel(text: &'a str) -> Self {
        Self {
            text,
            copied: false,
        }
    }
}

/// Cuts `response` where copies begin and end. Case, spaces and punctuation make no difference.
/// Together the segments are the response, and none is empty unless it is.
pub(super) fn segments<'a>(question: &str, response: &'a str) -> Vec<Segment<'a>> {
    let asked: Vec<char> = letters(question).map(|letter| letter.lower).collect();
    let letters: Vec<Letter> = letters(response).collect();
    let said: Vec<char> = letters.iter().map(|letter| letter.lower).collect();
    let mut known: HashSet<&[char]> = asked.windows(LENGTH).collect();
    let mut copied = vec![false; said.len()];
    for (start, window) in said.windows(LENGTH).enumerate() {
        if !known.insert(window) {
            copied[start..start + LENGTH].fill(true);
        }
    }
    // Words stay whole: half a word is an improbable token.
    let mut next = 0;
    for word in letters.chunk_by(|a, b| a.end == b.start) {
        let place = next..next + word.len();
        next = place.end;
        // In a language without spaces between words, such a word may be a sentence.
        if word.len() < LENGTH && !copied[place.clone()].iter().all(|&copied| copied) {
            copied[place].fill(false);
        }
    }
    let mut segments = Vec::new();
    let mut start = 0;
    for (letters, copied) in letters.windows(2).zip(copied.windows(2)) {
        if let ([before, after], &[was, is]) = (letters, copied) {
            if was != is {
                // Spaces go with the word that follows them, as in tokens. Other characters in
                // between are no part of the copy.
                let between = &response[before.end..after.start];
                let skipped = if is { between.trim_end().len() } else { 0 };
                let end = before.end + skipped;
                segments.push(Segment {
                    text: &response[start..end],
                    copied: was,
                });
                start = end;
            }
        }
    }
    segments.push(Segment {
        text: &response[start..],
        copied: copied.last().copied().unwrap_or(false),
    });
    segments
}

/// A letter or digit, in lower case, and the bytes where it stands.
struct Letter {
    lower: char,
    start: usize,
    end: usize,
}

fn letters(text: &str) -> impl Iterator<Item = Letter> + '_ {
    let alphanumeric = text.char_indices().filter(|(_, c)| c.is_alphanumeric());
    alphanumeric.map(|(start, c)| Letter {
        // A second character that some letters become tells nothing more.
        lower: c.to_lowercase().next().unwrap_or(c),
        start,
        end: start + c.len_utf8(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn copied(question: &str, response: &str) -> Vec<(String, bool)> {
        let segments = segments(question, response).into_iter();
        segments.map(|s| (s.text.into(), s.copied)).collect()
    }

    const QUESTION: &str = "Why did the old lighthouse keeper leave the island in winter?";

    #[test]
    fn the_question_said_again_is_a_copy_and_what_is_new_is_not() {
        let response = "THE OLD lighthouse-keeper left. Because the old lighthouse keeper leave \
                        the island, \"he\" went.";
        assert_eq!(
            copied(QUESTION, response),
            [
                ("THE OLD lighthouse-keeper".into(), true),
                (" left. Because".into(), false),
                (" the old lighthouse keeper leave the island".into(), true),
                (", \"he\" went.".into(), false),
            ]
        );
        assert_eq!(copied(QUESTION, QUESTION), [(QUESTION.into(), true)]);
    }

    #[test]
    fn only_the_first_time_is_new() {
        let once = "He had run out of oil for the lamp.";
        let often = vec![once; 20].join(" ");
        let (first, rest) = often.split_at(once.len());
        assert_eq!(
            copied(QUESTION, &often),
            [(first.into(), false), (rest.into(), true)]
        );
        // A short word over and over.
        assert_eq!(copied("", &"ha ".repeat(200)).len(), 2);
    }

    #[test]
    fn short_agreements_are_none() {
        for response in ["The capital of France is Paris.", "", "!?", "İİİ", "島"] {
            let whole = [(response.to_owned(), false)];
            assert_eq!(copied("What is the capital of France?", response), whole);
        }
    }

    proptest! {
        #[test]
        fn segments_are_the_response_and_alternate(
            question in "([a-c] ?){0,60}|\\PC{0,80}",
            response in "([a-cİ\\.] ?){0,120}|\\PC{0,80}",
        ) {
            let segments = segments(&question, &response);
            let whole: String = segments.iter().map(|segment| segment.text).collect();
            prop_assert_eq!(whole, response.clone());
            prop_assert!(segments.iter().all(|s| response.is_empty() || !s.text.is_empty()));
            prop_assert!(segments.windows(2).all(|pair| pair[0].copied != pair[1].copied));
        }

        /// A text repeated any number of times is new only once.
        #[test]
        fn repetition_adds_nothing_new(text in "([a-z]{3,9} ){8,12}", times in 2usize..6) {
            let often = vec![text.clone(); times].join("\n");
            let new: usize = segments("", &often)
                .iter()
                .filter(|segment| !segment.copied)
                .map(|segment| segment.text.chars().filter(|c| c.is_alphanumeric()).count())
                .sum();
            prop_assert!(new <= text.chars().filter(|c| c.is_alphanumeric()).count());
        }
    }
}
