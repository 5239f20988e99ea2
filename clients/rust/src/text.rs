// SPDX-License-Identifier: Apache-2.0
//! Texts from strangers, made safe for a terminal.

use icu_properties::{props::GeneralCategory, CodePointMapData};
use starling_primitives::chat::Chat;

/// Replaces every character that a terminal would act on, that would reorder the text or that
/// would hide in it. Line breaks and tabs stay, and so do the joiners of emoji and of Persian.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' | '\u{200c}' | '\u{200d}' => c,
            c if is_invisible(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// The beginning of a text on one line, at most `width` characters long.
pub fn excerpt(text: &str, width: usize) -> String {
    let line = printable(text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    if line.chars().count() <= width {
        return line;
    }
    let cut: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

/// The question of a prompt: the last turn of a conversation.
pub fn question(prompt: &str) -> String {
    let chat = Chat::read(prompt).ok().flatten();
    let last = chat.and_then(|chat| chat.into_turns().pop());
    last.map_or_else(|| prompt.to_owned(), |turn| turn.text)
}

/// A number with `singular` or `plural` after it.
pub fn count(number: u32, singular: &str, plural: &str) -> String {
    format!("{number} {}", if number == 1 { singular } else { plural })
}

/// Whether Unicode calls a character a control, a format, or a separator of lines or paragraphs.
/// All marks of direction are formats.
fn is_invisible(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(
        category,
        Control | Format | LineSeparator | ParagraphSeparator
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_of_a_conversation_is_its_last_turn() {
        let list = r#"[["user","One?"],["assistant","1"],["user","Two?"]]"#;
        let chat = format!("{}{list}", starling_primitives::chat::MARKER);
        assert_eq!(question(&chat), "Two?");
        for other in ["Why?", list] {
            assert_eq!(question(other), other);
        }
    }

    #[test]
    fn characters_that_a_terminal_acts_on_are_replaced() {
        assert_eq!(
            printable("a\u{1b}[2Jb\r\u{202e}c\n\td"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\n\td"
        );
    }

    #[test]
    fn no_mark_of_direction_and_no_hidden_character_is_left() {
        use icu_properties::{props::BidiControl, CodePointSetData};
        let marks = CodePointSetData::new::<BidiControl>();
        let mut seen = 0;
        for c in char::MIN..=char::MAX {
            if marks.contains(c) {
                seen += 1;
                assert_eq!(printable(&c.to_string()), "\u{fffd}", "{c:?}");
            }
        }
        assert_eq!(seen, 12);
        for hidden in ["\u{2028}", "\u{2029}", "\u{e0041}", "\u{feff}", "\u{ad}"] {
            assert_eq!(printable(hidden), "\u{fffd}", "{hidden:?}");
        }
        let family = "👩\u{200d}👧";
        assert_eq!(printable(family), family);
    }

    #[test]
    fn an_excerpt_is_one_line_of_bounded_width() {
        assert_eq!(excerpt("  one\n two  ", 20), "one two");
        assert_eq!(excerpt("one two three", 8), "one two…");
        assert_eq!(excerpt("ééééé", 3), "éé…");
        assert_eq!(excerpt("", 3), "");
    }
}
