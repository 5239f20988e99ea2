// SPDX-License-Identifier: Apache-2.0
//! Errors, with the words of the chain.

use subxt::{
    error::{DispatchError, TransactionEventsError},
    metadata::PalletMetadata,
    rpcs::UserError,
};

use crate::amount::Currency;

/// The result of a client's function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument is not valid.
    #[error("{0}")]
    Usage(String),
    /// The node cannot be reached.
    #[error("no connection to {url}: {reason}")]
    Unreachable {
        /// The address of the node.
        url: String,
        /// The reason of the transport.
        reason: String,
    },
    /// The chain, or the node's transaction pool, refused a transaction.
    #[error("the chain refused: {0}")]
    Refused(String),
    /// No node has taken the request of a lane.
    #[error("the lane does not take the request: {0}")]
    NotTaken(String),
    /// A round, or the request of a lane, ended without an answer.
    #[error("{0}")]
    NoAnswer(String),
    /// The chain has no such round or agent.
    #[error("{0}")]
    NotFound(String),
    /// The work took longer than the caller's timeout, or finality longer than the node waits.
    #[error("{0}")]
    TimedOut(String),
    /// A reply of the node cannot be used.
    #[error("{0}")]
    Protocol(String),
    /// A file or the terminal cannot be used.
    #[error("{path}: {source}")]
    Io {
        /// The path.
        path: String,
        /// The reason of the system.
        source: std::io::Error,
    },
}

impl Error {
    /// The exit code of the program.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Protocol(_) | Self::Io { .. } => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Refused(_) | Self::NotTaken(_) => 4,
            Self::NoAnswer(_) => 5,
            Self::NotFound(_) => 6,
            Self::TimedOut(_) => 7,
        }
    }

    /// Adds the path to an error of the system.
    pub fn io(path: impl ToString) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_string();
        |source| Self::Io { path, source }
    }
}

/// The error of a transaction that failed in a block.
pub(crate) fn of_events(error: TransactionEventsError, currency: &Currency) -> Error {
    match error {
        TransactionEventsError::ExtrinsicFailed(error) => {
            Error::Refused(dispatch_error(&error, currency))
        },
        other => Error::Protocol(other.to_string()),
    }
}

/// The documentation of a pallet's error with the values of its constants, or the library's words
/// for another error.
pub(crate) fn dispatch_error(error: &DispatchError, currency: &Currency) -> String {
    let DispatchError::Module(module) = error else {
        return error.to_string();
    };
    match module.details() {
        Ok(details) => {
            let words = details.variant.docs.join(" ");
            let words = with_constants(words.trim(), |name| {
                constant(&details.pallet, name, currency)
            });
            let mut place = format!("{}.{}", details.pallet.name(), details.variant.name);
            if let ([_], [_, _, number, ..]) = (details.variant.fields.as_slice(), module.bytes()) {
                place.push_str(&format!(" {number}"));
            }
            if words.is_empty() {
                place
            } else {
                format!("{words} ({place})")
            }
        },
        Err(error) => error.to_string(),
    }
}

/// Formats a constant of a pallet, if it is a number. A number of 128 bits is an amount.
fn constant(pallet: &PalletMetadata, name: &str, currency: &Currency) -> Option<String> {
    let value = pallet.constant_by_name(name)?.value();
    if let Ok(bytes) = <[u8; 16]>::try_from(value) {
        return Some(currency.format(u128::from_le_bytes(bytes)));
    }
    let bytes = <[u8; 4]>::try_from(value).ok()?;
    Some(u32::from_le_bytes(bytes).to_string())
}

/// Adds its value to each name in backticks that has one.
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

/// The words of the pool for a transaction that it refuses.
pub(crate) fn of_pool(error: &UserError) -> String {
    let data = error.data.as_ref().map(|data| {
        let data = data.get().trim_matches('"');
        data.replace("\\\"", "\"")
    });
    match data {
        Some(data) if !data.is_empty() => pool_words(&data),
        _ => pool_words(&error.message),
    }
}

/// The error for a transaction that a pool has done with before it is final. One that waits for
/// finality is not refused: sent again, it would pay twice.
pub(crate) fn of_loss(reason: &str) -> Error {
    if reason.contains("Finality timeout") {
        return Error::TimedOut(
            "the transaction is in a block, and finality stands still; look at the open rounds \
             before you send it again"
                .into(),
        );
    }
    Error::Refused(pool_words(reason))
}

/// Explains the usual refusals of a pool to the sender.
pub(crate) fn pool_words(reason: &str) -> String {
    const MEANINGS: [(&str, &str); 7] = [
        (
            "Inability to pay some fees",
            "the account cannot pay the fee of the transaction",
        ),
        (
            "outdated",
            "the account has sent another transaction; try again",
        ),
        (
            "too low",
            "the account sends other transactions at the same time; try again",
        ),
        (
            "usurped",
            "another transaction of the account took its place; look at the open rounds, and try \
             again",
        ),
        (
            "bad signature",
            "the signature does not fit: the node is on another chain or runtime",
        ),
        (
            "exhaust",
            "the blocks of the chain are full; try again later",
        ),
        (
            "Transaction is temporarily banned",
            "the pool has just refused this transaction; try again later",
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
        let low = "The priority of the transaction is too low (pool 623 > current 623)";
        assert!(pool_words(low).contains("at the same time"));
        let replaced = "Transaction was usurped by another with the same nonce";
        assert!(pool_words(replaced).contains("took its place"));
        assert_eq!(pool_words("something new"), "something new");
    }

    #[test]
    fn a_transaction_that_waits_for_finality_is_not_refused() {
        assert!(matches!(of_loss("Finality timeout"), Error::TimedOut(_)));
        for reason in ["Transaction was dropped", "Transaction is outdated"] {
            assert!(matches!(of_loss(reason), Error::Refused(_)), "{reason}");
        }
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
            (Error::NotTaken(said("?")), 4),
            (Error::NoAnswer(said("?")), 5),
            (Error::NotFound(said("?")), 6),
            (Error::TimedOut(said("?")), 7),
        ];
        for (error, code) in errors {
            assert_eq!(error.exit_code(), code, "{error}");
        }
    }
}
