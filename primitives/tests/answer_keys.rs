// SPDX-License-Identifier: Apache-2.0
//! Answer keys: equal answers meet, different ones do not, and no text is too nasty.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use proptest::prelude::*;
use starling_primitives::choice::{Key, MAX_BYTES, VERSION};

/// Texts with their keys. The format of version 1: chains and clients compare hashes of these keys.
const GOLDEN: [(&str, Option<&str>); 72] = [
    // One line without a marker.
    ("42", Some("42")),
    ("Paris", Some("paris")),
    ("  Paris.\n", Some("paris")),
    ("PARIS!", Some("paris")),
    ("\"Paris\"", Some("paris")),
    ("**Paris**", Some("paris")),
    ("`x`", Some("x")),
    ("New York City", Some("new york city")),
    ("Rock'n'roll", Some("rock'n'roll")),
    ("yes, of course", Some("yes, of course")),
    ("yes,", Some("yes")),
    ("'tis", Some("tis")),
    // Markers.
    ("Answer: 42", Some("42")),
    ("answer:42", Some("42")),
    ("ANSWER:\t42", Some("42")),
    ("The answer is 42.", Some("42")),
    ("the answer is: **42**.", Some("42")),
    ("So THE ANSWER IS Paris!\nThank you.", Some("paris")),
    ("20 + 22 = 42\nAnswer: 42", Some("42")),
    ("Answer:\n\n  42\nHope that helps.", Some("42")),
    ("Answer: 41\nNo, wait.\nAnswer: 42", Some("42")),
    ("The answer is 41.\nFinal answer: 42", Some("42")),
    ("Answer: 41. I mean, the answer is 42", Some("42")),
    ("Answer: 6 times 7", Some("6 times 7")),
    ("Answer: 42\r\nBye", Some("42")),
    // LaTeX.
    ("\\boxed{42}", Some("42")),
    ("So $\\boxed{42}$.", Some("42")),
    ("The answer is $\\boxed{42}$, as shown.", Some("42")),
    ("\\BOXED{x}", Some("x")),
    ("\\boxed{\\frac{1}{2}} of it", Some("frac{1}{2")),
    ("\\boxed{\\boxed{7}}", Some("7")),
    ("\\boxed{42", Some("42")),
    ("\\boxed{\n42\n}", Some("42")),
    ("\\(42\\)", Some("42")),
    // Numbers.
    ("1,234", Some("1234")),
    ("1,234,567", Some("1234567")),
    ("$1,234.50", Some("1234.50")),
    ("12,345 km", Some("12345 km")),
    ("1,2,3", Some("1,2,3")),
    ("12,34", Some("12,34")),
    ("1234,567", Some("1234,567")),
    ("1,234,56", Some("1,234,56")),
    ("0.123,456", Some("0.123,456")),
    ("-5", Some("-5")),
    ("+5", Some("+5")),
    (".5", Some(".5")),
    ("3.50", Some("3.50")),
    ("50%", Some("50%")),
    ("C#", Some("c#")),
    ("1/2", Some("1/2")),
    ("1e-3", Some("1e-3")),
    // Options.
    ("B", Some("b")),
    ("(B)", Some("b")),
    ("b)", Some("b")),
    ("B.", Some("b")),
    ("Answer: (J)", Some("j")),
    ("The answer is B) Paris", Some("b) paris")),
    // Letters beyond ASCII stay as they are, in every respect.
    ("Zürich", Some("zürich")),
    ("ZÜRICH", Some("zÜrich")),
    ("Z\u{fc}rich.", Some("zürich")),
    ("Zu\u{308}rich", Some("zu\u{308}rich")),
    ("Москва", Some("Москва")),
    ("«Paris»", Some("«paris»")),
    ("４２", Some("４２")),
    ("42。", Some("42。")),
    // No key.
    ("", None),
    (" \n\t", None),
    ("...", None),
    ("Answer:", None),
    ("42\nAnswer: ?!", None),
    ("First line\nsecond line", None),
    ("\\boxed{}", None),
];

fn key(text: &str) -> Option<String> {
    Key::of(text).map(|key| key.as_str().to_owned())
}

#[test]
fn the_format_stays() {
    for (text, expected) in GOLDEN {
        assert_eq!(key(text).as_deref(), expected, "{text:?}");
    }
    assert_eq!(VERSION, 1);
}

