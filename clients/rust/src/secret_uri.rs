// SPDX-License-Identifier: Apache-2.0
//! Secret URIs as people type, pipe and store them. No error repeats any part of one.

use serde_json::Value;

use crate::{Error, Result};

/// The URI in a text: on its own, or as a JSON string, which is an entry of a keystore.
pub(crate) fn read(text: &str) -> Result<String> {
    let text = trim(text);
    let uri = match serde_json::from_str(text) {
        Ok(Value::String(uri)) => trim(&uri).to_owned(),
        _ => text.to_owned(),
    };
    // The libraries take the phrase of the development accounts where there is none.
    if uri.is_empty() {
        return Err(Error::Usage("no secret was given".into()));
    }
    Ok(uri)
}

/// Removes white space, and the mark of order that some editors write before a text.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

/// The reason why the libraries do not take a URI.
pub(crate) fn invalid(uri: &str) -> Error {
    let secret = uri.split('/').next().unwrap_or_default();
    Error::Usage(format!("the secret URI is not valid: {}", reason(secret)))
}

fn reason(secret: &str) -> String {
    if secret.starts_with("0x") {
        return "a seed has 64 hexadecimal digits after 0x".into();
    }
    let odd = |c: char| !c.is_ascii_lowercase() && c != ' ';
    if let Some(place) = secret.chars().position(odd) {
        return format!(
            "character {} of its phrase is neither a lowercase letter nor a space",
            place.saturating_add(1)
        );
    }
    let words = secret.split(' ').filter(|word| !word.is_empty()).count();
    if !matches!(words, 0 | 12 | 15 | 18 | 21 | 24) {
        return format!("its phrase has {words} words, not 12, 15, 18, 21 or 24");
    }
    "its phrase has a word that is not on the list, its checksum is wrong, or its derivations are \
     not of the form //hard/soft///password"
        .into()
}

#[cfg(test)]
mod tests {
    use crate::{inference_key::Secret, signer};

    const PHRASE: &str = "bottom drive obey lake curtain smoke basket hold race lonely fit walk";

    #[test]
    fn nothing_is_not_the_key_that_everybody_knows() {
        for nothing in ["", " ", "\n", "\u{feff}", "\"\"", "\" \""] {
            for error in [
                Secret::from_uri(nothing).err().unwrap(),
                signer::from_uri(nothing).err().unwrap(),
            ] {
                assert_eq!(error.to_string(), "no secret was given", "{nothing:?}");
            }
        }
    }

    #[test]
    fn entries_of_keystores_and_texts_of_editors_are_read() {
        let key = Secret::from_uri(PHRASE).unwrap().public();
        for text in [
            format!("\"{PHRASE}\""),
            format!("\u{feff}{PHRASE}\r\n"),
            format!("\t{PHRASE} "),
        ] {
            assert_eq!(Secret::from_uri(&text).unwrap().public(), key);
            signer::from_uri(&text).unwrap();
        }
    }

    #[test]
    fn no_error_repeats_a_word() {
        let words: Vec<_> = PHRASE.split(' ').collect();
        let mut wrong: Vec<String> = ["\n", "\t", ", ", "\u{a0}", "  \"", "-"]
            .map(|between| words.join(between))
            .into();
        wrong.extend([
            words[..11].join(" "),
            PHRASE.to_uppercase(),
            PHRASE.replace("walk", "fit"),
            format!("{PHRASE}/"),
            format!("{PHRASE}//hard//"),
            format!("'{PHRASE}'"),
            format!("0x{}", "ab".repeat(31)),
            format!("0x{}", "zz".repeat(32)),
        ]);
        for uri in wrong {
            for error in [
                Secret::from_uri(&uri).err().map(|error| error.to_string()),
                signer::from_uri(&uri).err().map(|error| error.to_string()),
            ] {
                let Some(error) = error else { continue };
                let error = error.to_lowercase();
                for secret in words.iter().copied().chain(["abab", "zzzz"]) {
                    let said = error.split(|c: char| !c.is_alphanumeric());
                    assert!(
                        !said.clone().any(|word| word == secret),
                        "{uri:?} gives {error:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_reason_says_where_to_look() {
        let reason = |uri: &str| Secret::from_uri(uri).err().unwrap().to_string();
        assert!(reason(&PHRASE.replace("drive ", "drive\n")).contains("character 13 of its phrase"));
        assert!(reason("only four short words").contains("4 words"));
        assert!(reason("0x12").contains("64 hexadecimal digits"));
        assert!(reason(&PHRASE.replace("walk", "fit")).contains("checksum"));
    }
}
