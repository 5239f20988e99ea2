// SPDX-License-Identifier: Apache-2.0
//! The place of a question: its round, or its request in a lane.

use std::fmt;

use serde_json::{json, Value};
use starling_client::lane::{Ask, Epoch, LaneId};
use starling_primitives::RoundId;

/// The beginning of the name of a request in a lane.
const LANE: &str = "lane";

/// A place. Its text is the number of the round, or such as `lane3-12-5`: lane, epoch and number of
/// the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A round.
    Round(RoundId),
    /// A request of a lane.
    Lane {
        /// The lane.
        lane: LaneId,
        /// The epoch.
        epoch: Epoch,
        /// The number of the request in the epoch.
        seq: u32,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Round(round) => write!(to, "{round}"),
            Self::Lane { lane, epoch, seq } => write!(to, "{LANE}{lane}-{epoch}-{seq}"),
        }
    }
}

impl Place {
    /// The place of a request.
    pub fn of(ask: &Ask) -> Self {
        Self::Lane {
            lane: ask.lane,
            epoch: ask.epoch,
            seq: ask.seq,
        }
    }

    /// The place of this text. `None` for any other text than [`Place`] is written as.
    pub fn parse(text: &str) -> Option<Self> {
        let place = match text.strip_prefix(LANE) {
            None => Self::Round(text.parse().ok()?),
            Some(rest) => {
                let (lane, rest) = rest.split_once('-')?;
                let (epoch, seq) = rest.split_once('-')?;
                Self::Lane {
                    lane: lane.parse().ok()?,
                    epoch: epoch.parse().ok()?,
                    seq: seq.parse().ok()?,
                }
            },
        };
        Some(place).filter(|place| place.to_string() == text)
    }

    /// The place that a program names: a number, or a text.
    pub fn read(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            other => other.as_u64().map(Self::Round),
        }
    }

    /// The place for a program, as [`Self::read`] reads it.
    pub fn value(self) -> Value {
        match self {
            Self::Round(round) => round.into(),
            Self::Lane { .. } => self.to_string().into(),
        }
    }

    /// The round.
    pub fn round(self) -> Option<RoundId> {
        match self {
            Self::Round(round) => Some(round),
            Self::Lane { .. } => None,
        }
    }

    /// The field `lane` of an answer: null for a round.
    pub fn lane(self) -> Value {
        match self {
            Self::Round(_) => Value::Null,
            Self::Lane { lane, epoch, seq } => json!({ "lane": lane, "epoch": epoch, "seq": seq }),
        }
    }

    /// The header of a response that names the place.
    pub fn header(self) -> (&'static str, String) {
        let name = match self {
            Self::Round(_) => "starling-round",
            Self::Lane { .. } => "starling-lane",
        };
        (name, self.to_string())
    }

    /// The place in words.
    pub fn words(self) -> String {
        match self {
            Self::Round(round) => format!("round {round}"),
            Self::Lane { lane, epoch, seq } => {
                format!("request {seq} of lane {lane} in epoch {epoch}")
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places() -> impl Strategy<Value = Place> {
        let lane = any::<(u64, u32, u32)>();
        prop_oneof![
            any::<u64>().prop_map(Place::Round),
            lane.prop_map(|(lane, epoch, seq)| Place::Lane { lane, epoch, seq }),
        ]
    }

    proptest! {
        #[test]
        fn a_place_is_found_by_its_text_and_by_what_programs_get(place in places()) {
            prop_assert_eq!(Place::parse(&place.to_string()), Some(place));
            prop_assert_eq!(Place::read(&place.value()), Some(place));
            prop_assert_eq!(place.round().is_none(), place.lane().is_object());
        }

        #[test]
        fn no_place_has_two_texts(text in "(lane)?[+0-9]{0,3}(-[+0-9]{0,3}){0,3}x?") {
            if let Some(place) = Place::parse(&text) {
                prop_assert_eq!(place.to_string(), text);
            }
        }
    }
}
