// SPDX-License-Identifier: Apache-2.0

//! Values with a unit, a range or a syntax of their own.

use std::{fmt, time::Duration};

use bytesize::ByteSize;
use jiff::SignedDuration;
use regex::Regex;
use schemars::JsonSchema;
use serde::{
    de::{self, Visitor},
    Deserialize, Deserializer,
};
use sp_core::crypto::Ss58Codec;
use sp_keyring::Sr25519Keyring;
use starling_primitives::{choice::Form, Balance};

use crate::AccountId;

/// The longest time, far from where adding it to a clock overflows.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// A time of at most a year with its unit, such as "2s" or "300ms".
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("examples" = ["2s", "300ms", "1m 30s"]))]
pub struct Time(pub Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = Text("a time such as \"2s\" or \"300ms\"", |text| {
            let duration: SignedDuration = text.parse().ok()?;
            let duration = duration.try_into().ok();
            duration.filter(|time| *time <= LONGEST).map(Self)
        });
        deserializer.deserialize_str(time)
    }
}

/// A number of bytes with its unit, such as "192 MiB".
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("examples" = ["192 MiB", "16 KiB"]))]
pub struct Size(pub usize);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let size = Text("a size such as \"192 MiB\"", |text| {
            let size: ByteSize = text.parse().ok()?;
            size.as_u64().try_into().ok().map(Self)
        });
        deserializer.deserialize_str(size)
    }
}

/// Reads a string; the first field says what it is.
struct Text<T>(&'static str, fn(&str) -> Option<T>);

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// An account by its address, or by its name if it is one for development.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(
    with = "String",
    extend("examples" = ["5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", "Alice"])
)]
pub struct Account(pub AccountId);

impl TryFrom<String> for Account {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_named = |key: &Sr25519Keyring| key.to_string().eq_ignore_ascii_case(&text);
        if let Some(key) = Sr25519Keyring::iter().find(is_named) {
            return Ok(Self(key.to_account_id()));
        }
        AccountId::from_ss58check(&text)
            .map(Self)
            .map_err(|error| format!("{text:?} is not the address of an account: {error}"))
    }
}

/// An amount of the currency, in its smallest unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(try_from = "Number")]
#[schemars(with = "Number")]
pub struct Amount(pub Balance);

/// TOML's integers are too small for some amounts, so that strings are accepted too.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected an amount: a whole number or a string of digits"
)]
enum Number {
    Number(u64),
    Text(#[schemars(regex(pattern = "^[0-9_]+$"))] String),
}

impl TryFrom<Number> for Amount {
    type Error = String;

    fn try_from(number: Number) -> Result<Self, String> {
        match number {
            Number::Number(number) => Ok(Self(number.into())),
            Number::Text(text) => text
                .replace('_', "")
                .parse()
                .map(Self)
                .map_err(|_| format!("{text:?} is not an amount")),
        }
    }
}

/// A kind of questions: the form in which their requests want the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "KindName")]
#[schemars(with = "KindName")]
pub struct Kind(pub Form);

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum KindName {
    Free,
    Number,
    Choice,
    Short,
}

impl From<KindName> for Kind {
    fn from(name: KindName) -> Self {
        Self(match name {
            KindName::Free => Form::Free,
            KindName::Number => Form::Number,
            KindName::Choice => Form::Choice,
            KindName::Short => Form::Short,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Form::Free => "free",
            Form::Number => "number",
            Form::Choice => "choice",
            Form::Short => "short",
        })
    }
}

/// A share, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "f64")]
#[schemars(with = "f64", extend("minimum" = 0, "maximum" = 1))]
pub struct Share(pub(super) f64);

impl Share {
    /// The share.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(format!("{share} is not a share from 0 to 1"))
        }
    }
}

/// Steps by which the priority of a thread is lowered, from 0 to 19.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "u8")]
#[schemars(with = "u8", extend("minimum" = 0, "maximum" = 19))]
pub struct Niceness(u8);

