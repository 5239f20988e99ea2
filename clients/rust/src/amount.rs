// SPDX-License-Identifier: Apache-2.0
//! Amounts of the currency as text.

use starling_primitives::Balance;

use crate::{Error, Result};

/// The chain's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency {
    /// The symbol.
    pub symbol: String,
    /// The number of decimals.
    pub decimals: u32,
}

impl Default for Currency {
    fn default() -> Self {
        Self {
            symbol: "STAR".into(),
            decimals: 12,
        }
    }
}

impl Currency {
    /// Reads `1.5`, `1_000` or `1.5 STAR`.
    pub fn parse(&self, text: &str) -> Result<Balance> {
        let bad = |why: String| Error::Usage(format!("`{text}` is not an amount: {why}"));
        let number = text.trim();
        let number = number
            .strip_suffix(&self.symbol)
            .unwrap_or(number)
            .trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let (whole, fraction) = (whole.replace('_', ""), fraction.replace('_', ""));
        let decimals = self.decimals as usize;
        if whole.is_empty() && fraction.is_empty() {
            return Err(bad("it has no number".into()));
        }
        if fraction.len() > decimals {
            return Err(bad(format!("{} has {decimals} decimals", self.symbol)));
        }
        let digits = format!("{whole}{fraction:0<decimals$}");
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad(format!("write it as 1.5 or \"1.5 {}\"", self.symbol)));
        }
        digits.parse().map_err(|_| bad("it is too large".into()))
    }

    /// Writes all decimals of an amount, without trailing zeros.
    pub fn format(&self, amount: Balance) -> String {
        let decimals = self.decimals as usize;
        let digits = format!("{amount:0>width$}", width = decimals.saturating_add(1));
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(decimals));
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{whole}{point}{fraction} {}", self.symbol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn star() -> Currency {
        Currency::default()
    }

    #[test]
    fn amounts_are_read_in_every_usual_form() {
        for (text, amount) in [
            ("1", 1_000_000_000_000),
            ("1.5", 1_500_000_000_000),
            (" 1.5 STAR ", 1_500_000_000_000),
            ("0.000000000001STAR", 1),
            (".5", 500_000_000_000),
            ("1_000", 1_000_000_000_000_000),
            ("0", 0),
        ] {
            assert_eq!(star().parse(text).unwrap(), amount, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_an_amount_is_refused() {
        for text in [
            "",
            ".",
            "STAR",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "0.0000000000001",
            "1 DOT",
            "1.5.5",
            "400000000000000000000000000000",
        ] {
            let Err(Error::Usage(said)) = star().parse(text) else {
                panic!("{text} was read");
            };
            assert!(said.contains(text), "{said}");
        }
    }

    #[test]
    fn a_written_amount_is_read_again() {
        for amount in [0, 1, 999_999_999_999, 1_000_000_000_000, u128::MAX] {
            assert_eq!(star().parse(&star().format(amount)).unwrap(), amount);
        }
    }

    #[test]
    fn amounts_have_no_more_digits_than_they_need() {
        assert_eq!(star().format(1_500_000_000_000), "1.5 STAR");
        assert_eq!(star().format(2_000_000_000_000), "2 STAR");
        assert_eq!(star().format(1), "0.000000000001 STAR");
        let whole = Currency {
            symbol: "UNIT".into(),
            decimals: 0,
        };
        assert_eq!(whole.format(10), "10 UNIT");
    }
}
