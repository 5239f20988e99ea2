// SPDX-License-Identifier: Apache-2.0
//! The answer key of a response: responses with one key give the same answer.
//!
//! The key is what a text says behind its last marker, without the differences of writers: case,
//! punctuation at the ends, and grouping of digits. A text without a clear answer has no key.
//!
//! The runtime has no tables of Unicode, so that letters beyond ASCII stay as they are. Letters
//! that look alike, such as the Latin and the Cyrillic a, make different keys. An author that
//! writes them loses the votes of others, and takes none.

use alloc::{string::String, vec::Vec};

use codec::Encode;
use sp_core::H256;
use sp_io::hashing::blake2_256;

const DOMAIN: &[u8] = b"starling/answer-key";

/// The version of the format. It is part of every hash, so that keys of two versions never meet.
pub const VERSION: u8 = 1;

/// The maximum length of a key in bytes.
pub const MAX_BYTES: usize = 64;

/// The answer stands behind the last of them, in any case of letters.
const MARKERS: [&str; 3] = ["answer:", "the answer is", BOX];

/// The marker of LaTeX. The answer ends with the brace that closes it.
const BOX: &str = "\\boxed{";

/// Marks that mean nothing at the ends of an answer. Signs that change a value, such as `-`, `%`
/// and `#`, are not among them.
const MARKS: &str = ".,;:!?'\"`*_$()[]{}|\\";

/// An answer key: 1 to [`MAX_BYTES`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// The key of a response. `None` if it has no marker and more than one line, or if nothing is
    /// left of the answer, or more than [`MAX_BYTES`].
    pub fn of(text: &str) -> Option<Self> {
        let answer = bare(marked(text)?);
        // Commas are all that can still fall out of it, and fewer than half of its bytes are such.
        if answer.len() > MAX_BYTES.saturating_mul(2) {
            return None;
        }
        let mut key = ungrouped(answer)?;
        key.make_ascii_lowercase();
        (1..=MAX_BYTES).contains(&key.len()).then_some(Self(key))
    }

    /// The key as a text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `H(domain ‖ version ‖ key)`.
    pub fn hash(&self) -> H256 {
        blake2_256(&(DOMAIN, VERSION, &self.0).encode()).into()
    }
}

/// The line with the answer: the first one behind the last marker, or else the only one.
fn marked(text: &str) -> Option<&str> {
    let last = MARKERS
        .iter()
        .filter_map(|marker| Some((last(text, marker)?, *marker)))
        .max();
    let Some((at, marker)) = last else {
        let text = text.trim_ascii();
        return (!text.contains('\n')).then_some(text);
    };
    let behind = text.get(at.saturating_add(marker.len())..)?;
    let line = behind.lines().find(|line| !line.trim_ascii().is_empty())?;
    Some(if marker == BOX { boxed(line) } else { line })
}

/// Start of the last of these markers.
fn last(text: &str, marker: &str) -> Option<usize> {
    let marker = marker.as_bytes();
    let is_marker = |window: &[u8]| window.eq_ignore_ascii_case(marker);
    text.as_bytes().windows(marker.len()).rposition(is_marker)
}

/// The text before the brace that closes an open one; all of it if none does.
fn boxed(text: &str) -> &str {
    let mut open = 0usize;
    let end = text.bytes().position(|byte| {
        match byte {
            b'{' => open = open.saturating_add(1),
            b'}' if open == 0 => return true,
            b'}' => open = open.saturating_sub(1),
            _ => {},
        }
        false
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// The answer without marks and spaces at its ends. The point of `.5` is no mark.
fn bare(text: &str) -> &str {
    let is_mark = |c: char| c.is_ascii_whitespace() || MARKS.contains(c);
    let text = text.trim_end_matches(is_mark);
    let bare = text.trim_start_matches(is_mark);
    let before = text.len().saturating_sub(bare.len()).saturating_sub(1);
    let is_number = bare.starts_with(|c: char| c.is_ascii_digit());
    text.get(before..)
        .filter(|longer| is_number && longer.starts_with('.'))
        .unwrap_or(bare)
}

/// The answer without the commas of numbers such as `1,234,567`. Digits and commas in any other
/// order are no such number, nor are the digits behind a point.
fn ungrouped(text: &str) -> Option<String> {
    let is_numeric = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
    let mut plain: Vec<u8> = Vec::with_capacity(text.len());
    for part in text
        .as_bytes()
        .chunk_by(|left, right| is_numeric(left) == is_numeric(right))
    {
        let is_grouped = is_grouped(part) && !plain.ends_with(b".");
        let kept = part.iter().filter(|byte| !is_grouped || **byte != b',');
        plain.extend(kept);
    }
    String::from_utf8(plain).ok()
}

/// Whether digits stand in groups: one to three, and then three behind each comma.
fn is_grouped(part: &[u8]) -> bool {
    let mut groups = part.split(|byte| *byte == b',').map(<[u8]>::len);
    let first = groups.next().unwrap_or_default();
    let others: Vec<usize> = groups.collect();
    (1..=3).contains(&first) && !others.is_empty() && others.iter().all(|length| *length == 3)
}
