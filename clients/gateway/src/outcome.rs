// SPDX-License-Identifier: Apache-2.0
//! The outcome of a question for programs.

use serde_json::{json, Value};

use crate::{
    at,
    completion::cut_at,
    conversation::{earlier, Message},
    failure::{Failure, RoundFailure},
    place::Place,
    store::Cost,
};

/// A question that is over: the object of `starling rounds show --json`, or of
/// [`crate::lane::report`].
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The object.
    pub report: Value,
}

impl Outcome {
    /// The place.
    pub fn place(&self) -> Place {
        let number = |path: &str| at(&self.report, path).as_u64();
        let small = |path: &str| number(path).and_then(|number| u32::try_from(number).ok());
        match (number("/lane"), small("/epoch"), small("/seq")) {
            (Some(lane), Some(epoch), Some(seq)) => Place::Lane { lane, epoch, seq },
            _ => Place::Round(number("/round").unwrap_or_default()),
        }
    }

    /// The phase in lower case.
    pub fn phase(&self) -> &str {
        at(&self.report, "/phase").as_str().unwrap_or_default()
    }

    /// The failure, if there is no answer.
    pub fn failure(&self) -> Option<Failure> {
        let reason = match at(&self.report, "/failure").as_str()? {
            "NoRankings" => RoundFailure::NoRankings,
            "BelowThreshold" => RoundFailure::BelowThreshold,
            // `Outbid` is no answer either: a higher offer took the slot.
            _ => RoundFailure::TooFewAnswers,
        };
        let refund = at(&self.report, "/settlement/refunded").as_str();
        Some(Failure::Round {
            place: self.place(),
            reason,
            refund: refund.map(str::to_owned),
        })
    }

    /// At most `n` valid answers, the winner's first, each up to the first of the texts `stop`.
    pub fn texts(&self, n: usize, stop: &[String]) -> Vec<String> {
        self.valid()
            .filter_map(|candidate| at(candidate, "/text").as_str())
            .take(n)
            .map(|text| cut_at(text, stop).to_owned())
            .collect()
    }

    /// The prompt.
    pub fn prompt(&self) -> Option<&str> {
        at(&self.report, "/prompt").as_str()
    }

    /// The maximum length of an answer, in tokens.
    pub fn max_tokens(&self) -> Option<usize> {
        let tokens = at(&self.report, "/terms/max_tokens").as_u64()?;
        usize::try_from(tokens).ok()
    }

    /// The announced hashes of the models behind the valid answers, the winner's first.
    pub fn model_hashes(&self) -> impl Iterator<Item = Option<&str>> {
        self.valid()
            .map(|candidate| at(candidate, "/model_hash").as_str())
    }

    /// The candidates with a valid answer, the winner first.
    fn valid(&self) -> impl Iterator<Item = &Value> {
        let candidates = at(&self.report, "/candidates").as_array();
        candidates
            .into_iter()
            .flatten()
            .filter(|candidate| at(candidate, "/state") == "valid")
    }

    /// The conversation with the answer as its last message. `None` if there is no answer.
    pub fn conversation(&self) -> Option<Vec<Message>> {
        let prompt = self.prompt()?;
        let answer = at(&self.report, "/answer").as_str()?;
        Some(earlier(prompt, answer)).filter(|_| self.phase() == "done")
    }

