// SPDX-License-Identifier: Apache-2.0
//! The error table.
//!
//! The official SDKs repeat a request after 408, 409, 429 and 5xx, without an idempotency key. So
//! these statuses are used only while no transaction has left. From then on a failure has a status
//! that no client repeats, and the header `x-should-retry: false`.

use serde_json::{json, Value};

use crate::place::Place;

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A value of the body is wrong.
    InvalidValue {
        /// The place in the body.
        param: String,
        /// The reason.
        message: String,
    },
    /// The body asks for something that a swarm does not have.
    Unsupported {
        /// The place in the body.
        param: String,
        /// The reason.
        message: String,
    },
    /// The prompt is longer than the chain takes.
    TooLong {
        /// The length in bytes.
        bytes: usize,
        /// The maximum of the chain.
        max: usize,
    },
    /// The API key is missing or wrong.
    InvalidKey,
    /// No model has this name.
    UnknownModel(String),
    /// The account cannot pay.
    InsufficientFunds(String),
    /// The budget of the key is used up.
    BudgetUsed,
    /// Too many rounds of the key are open.
    TooManyOpen {
        /// The number of seconds after which to try again.
        retry_after: u32,
    },
    /// Too many rounds are open on the chain.
    SwarmBusy,
    /// No node can be reached, or it is not synced.
    NodeUnreachable,
    /// The request got into no block in time, and never will. Nothing is paid.
    NotIncluded,
    /// The chain refused the request in a block. The transaction fee is paid.
    Refused(String),
    /// The round failed, or the request of a lane.
    Round {
        /// The round or request.
        place: Place,
        /// The reason.
        reason: RoundFailure,
        /// The part of the fee that came back, in the smallest unit, if it is known.
        refund: Option<String>,
    },
    /// The round is not over, or the request of a lane.
    Pending {
        /// The round or request, once the question is in a block or with a lane.
        place: Option<Place>,
    },
    /// There is no such round.
    UnknownRound,
    /// There is no such case.
    UnknownCase,
    /// The header `Host` or `Origin` names a stranger, or the body is not declared as JSON.
    Forbidden(&'static str),
    /// The files of the gateway cannot be used. Nothing is paid.
    Internal,
}

/// The reason of a failed round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundFailure {
    /// Too few agents answered.
    TooFewAnswers,
    /// Nobody ranked the answers.
    NoRankings,
    /// The best answer is below the threshold.
    BelowThreshold,
}