impl Niceness {
    /// The number that the operating system takes.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Niceness {
    fn default() -> Self {
        Self(10)
    }
}

impl TryFrom<u8> for Niceness {
    type Error = String;

    fn try_from(niceness: u8) -> Result<Self, String> {
        if niceness <= 19 {
            Ok(Self(niceness))
        } else {
            Err(format!("{niceness} is not a niceness from 0 to 19"))
        }
    }
}

/// A SHA-256, in 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String", extend("pattern" = "^[0-9a-fA-F]{64}$"))]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes().chunks_exact(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            // Without this, a sign would pass for a digit.
            let is_hex = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_hex.then(|| u8::from_str_radix(pair, 16).ok())?
        });
        let bytes: Vec<u8> = digits.collect::<Option<_>>()?;
        let bytes = bytes.try_into().ok()?;
        (text.len() == 64).then_some(Self(bytes))
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text("a SHA-256 of 64 hexadecimal digits", Self::from_hex))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A regular expression, compiled when the file is read.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("format" = "regex"))]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl TryFrom<String> for Pattern {
    type Error = regex::Error;

    fn try_from(text: String) -> Result<Self, regex::Error> {
        Regex::new(&text).map(Self)
    }
}

/// The value of a key that is `true` or absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "bool")]
#[schemars(with = "bool", extend("const" = true))]
pub struct True;

impl TryFrom<bool> for True {
    type Error = &'static str;

    fn try_from(value: bool) -> Result<Self, &'static str> {
        if value {
            Ok(Self)
        } else {
            Err("expected `true`: leave the key out instead of writing `false`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: de::DeserializeOwned>(text: &str) -> Result<T, String> {
        T::deserialize(toml::Value::from(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn times_and_sizes_have_units() {
        let time = |text: &str| read(text).map(|Time(time)| time);
        assert_eq!(time("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(time("300 ms"), Ok(Duration::from_millis(300)));
        assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("0s"), Ok(Duration::ZERO));
        for wrong in ["", "2", "-2s", "soon", "2 MiB", "9999999999h"] {
            assert!(time(wrong).unwrap_err().contains("\"2s\""), "{wrong}");
        }
        let size = |text: &str| read(text).map(|Size(size)| size);
        assert_eq!(size("192 MiB"), Ok(192 << 20));
        assert_eq!(size("16KiB"), Ok(16 << 10));
        assert_eq!(size("1 MB"), Ok(1_000_000));
        for wrong in ["", "much", "-1 MiB", "1 XiB", "2s"] {
            assert!(size(wrong).unwrap_err().contains("192 MiB"), "{wrong}");
        }
    }

    #[test]
    fn an_account_has_an_address_or_a_name() {
        let account = |text: &str| read(text).map(|Account(account)| account);
        let alice = Sr25519Keyring::Alice.to_account_id();
        let polkadot = alice.to_ss58check_with_version(0u8.into());
        for text in ["Alice", "alice", &alice.to_ss58check(), &polkadot] {
            assert_eq!(account(text), Ok(alice.clone()), "{text}");
        }
        let mistyped = alice.to_ss58check().replace("KutQY", "KutQX");
        for wrong in ["", "Mallory", "//Alice", &mistyped] {
            let error = account(wrong).unwrap_err();
            assert!(error.contains("not the address of an account"), "{error}");
        }
    }

    #[test]
    fn a_hash_has_64_hexadecimal_digits() {
        let text = format!("0f{}", "Ab".repeat(31));
        let hash: Sha256 = read(&text).unwrap();
        assert_eq!((hash.0[0], hash.0[31]), (0x0f, 0xab));
        assert_eq!(hash.to_string(), text.to_lowercase());
        let long = format!("{text}0");
        for wrong in [
            "",
            "0f",
            &text[1..],
            &long,
            &format!("{}é", &text[2..]),
            &"+1".repeat(32),
        ] {
            let error = read::<Sha256>(wrong).unwrap_err();
            assert!(error.contains("64 hexadecimal digits"), "{error}");
        }
    }
}
