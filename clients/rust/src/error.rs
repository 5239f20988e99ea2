// SPDX-License-Identifier: Apache-2.0
//! What can go wrong, in words.

use subxt::{
    error::{DispatchError, TransactionEventsError},
    metadata::PalletMetadata,
    rpcs::UserError,
};

use crate::amount::Currency;

/// What the client does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the client could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument means nothing.
    #[error("{0}")]
    Usage(String),
    /// The node does not answer, or not any more.
    #[error("no connection to {url}: {reason}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What the transport says.
        reason: String,
    },
    /// The chain, or the node's transaction pool, refused a transaction.
    #[error("the chain refused: {0}")]
    Refused(String),
    /// A round ended without an answer.
    #[error("{0}")]
    NoAnswer(String),
    /// There is no such thing on the chain.
    #[error("{0}")]
    NotFound(String),
    /// It took longer than the caller wanted to wait.
    #[error("{0}")]
    TimedOut(String),
    /// The node answered what the client does not understand.
    #[error("{0}")]
    Protocol(String),
    /// A file or the terminal.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Error {
    /// The exit code that scripts see.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Protocol(_) | Self::Io { .. } => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Refused(_) => 4,
            Self::NoAnswer(_) => 5,
            Self::NotFound(_) => 6,
            Self::TimedOut(_) => 7,
        }
    }

    /// Adds the path to what the system says.
    pub fn io(path: impl ToString) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_string();
        |source| Self::Io { path, source }
    }
}

/// What the chain says about a transaction that is in a block and failed.
pub(crate) fn of_events(error: TransactionEventsError, currency: &Currency) -> Error {
    match error {
        TransactionEventsError::ExtrinsicFailed(error) => {
            Error::Refused(dispatch_error(&error, currency))
        },
        other => Error::Protocol(other.to_string()),
    }
}

/// The words of a pallet's own error, with the values of the constants that they name; those of
/// the library for the rest.
fn dispatch_error(error: &DispatchError, currency: &Currency) -> String {
    let DispatchError::Module(module) = error else {
        return error.to_string();
    };
    match module.details() {
        Ok(details) => {
            let words = details.variant.docs.join(" ");
            let words = with_constants(words.trim(), |name| {
                constant(&details.pallet, name, currency)
            });
            let place = format!("{}.{}", details.pallet.name(), details.variant.name);
            if words.is_empty() {
                place
            } else {
                format!("{words} ({place})")
            }
        },
        Err(error) => error.to_string(),
    }
}

/// What a constant of a pallet is, if it is a number: one of 128 bits is an amount.
fn constant(pallet: &PalletMetadata, name: &str, currency: &Currency) -> Option<String> {
    let value = pallet.constant_by_name(name)?.value();
    if let Ok(bytes) = <[u8; 16]>::try_from(value) {
        return Some(currency.format(u128::from_le_bytes(bytes)));
    }
    let bytes = <[u8; 4]>::try_from(value).ok()?;
    Some(u32::from_le_bytes(bytes).to_string())
}

/// Puts the value behind each name in backticks that has one.
fn with_constants(words: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut said = String::new();
    for (index, part) in words.split('`').enumerate() {
        let name = index % 2 == 1;
        match value(part).filter(|_| name) {
            Some(value) => said.push_str(&format!("{part}, {value},")),
            None => said.push_str(part),
        }
    }
    // A clause that ends the sentence needs no second comma.
    said.replace(",.", ".")
        .trim_end_matches([',', ' '])
        .to_owned()
}

/// The words of the node's pool for a transaction that it does not take.
pub(crate) fn of_pool(error: &UserError) -> String {
    let data = error.data.as_ref().map(|data| {
        let data = data.get().trim_matches('"');
        data.replace("\\\"", "\"")
    });
    match data {
        Some(data) if !data.is_empty() => pool_words(&data),
        _ => error.message.clone(),
    }
}

/// What the usual refusals of a pool mean to who sent the transaction.
pub(crate) fn pool_words(reason: &str) -> String {
    const MEANINGS: [(&str, &str); 6] = [
        (
            "Inability to pay some fees",
            "the account cannot pay the fee of the transaction",
        ),
        (
            "outdated",
            "the account sent another transaction meanwhile; try again",
        ),
        (
            "priority is too low",
            "the account has the same transaction in the pool already; wait for the next block",
        ),
        (
            "bad signature",
            "the signature does not fit: the node is on another chain or runtime",
        ),
        ("exhaust", "the chain's blocks are full; try again later"),
        (
            "Transaction is temporarily banned",
            "the same transaction was refused a moment ago; try again later",
        ),
    ];
    MEANINGS
        .iter()
        .find(|(part, _)| reason.contains(part))
        .map_or_else(|| reason.to_owned(), |(_, meaning)| (*meaning).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constants(name: &str) -> Option<String> {
        (name == "MinFee").then(|| "1 STAR".into())
    }

    #[test]
    fn constants_are_told_with_their_values() {
        assert_eq!(
            with_constants("The fee is below `MinFee`.", constants),
            "The fee is below MinFee, 1 STAR."
        );
        assert_eq!(
            with_constants("`max_tokens` is zero or above `MaxTokens`.", constants),
            "max_tokens is zero or above MaxTokens."
        );
        assert_eq!(
            with_constants("Below `MinFee` or odd", constants),
            "Below MinFee, 1 STAR, or odd"
        );
        assert_eq!(
            with_constants("Nothing named.", constants),
            "Nothing named."
        );
        assert_eq!(
            with_constants("MinFee unquoted", constants),
            "MinFee unquoted"
        );
    }

    #[test]
    fn refusals_of_the_pool_say_what_to_do() {
        assert!(pool_words("Invalid Transaction: Transaction is outdated").contains("try again"));
        assert_eq!(pool_words("something new"), "something new");
    }

    #[test]
    fn exit_codes_are_what_the_help_says() {
        let said = |text: &str| text.to_owned();
        let errors = [
            (Error::Protocol(said("?")), 1),
            (Error::Usage(said("?")), 2),
            (
                Error::Unreachable {
                    url: said("ws://…"),
                    reason: said("?"),
                },
                3,
            ),
            (Error::Refused(said("?")), 4),
            (Error::NoAnswer(said("?")), 5),
            (Error::NotFound(said("?")), 6),
            (Error::TimedOut(said("?")), 7),
        ];
        for (error, code) in errors {
            assert_eq!(error.exit_code(), code, "{error}");
        }
    }
}
