// SPDX-License-Identifier: Apache-2.0

//! The passages of a text: paragraphs, joined where they are short and cut where they are long.

/// Longest passage, in bytes. An embedding model reads about as much of a text.
pub const LONGEST: usize = 600;

/// Passages of at most [`LONGEST`] bytes, without white space at their ends. Together they have all
/// words of the text. A heading of Markdown begins a new one.
pub fn split(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    let mut passages: Vec<String> = vec![];
    let mut open = String::new();
    for paragraph in text.split("\n\n") {
        for piece in pieces(paragraph.trim()) {
            let together = open.len().saturating_add(piece.len()).saturating_add(1);
            if together > LONGEST || piece.starts_with('#') {
                passages.push(std::mem::take(&mut open));
            }
            if !open.is_empty() {
                open.push('\n');
            }
            open.push_str(piece);
        }
    }
    passages.push(open);
    passages.retain(|passage| !passage.is_empty());
    passages
}

/// The parts of a paragraph of at most [`LONGEST`] bytes each.
fn pieces(paragraph: &str) -> Vec<&str> {
    let mut pieces = vec![];
    let mut rest = paragraph;
    while rest.len() > LONGEST {
        let most = rest
            .get(..rest.floor_char_boundary(LONGEST))
            .unwrap_or(rest);
        let (piece, after) = rest.split_at(end(most));
        pieces.push(piece.trim_end());
        rest = after.trim_start();
    }
    pieces.push(rest);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// The best place to end a piece: behind a sentence, else between two words, else at its end.
fn end(most: &str) -> usize {
    let behind = |place: usize| place.saturating_add(1);
    let sentence = most.rfind(". ").or_else(|| most.rfind('\n'));
    let place = sentence
        .or_else(|| most.rfind(' '))
        .filter(|place| *place > 0);
    place.map_or(most.len(), behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_paragraphs_are_joined_and_headings_begin_anew() {
        assert_eq!(split(""), [""; 0]);
        assert_eq!(split(" \n\n\t\n"), [""; 0]);
        assert_eq!(
            split("one\r\n\r\ntwo\n\n# Three\n\nfour"),
            ["one\ntwo", "# Three\nfour"]
        );
        let sentence = "It is so. ".repeat(100);
        let passages = split(&sentence);
        assert!(passages.iter().all(|passage| passage.ends_with("so.")));
        assert_eq!(passages.len(), 2);
        assert_eq!(split(&"x".repeat(1_300)).len(), 3);
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_passage_is_long(text in "([a-zé]{1,9}[ \n.]{1,3}){0,400}") {
            let passages = split(&text);
            prop_assert!(passages.iter().all(|passage| (1..=LONGEST).contains(&passage.len())));
            let all: Vec<&str> = text.split_whitespace().collect();
            let joined = passages.join(" ");
            let found: Vec<&str> = joined.split_whitespace().collect();
            prop_assert_eq!(all, found);
        }
    }
}