    /// The field `starling` of an answer.
    pub fn details(&self, block: Option<u32>, cost: Option<&Cost>, dropped_turns: usize) -> Value {
        let listed = at(&self.report, "/candidates").as_array();
        let listed = listed.map(Vec::as_slice).unwrap_or_default();
        let winner = listed
            .iter()
            .find(|candidate| at(candidate, "/won") == true);
        let candidates: Vec<_> = listed
            .iter()
            .map(|candidate| {
                json!({
                    "agent": at(candidate, "/agent/address"),
                    "model": at(candidate, "/model"),
                    "text": at(candidate, "/text"),
                    "key": at(candidate, "/key"),
                    "score": at(candidate, "/score"),
                    "paid": at(candidate, "/paid"),
                })
            })
            .collect();
        let terms = at(&self.report, "/terms");
        json!({
            "round": self.place().round(),
            "lane": self.place().lane(),
            "block": block,
            "phase": self.phase(),
            "winner": winner.map(|winner| at(winner, "/agent/address")),
            "score": winner.map(|winner| at(winner, "/score")),
            "why": at(&self.report, "/why"),
            "answers": at(&self.report, "/answers"),
            "outcome": at(&self.report, "/outcome"),
            "signers": at(&self.report, "/signers"),
            "cost": {
                "fee": at(terms, "/fee"),
                "burnt": cost.map(|cost| cost.burnt.to_string()),
                "on_hold": at(terms, "/deposit"),
            },
            "candidates": candidates,
            "dropped_turns": dropped_turns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let candidate = |name: &str, state: &str, text: Value, won: bool| {
            json!({
                "agent": { "name": name, "address": format!("5{name}") }, "model": "m",
                "won": won, "state": state, "text": text, "score": 0.5, "paid": "3",
                "rankings": [{ "by": "x" }],
            })
        };
        Outcome {
            report: json!({
                "round": 7, "phase": "done", "failure": null, "why": "It won.",
                "prompt": "Why?", "answer": "One. Two.",
                "answers": "short", "outcome": { "is_voted": true, "votes": 1 },
                "terms": { "fee": "10", "deposit": "4" },
                "candidates": [
                    candidate("A", "valid", json!("One. Two."), true),
                    candidate("B", "spoiled", Value::Null, false),
                    candidate("C", "valid", json!("Three."), false),
                ],
            }),
        }
    }

    #[test]
    fn choices_are_the_valid_answers_in_rank_order() {
        assert_eq!(outcome().texts(1, &[]), ["One. Two."]);
        assert_eq!(outcome().texts(9, &[".".to_owned()]), ["One", "Three"]);
        assert!(outcome().failure().is_none());
    }

    #[test]
    fn a_conversation_goes_on_from_an_answer_alone() {
        let said = outcome().conversation().unwrap();
        let texts: Vec<_> = said.iter().map(|message| message.text.as_str()).collect();
        assert_eq!(texts, ["Why?", "One. Two."]);
        let mut open = outcome();
        open.report["phase"] = json!("ranking");
        assert_eq!(open.conversation(), None);
        let mut failed = outcome();
        failed.report["answer"] = Value::Null;
        assert_eq!(failed.conversation(), None);
    }

    #[test]
    fn details_name_winner_cost_and_candidates() {
        let cost = Cost {
            fee: 10,
            burnt: 2,
            on_hold: 4,
        };
        let details = outcome().details(Some(5), Some(&cost), 1);
        assert_eq!(details["winner"], "5A");
        assert_eq!(
            details["cost"],
            json!({ "fee": "10", "burnt": "2", "on_hold": "4" })
        );
        assert_eq!(details["candidates"].as_array().unwrap().len(), 3);
        assert_eq!(details["answers"], "short");
        assert_eq!(details["outcome"]["is_voted"], true);
        assert_eq!(details["candidates"][0].get("rankings"), None);
        assert_eq!(
            (&details["block"], &details["dropped_turns"]),
            (&json!(5), &json!(1))
        );
    }

    #[test]
    fn a_failed_round_has_its_reason_and_refund() {
        for (name, code) in [
            ("TooFewCommits", "too_few_answers"),
            ("TooFewReveals", "too_few_answers"),
            ("Outbid", "too_few_answers"),
            ("NoRankings", "no_rankings"),
            ("BelowThreshold", "below_threshold"),
        ] {
            let mut failed = outcome();
            failed.report["failure"] = json!(name);
            failed.report["settlement"] = json!({ "refunded": "5" });
            let failure = failed.failure().unwrap();
            assert_eq!(failure.code(), code, "{name}");
            assert_eq!(
                failure.body()["starling"],
                json!({ "round": 7, "lane": null, "refund": "5" })
            );
        }
    }
}