#[test]
fn letters_that_look_alike_make_different_keys() {
    let latin = Key::of("Paris").unwrap();
    for alike in [
        "P\u{430}ris",                         // Cyrillic a
        "\u{420}aris",                         // Cyrillic er
        "\u{ff30}aris",                        // full width
        "\u{1d40f}aris",                       // mathematical bold
        "Par\u{131}s",                         // without its dot
        "Pari\u{17f}",                         // long s
        "Par\u{200b}is",                       // zero width space
        "Paris\u{200d}",                       // zero width joiner
        "\u{202e}Paris",                       // right to left
        "Paris\u{a0}",                         // no-break space
        "Pa\u{301}ris",                        // combining accent
        "\u{feff}Paris",                       // byte order mark
        "\u{3a1}\u{3b1}\u{3c1}\u{3b9}\u{3c2}", // Greek
    ] {
        let alike = Key::of(alike).unwrap();
        assert_ne!(alike, latin, "{alike:?}");
        assert_ne!(alike.hash(), latin.hash(), "{alike:?}");
    }
    // The Kelvin sign is no K, and the dotted capital I no i, by any rule of Unicode.
    assert_eq!(key("\u{212a}").as_deref(), Some("\u{212a}"));
    assert_eq!(key("\u{130}").as_deref(), Some("\u{130}"));
}

#[test]
fn long_answers_have_no_key() {
    let longest = "x".repeat(MAX_BYTES);
    assert_eq!(key(&format!(" {longest}. ")), Some(longest.clone()));
    assert_eq!(key(&format!("{longest}x")), None);
    for long in [
        "x", "1", "1,", ",000", "ä", " ", "\\boxed{", "answer:", "{", ".",
    ] {
        let text = long.repeat((64 << 10) / long.len());
        assert_eq!(key(&text), None, "64 KiB of {long:?}");
    }
    // Commas do not count.
    let grouped = format!("1{}", ",000".repeat(21));
    assert_eq!(key(&grouped), Some(grouped.replace(',', "")));
    assert_eq!(key(&format!("{grouped},000")), None);
    // The bound is one of bytes.
    assert_eq!(key(&"ä".repeat(MAX_BYTES / 2)).unwrap().len(), MAX_BYTES);
    assert_eq!(key(&"ä".repeat(MAX_BYTES / 2 + 1)), None);
}

#[test]
fn a_hash_is_of_the_domain_the_version_and_the_key() {
    use codec::Encode;
    let preimage = (&b"starling/answer-key"[..], 1u8, "42").encode();
    let hash = sp_io::hashing::blake2_256(&preimage);
    assert_eq!(Key::of("Answer: 42").unwrap().hash().0, hash);
}

/// Texts with all that keys mean something by.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("answer:".to_owned()),
        Just("The answer is".to_owned()),
        Just("\\boxed{".to_owned()),
        Just("1,000".to_owned()),
        Just(",".to_owned()),
        "[{}().,\n 0-9a-cА-Вé\u{200b}]{0,6}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_text_has_a_short_key_or_none(text in texts()) {
        if let Some(key) = key(&text) {
            prop_assert!((1..=MAX_BYTES).contains(&key.len()));
            prop_assert!(!key.contains('\n'));
            prop_assert!(!key.bytes().any(|byte| byte.is_ascii_uppercase()));
        }
    }

    #[test]
    fn the_key_of_a_key_is_itself(text in texts()) {
        if let Some(first) = key(&text) {
            // What a box holds may have a brace or a marker in it.
            prop_assume!(!first.contains("answer") && !first.contains("boxed"));
            prop_assume!(!first.contains(','));
            prop_assert_eq!(key(&first), Some(first));
        }
    }

    #[test]
    fn case_spaces_and_marks_around_it_do_not_matter(
        word in "[a-zA-Z0-9][a-zA-Z0-9 ]{0,30}[a-zA-Z0-9]",
        before in "[ *_\"'(\\[$`]{0,4}",
        after in "[ .,;:!?*_\"')\\]$`]{0,4}",
    ) {
        prop_assume!(!word.to_ascii_lowercase().contains("the answer is"));
        let plain = key(&word);
        prop_assert!(plain.is_some());
        for written in [
            format!("{before}{word}{after}"),
            word.to_ascii_uppercase(),
            format!("Let us see.\nThe answer is {before}{word}{after}\nBye."),
            format!("Well. Answer: {word}"),
            format!("Thus \\boxed{{{word}}}, clearly."),
        ] {
            prop_assert_eq!(key(&written), plain.clone(), "{}", written);
        }
    }

    #[test]
    fn grouped_digits_are_the_number(number in 0..u64::MAX) {
        let digits = number.to_string();
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        prop_assert_eq!(key(&grouped), Some(digits));
    }
}
