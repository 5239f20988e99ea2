// SPDX-License-Identifier: Apache-2.0
//! Texts from strangers, made safe for a terminal.

/// Replaces every character that a terminal would act on or that would reorder the text: control
/// characters and Unicode's marks of direction. Line breaks and tabs stay.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control() || is_direction(c) => '\u{fffd}',
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

/// A number with `singular` or `plural` after it.
pub fn count(number: u32, singular: &str, plural: &str) -> String {
    format!("{number} {}", if number == 1 { singular } else { plural })
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_a_terminal_acts_on_are_replaced() {
        assert_eq!(
            printable("a\u{1b}[2Jb\r\u{202e}c\n\td"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\n\td"
        );
    }

    #[test]
    fn an_excerpt_is_one_line_of_bounded_width() {
        assert_eq!(excerpt("  one\n two  ", 20), "one two");
        assert_eq!(excerpt("one two three", 8), "one two…");
        assert_eq!(excerpt("ééééé", 3), "éé…");
        assert_eq!(excerpt("", 3), "");
    }
}