impl Failure {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidValue { .. }
            | Self::Unsupported { .. }
            | Self::TooLong { .. }
            | Self::Refused(_) => 400,
            Self::InvalidKey => 401,
            Self::InsufficientFunds(_) => 402,
            Self::Forbidden(_) => 403,
            Self::UnknownModel(_) | Self::UnknownRound | Self::UnknownCase => 404,
            Self::Round { .. } | Self::Pending { .. } => 424,
            Self::BudgetUsed | Self::TooManyOpen { .. } | Self::SwarmBusy => 429,
            Self::Internal => 500,
            Self::NodeUnreachable | Self::NotIncluded => 503,
        }
    }

    /// The field `code` of the error object.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidValue { .. } => "invalid_value",
            Self::Unsupported { .. } => "unsupported_parameter",
            Self::TooLong { .. } => "context_length_exceeded",
            Self::InvalidKey => "invalid_api_key",
            Self::UnknownModel(_) => "model_not_found",
            Self::InsufficientFunds(_) => "insufficient_funds",
            Self::BudgetUsed => "insufficient_quota",
            Self::TooManyOpen { .. } => "rate_limit_exceeded",
            Self::SwarmBusy => "swarm_busy",
            Self::NodeUnreachable | Self::NotIncluded => "node_unreachable",
            Self::Refused(_) => "refused",
            Self::Round { reason, .. } => match reason {
                RoundFailure::TooFewAnswers => "too_few_answers",
                RoundFailure::NoRankings => "no_rankings",
                RoundFailure::BelowThreshold => "below_threshold",
            },
            Self::Pending { .. } => "round_pending",
            Self::UnknownRound => "round_not_found",
            Self::UnknownCase => "case_not_found",
            Self::Forbidden(_) => "forbidden",
            Self::Internal => "internal_error",
        }
    }

    /// Whether a transaction or the request of a lane has left.
    pub fn paid(&self) -> bool {
        matches!(
            self,
            Self::Refused(_) | Self::Round { .. } | Self::Pending { .. }
        )
    }

    /// The headers of the response, beside those of HTTP.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if self.paid() || *self == Self::BudgetUsed {
            headers.push(("x-should-retry", "false".to_owned()));
        }
        match self {
            Self::TooManyOpen { retry_after } => {
                headers.push(("retry-after", retry_after.to_string()));
            },
            Self::SwarmBusy => headers.push(("retry-after", "2".to_owned())),
            _ => {},
        }
        headers.extend(self.place().map(Place::header));
        headers
    }

    /// The round or request, if one is known.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Round { place, .. } => Some(*place),
            Self::Pending { place } => *place,
            _ => None,
        }
    }

    /// The body of the response.
    pub fn body(&self) -> Value {
        let param = match self {
            Self::InvalidValue { param, .. } | Self::Unsupported { param, .. } => {
                Some(param.as_str())
            },
            Self::TooLong { .. } => Some("messages"),
            Self::UnknownModel(_) => Some("model"),
            _ => None,
        };
        let mut body = json!({ "error": {
            "message": self.message(),
            "type": self.kind(),
            "param": param,
            "code": self.code(),
        }});
        if let (Some(place), Some(fields)) = (self.place(), body.as_object_mut()) {
            let refund = match self {
                Self::Round { refund, .. } => refund.as_deref(),
                _ => None,
            };
            fields.insert(
                "starling".to_owned(),
                json!({ "round": place.round(), "lane": place.lane(), "refund": refund }),
            );
        }
        body
    }

    fn kind(&self) -> &'static str {
        match self.status() {
            401 => "authentication_error",
            403 => "permission_error",
            402 => "insufficient_funds",
            424 => "round_error",
            429 if *self == Self::BudgetUsed => "insufficient_quota",
            429 => "rate_limit_error",
            500 | 503 => "server_error",
            _ => "invalid_request_error",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::InvalidValue { message, .. } | Self::Unsupported { message, .. } => {
                message.clone()
            },
            Self::TooLong { bytes, max } => {
                format!("the prompt has {bytes} bytes; the chain takes at most {max}")
            },
            Self::InvalidKey => "the API key is missing or wrong".to_owned(),
            Self::UnknownModel(model) => format!("there is no model {model:?}"),
            Self::InsufficientFunds(words) | Self::Refused(words) => words.clone(),
            Self::BudgetUsed => "the budget of this API key is used up".to_owned(),
            Self::TooManyOpen { .. } => "too many rounds of this API key are open".to_owned(),
            Self::SwarmBusy => "too many rounds are open on the chain".to_owned(),
            Self::NodeUnreachable => "no synced node can be reached".to_owned(),
            Self::NotIncluded => {
                "the request got into no block, and nothing is paid; ask again".to_owned()
            },
            Self::UnknownRound => "the chain and the gateway have no such round".to_owned(),
            Self::UnknownCase => {
                "the chain has no such case: it was never opened, or it is over and forgotten"
                    .to_owned()
            },
            Self::Forbidden(words) => (*words).to_owned(),
            Self::Internal => {
                "the gateway cannot write its files; its operator finds the reason in its log"
                    .to_owned()
            },
            Self::Round { place, reason, .. } => {
                let reason = match reason {
                    RoundFailure::TooFewAnswers => "too few agents answered",
                    RoundFailure::NoRankings => "nobody ranked the answers",
                    RoundFailure::BelowThreshold => "the best answer is below the threshold",
                };
                format!("{} failed: {reason}", place.words())
            },
            Self::Pending {
                place: Some(Place::Round(round)),
            } => format!(
                "round {round} is not over; GET /v1/rounds/{round} has it later, and asking again \
                 pays again"
            ),
            Self::Pending { place: Some(place) } => format!(
                "{} is not over; a repeat with the same Idempotency-Key gets its answer, and \
                 asking again pays again",
                place.words()
            ),
            Self::Pending { place: None } => {
                "the request is sent and not in a block yet; asking again pays again".to_owned()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Place = Place::Lane {
        lane: 3,
        epoch: 12,
        seq: 5,
    };

    fn table() -> Vec<(Failure, u16, &'static str, bool)> {
        let text = || "text".to_owned();
        let value = |param: &str| Failure::InvalidValue {
            param: param.to_owned(),
            message: text(),
        };
        let unsupported = Failure::Unsupported {
            param: "tools".to_owned(),
            message: text(),
        };
        let failed = |reason| Failure::Round {
            place: Place::Round(7),
            reason,
            refund: None,
        };
        vec![
            (value("n"), 400, "invalid_value", false),
            (unsupported, 400, "unsupported_parameter", false),
            (
                Failure::TooLong { bytes: 5, max: 4 },
                400,
                "context_length_exceeded",
                false,
            ),
            (Failure::InvalidKey, 401, "invalid_api_key", false),
            (Failure::UnknownModel(text()), 404, "model_not_found", false),
            (
                Failure::InsufficientFunds(text()),
                402,
                "insufficient_funds",
                false,
            ),
            (Failure::BudgetUsed, 429, "insufficient_quota", false),
            (
                Failure::TooManyOpen { retry_after: 3 },
                429,
                "rate_limit_exceeded",
                false,
            ),
            (Failure::SwarmBusy, 429, "swarm_busy", false),
            (Failure::NodeUnreachable, 503, "node_unreachable", false),
            (Failure::Refused(text()), 400, "refused", true),
            (
                failed(RoundFailure::TooFewAnswers),
                424,
                "too_few_answers",
                true,
            ),
            (failed(RoundFailure::NoRankings), 424, "no_rankings", true),
            (
                failed(RoundFailure::BelowThreshold),
                424,
                "below_threshold",
                true,
            ),
            (
                Failure::Pending {
                    place: Some(Place::Round(7)),
                },
                424,
                "round_pending",
                true,
            ),
            (
                Failure::Pending { place: Some(LANE) },
                424,
                "round_pending",
                true,
            ),
            (Failure::Pending { place: None }, 424, "round_pending", true),
            (Failure::NotIncluded, 503, "node_unreachable", false),
            (Failure::UnknownRound, 404, "round_not_found", false),
            (Failure::UnknownCase, 404, "case_not_found", false),
            (Failure::Forbidden("text"), 403, "forbidden", false),
            (Failure::Internal, 500, "internal_error", false),
        ]
    }

    #[test]
    fn each_case_has_the_status_and_code_of_the_table() {
        for (failure, status, code, paid) in table() {
            assert_eq!(failure.status(), status, "{failure:?}");
            assert_eq!(failure.body()["error"]["code"], code, "{failure:?}");
            assert_eq!(failure.paid(), paid, "{failure:?}");
        }
    }

    #[test]
    fn no_client_repeats_what_is_paid() {
        for (failure, ..) in table() {
            let stops = failure
                .headers()
                .contains(&("x-should-retry", "false".to_owned()));
            assert_eq!(
                stops,
                failure.paid() || failure == Failure::BudgetUsed,
                "{failure:?}"
            );
            if failure.paid() {
                let repeated = [408, 409, 429].contains(&failure.status());
                assert!(!repeated && failure.status() < 500, "{failure:?}");
            }
        }
    }

    #[test]
    fn headers_name_the_round_and_the_time_to_wait() {
        let round = ("starling-round", "7".to_owned());
        let pending = |place| Failure::Pending { place: Some(place) };
        assert!(pending(Place::Round(7)).headers().contains(&round));
        let lane = ("starling-lane", "lane3-12-5".to_owned());
        assert!(pending(LANE).headers().contains(&lane));
        let busy = Failure::SwarmBusy.headers();
        assert_eq!(busy, [("retry-after", "2".to_owned())]);
        let open = Failure::TooManyOpen { retry_after: 3 }.headers();
        assert_eq!(open, [("retry-after", "3".to_owned())]);
    }

    #[test]
    fn a_failed_round_tells_its_refund() {
        let failed = Failure::Round {
            place: Place::Round(7),
            reason: RoundFailure::BelowThreshold,
            refund: Some("5".to_owned()),
        };
        let expected = json!({ "round": 7, "lane": null, "refund": "5" });
        assert_eq!(failed.body()["starling"], expected);
    }

    #[test]
    fn the_error_object_names_the_parameter() {
        let error = Failure::TooLong {
            bytes: 5_000,
            max: 4_096,
        }
        .body();
        assert_eq!(error["error"]["param"], "messages");
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert!(Failure::InvalidKey.body()["error"]["param"].is_null());
    }
}
