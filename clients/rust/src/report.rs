// SPDX-License-Identifier: Apache-2.0
//! The outcome of a round.

use std::collections::BTreeMap;

use serde::Serialize;
use sp_core::crypto::{AccountId32, Ss58Codec};
use starling_primitives::{
    api::{OutcomeView, ResponseView, RoundView},
    choice::{Form, Key},
    fixed,
    round::{BlockNumber, Phase},
    Balance, Position, RoundId,
};

use crate::{
    answers,
    chain::Registration,
    events::History,
    explain::{self, score},
    progress,
    transaction::Model,
    At, Chain, Result,
};

/// A round and its outcome. Amounts are in the smallest unit of the currency, as strings: the
/// numbers of JSON are too small. Scores, ratings and weights are in `[0, 1]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The number.
    pub round: RoundId,
    /// The prompt.
    pub prompt: String,
    /// The requester.
    pub requester: Account,
    /// The phase, in lower case.
    pub phase: String,
    /// The failure, if the round failed.
    pub failure: Option<String>,
    /// The outcome in one sentence.
    pub why: String,
    /// The answer that won.
    pub answer: Option<String>,
    /// The form of the answers: `free`, `number`, `choice` or `short`.
    pub answers: &'static str,
    /// The votes behind the best answer. `None` where no answers were counted.
    pub outcome: Option<Outcome>,
    /// All answers, the best first.
    pub candidates: Vec<Candidate>,
    /// The terms of the request.
    pub terms: Terms,
    /// The amounts that the end moved. `None` before the end, and if the node pruned that block.
    pub settlement: Option<Settlement>,
    /// The beginning of each phase.
    pub blocks: Vec<PhaseBlock>,
}

/// The votes behind an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Whether votes and scores decided, and not equation (3).
    pub is_voted: bool,
    /// The number of valid responses that give the answer.
    pub votes: u32,
    /// The number of all valid responses.
    pub responses: u32,
    /// The share of the responses that give the answer.
    pub share_of_votes: f64,
    /// The share of the weight of votes that is behind the answer.
    pub share_of_weight: f64,
    /// The same in words.
    pub words: String,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The name, or the short address.
    pub name: String,
    /// The address.
    pub address: String,
}

/// An answer, its agent, and the scores that it got.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The agent.
    pub agent: Account,
    /// The announced name of its model.
    pub model: Option<String>,
    /// The announced SHA-256 of its model's file, in hexadecimal.
    pub model_hash: Option<String>,
    /// True if its answer won.
    pub won: bool,
    /// The answer, once it is revealed and valid.
    pub text: Option<String>,
    /// The answer key. `None` in free form, and for a text without a clear answer.
    pub key: Option<String>,
    /// `sealed`, `spoiled` or `valid`.
    pub state: &'static str,
    /// The rating-weighted mean of its scores, which decides unless votes do.
    pub score: Option<f64>,
    /// The scores, by ranker.
    pub rankings: Vec<Ranking>,
    /// The agent's own rating as a ranker, as of the assignment.
    pub rating: Option<f64>,
    /// Its weight, which follows from the rating.
    pub weight: Option<f64>,
    /// The payment for its answer and its rankings.
    pub paid: Option<String>,
    /// The amount taken from its bond.
    pub slashed: Option<String>,
}

/// A score that one agent gave the answer of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// The ranker.
    pub by: String,
    /// The score.
    pub score: f64,
    /// The ranker's rating.
    pub rating: Option<f64>,
    /// The ranker's weight.
    pub weight: Option<f64>,
}

/// The terms of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Terms {
    /// The fee.
    pub fee: String,
    /// The amount on hold until the round is purged.
    pub deposit: String,
    /// The price of a ticket of this round.
    pub ticket: String,
    /// The maximum length of an answer, in tokens.
    pub max_tokens: u32,
    /// The minimum number of answers for the round to succeed.
    pub min_responses: u32,
    /// The maximum number of answers.
    pub max_responses: u32,
}

/// The amounts that the end of a round moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Settlement {
    pub refunded: String,
    pub forfeited: String,
    pub slashed: String,
    pub subsidy: String,
    pub winner: String,
    pub rankers: String,
    pub treasury: String,
    pub burnt: String,
}

/// The beginning of a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhaseBlock {
    /// The phase, in lower case.
    pub phase: String,
    /// The block at the end of which it began. `committing` has the block of the request.
    pub block: BlockNumber,
}

/// Facts about a round that its view does not have.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The names of accounts.
    pub names: BTreeMap<AccountId32, String>,
    /// The announced models of the agents.
    pub models: BTreeMap<AccountId32, Model>,
    /// The minimum score of a winner.
    pub threshold: f64,
    /// The form of the answers.
    pub form: Form,
    /// The votes behind the answer, if equal answers are counted.
    pub outcome: Option<OutcomeView>,
    /// The history of the round, unless the node has pruned a block.
    pub history: Option<History>,
}

impl Context {
    /// Reads the facts about `view` as of a block.
    pub async fn read(chain: &Chain, at: &At, view: &RoundView<AccountId32>) -> Result<Self> {
        let question = at.question(view.id).await?;
        let form = question.map(|question| question.form).unwrap_or_default();
        let mut context = Self {
            threshold: f64::from(at.constant::<u32>("Rounds", "ApprovalThreshold")?) / 1e6,
            form,
            outcome: match form.is_counted() {
                true => at.outcome(view.id).await?,
                false => None,
            },
            ..Self::default()
        };
        let agents = view.responses.iter().map(|response| &response.agent);
        for who in agents.chain([&view.round.requester]) {
            context.names.insert(who.clone(), chain.name(who));
        }
        for response in &view.responses {
            let who = &response.agent;
            if let Some(agent) = at.registration(who).await? {
                let model = Model {
                    name: Registration::model_name(&agent),
                    hash: agent.model_hash,
                };
                context.models.insert(who.clone(), model);
            }
        }
        let last = match view.round.phase.is_final() {
            true => view.round.since,
            false => at.number(),
        };
        context.history = History::read(chain, view.id, view.round.requested_at, last).await;
        Ok(context)
    }
}

/// Reports a round.
pub fn report(view: &RoundView<AccountId32>, context: &Context) -> Report {
    let round = &view.round;
    let name = |who: &AccountId32| {
        let known = context.names.get(who).cloned();
        known.unwrap_or_else(|| crate::account::short(who))
    };
    let account = |who: &AccountId32| Account {
        name: name(who),
        address: who.to_ss58check(),
    };
    let payments = context
        .history
        .as_ref()
        .filter(|history| history.settlement.is_some())
        .map(|history| &history.payments);
    let moved = |amounts: &BTreeMap<AccountId32, Balance>, who: &AccountId32| {
        amounts.get(who).copied().unwrap_or_default().to_string()
    };
    let candidate = |response: &ResponseView<AccountId32>| {
        let who = &response.agent;
        let model = context.models.get(who);
        Candidate {
            agent: account(who),
            model: model.map(|model| model.name.clone()),
            model_hash: model.map(|model| format!("{:?}", model.hash)),
            won: round.winner.as_ref() == Some(who),
            text: response.text.as_deref().map(text_of),
            key: key(context.form, response),
            state: state(response),
            score: response.tally.as_ref().and_then(score),
            rankings: rankings(view, response.position, &name),
            rating: response.rating.map(unit),
            weight: response.weight.map(unit),
            paid: payments.map(|payments| moved(&payments.paid, who)),
            slashed: payments.map(|payments| moved(&payments.slashed, who)),
        }
    };
    Report {
        round: view.id,
        prompt: text_of(&view.prompt),
        requester: account(&round.requester),
        phase: phase_name(round.phase),
        failure: failure_name(round.phase),
        why: explain::why(view, context.threshold, context.outcome.as_ref(), name),
        answer: view
            .responses
            .iter()
            .find(|response| round.winner.as_ref() == Some(&response.agent))
            .and_then(|response| response.text.as_deref().map(text_of)),
        answers: answers::name(context.form),
        outcome: context.outcome.as_ref().map(Outcome::from),
        candidates: by_rank(view).into_iter().map(candidate).collect(),
        terms: Terms {
            fee: round.terms.fee.to_string(),
            deposit: round.terms.deposit.to_string(),
            ticket: round.terms.ticket.to_string(),
            max_tokens: round.terms.max_tokens,
            min_responses: round.terms.min_responses,
            max_responses: round.terms.max_responses,
        },
        settlement: context.history.as_ref().and_then(settlement),
        blocks: context.history.as_ref().map_or_else(
            || blocks_of(view),
            |history| {
                let phases = history.phases.iter();
                phases
                    .map(|(phase, block)| PhaseBlock {
                        phase: phase_name(*phase),
                        block: *block,
                    })
                    .collect()
            },
        ),
    }
}

/// The name of a phase in lower case.
pub fn phase_name(phase: Phase) -> String {
    progress::name(phase).to_lowercase()
}

fn failure_name(phase: Phase) -> Option<String> {
    match phase {
        Phase::Failed(failure) => Some(format!("{failure:?}")),
        _ => None,
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A number with 32 fractional bits.
pub(crate) fn unit(fixed: u64) -> f64 {
    fixed as f64 / fixed::ONE as f64
}

impl From<&OutcomeView> for Outcome {
    fn from(view: &OutcomeView) -> Self {
        Self {
            is_voted: view.is_voted,
            votes: view.votes,
            responses: view.responses,
            share_of_votes: unit(view.share_of_votes),
            share_of_weight: unit(view.share_of_weight),
            words: explain::support(view),
        }
    }
}

/// The answer key by which the chain counts a response.
fn key(form: Form, response: &ResponseView<AccountId32>) -> Option<String> {
    let text = response.text.as_deref().filter(|_| form.is_counted())?;
    let key = Key::of(std::str::from_utf8(text).ok()?)?;
    Some(key.as_str().to_owned())
}

fn state(response: &ResponseView<AccountId32>) -> &'static str {
    match (&response.text, response.spoiled) {
        (Some(_), _) => "valid",
        (None, true) => "spoiled",
        (None, false) => "sealed",
    }
}

/// The scores of the response at `position`, the ranker with the largest weight first.
fn rankings(
    view: &RoundView<AccountId32>,
    position: Option<Position>,
    name: &impl Fn(&AccountId32) -> String,
) -> Vec<Ranking> {
    let mut rankings: Vec<_> = view
        .responses
        .iter()
        .filter_map(|ranker| {
            let scores = ranker.scores.as_ref()?;
            let (_, score) = scores.iter().find(|(place, _)| Some(*place) == position)?;
            Some(Ranking {
                by: name(&ranker.agent),
                score: f64::from(score.0) / f64::from(u16::MAX),
                rating: ranker.rating.map(unit),
                weight: ranker.weight.map(unit),
            })
        })
        .collect();
    rankings.sort_by(|left, right| {
        let weights = left.weight.partial_cmp(&right.weight);
        weights
            .unwrap_or(std::cmp::Ordering::Equal)
            .reverse()
            .then_with(|| left.by.cmp(&right.by))
    });
    rankings
}

/// The winner, then the other ranked responses from the best on, then the rest by account.
fn by_rank(view: &RoundView<AccountId32>) -> Vec<&ResponseView<AccountId32>> {
    let mut order = explain::ranked(view);
    let mut rest: Vec<_> = view
        .responses
        .iter()
        .filter(|response| !order.iter().any(|other| other.agent == response.agent))
        .collect();
    rest.sort_by(|left, right| left.agent.cmp(&right.agent));
    order.extend(rest);
    order.sort_by_key(|response| view.round.winner.as_ref() != Some(&response.agent));
    order
}

fn settlement(history: &History) -> Option<Settlement> {
    let moved = history.settlement.as_ref()?;
    Some(Settlement {
        refunded: moved.refunded.to_string(),
        forfeited: moved.forfeited.to_string(),
        slashed: moved.slashed.to_string(),
        subsidy: moved.subsidy.to_string(),
        winner: moved.winner.to_string(),
        rankers: moved.rankers.to_string(),
        treasury: moved.treasury.to_string(),
        burnt: moved.burnt.to_string(),
    })
}

/// The blocks that the round's state alone tells.
fn blocks_of(view: &RoundView<AccountId32>) -> Vec<PhaseBlock> {
    let requested = PhaseBlock {
        phase: phase_name(Phase::Committing),
        block: view.round.requested_at,
    };
    let now = PhaseBlock {
        phase: phase_name(view.round.phase),
        block: view.round.since,
    };
    match view.round.phase {
        Phase::Committing => vec![requested],
        _ => vec![requested, now],
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::events::Payments;
    use starling_primitives::{
        fixed::ONE,
        round::{Counts, Failure, Round, Settlement as Moved, Terms as RoundTerms},
        selection::Tally,
        Score,
    };

    pub(crate) fn account(index: u8) -> AccountId32 {
        AccountId32::new([index; 32])
    }

    pub(crate) fn round() -> Round<AccountId32> {
        Round {
            requester: account(9),
            terms: RoundTerms {
                fee: 1_000,
                deposit: 10,
                ticket: 20,
                slash: 30,
                max_tokens: 64,
                min_responses: 2,
                max_responses: 8,
                active: 4,
                activations: 4,
            },
            requested_at: 3,
            phase: Phase::Done,
            since: 12,
            deadline: 100,
            request_randomness: None,
            commit_randomness: None,
            seed: None,
            rankings: 3,
            counts: Counts::default(),
            rated: 0,
            winner: None,
        }
    }

    /// A round in which all others give the answer of agent `i` the score `scores[i]`.
    pub(crate) fn view(scores: &[f64], winner: Option<u8>) -> RoundView<AccountId32> {
        let weight = ONE / 10;
        let score = |index: usize| Score((scores[index] * f64::from(u16::MAX)).round() as u16);
        let n = scores.len();
        let responses = (0..n)
            .map(|index| {
                let mut tally = Tally {
                    assigned: weight * (n as u64 - 1),
                    ..Default::default()
                };
                (1..n).for_each(|_| tally.add(weight, score(index)));
                let others = (0..n).filter(|other| *other != index);
                ResponseView {
                    agent: account(index as u8),
                    text: Some(format!("answer {index}").into_bytes()),
                    spoiled: false,
                    position: Some(index as u16),
                    rating: Some(ONE / 10 * 7),
                    weight: Some(weight),
                    tally: Some(tally),
                    scores: Some(others.map(|other| (other as u16, score(other))).collect()),
                }
            })
            .collect();
        let n = n as u32;
        let mut round = round();
        round.winner = winner.map(account);
        round.counts = Counts {
            heard: n,
            commits: n,
            valid: n,
            score_commits: n,
            disclosures: n,
            ..Default::default()
        };
        RoundView {
            id: 7,
            prompt: b"why?".to_vec(),
            round,
            responses,
        }
    }

    fn context() -> Context {
        let history = History {
            phases: vec![(Phase::Committing, 3), (Phase::Done, 12)],
            settlement: Some(Moved {
                winner: 700,
                ..Default::default()
            }),
            payments: Payments {
                paid: [(account(1), 750), (account(0), 50)].into(),
                slashed: [(account(2), 30)].into(),
            },
        };
        let model = Model {
            name: "gemma".into(),
            hash: starling_primitives::H256::repeat_byte(7),
        };
        Context {
            names: [(account(1), "Bob".into())].into(),
            models: [(account(1), model)].into(),
            threshold: 0.3,
            form: Form::Free,
            outcome: None,
            history: Some(history),
        }
    }

    #[test]
    fn the_report_has_the_winner_first_and_the_others_by_score() {
        let report = report(&view(&[0.5, 0.9, 0.7], Some(1)), &context());
        assert_eq!(report.answer.as_deref(), Some("answer 1"));
        let first = &report.candidates[0];
        assert!(first.won);
        assert_eq!(
            (first.agent.name.as_str(), first.model.as_deref()),
            ("Bob", Some("gemma"))
        );
        let hash = format!("0x{}", "07".repeat(32));
        assert_eq!(first.model_hash, Some(hash));
        let texts: Vec<_> = report
            .candidates
            .iter()
            .map(|c| c.text.as_deref().unwrap())
            .collect();
        assert_eq!(texts, ["answer 1", "answer 2", "answer 0"]);
        let paid: Vec<_> = report
            .candidates
            .iter()
            .map(|c| c.paid.as_deref().unwrap())
            .collect();
        assert_eq!(paid, ["750", "0", "50"]);
        let slashed: Vec<_> = report
            .candidates
            .iter()
            .map(|c| c.slashed.as_deref().unwrap())
            .collect();
        assert_eq!(slashed, ["0", "30", "0"]);
        assert_eq!(report.settlement.unwrap().winner, "700");
        assert_eq!(report.blocks.last().unwrap().block, 12);
    }

    #[test]
    fn every_score_names_its_ranker_and_rating() {
        let report = report(&view(&[0.5, 0.9, 0.7], Some(1)), &context());
        let rankings = &report.candidates[0].rankings;
        assert_eq!(rankings.len(), 2);
        for ranking in rankings {
            assert!((ranking.score - 0.9).abs() < 1e-4);
            assert!((ranking.rating.unwrap() - 0.7).abs() < 1e-4);
            assert_ne!(ranking.by, "Bob");
        }
    }

    #[test]
    fn without_history_payments_are_unknown_and_not_zero() {
        let context = Context {
            history: None,
            ..context()
        };
        let report = report(&view(&[0.5, 0.9], Some(1)), &context);
        assert!(report.settlement.is_none());
        assert!(report.candidates.iter().all(|c| c.paid.is_none()));
        assert_eq!(report.blocks.len(), 2);
    }

    #[test]
    fn keys_and_votes_are_those_of_counted_answers() {
        let free = report(&view(&[0.5, 0.9], Some(1)), &context());
        assert_eq!(free.answers, "free");
        assert!(free.candidates.iter().all(|c| c.key.is_none()));
        assert_eq!(free.outcome, None);

        let context = Context {
            form: Form::Number,
            outcome: Some(OutcomeView {
                is_voted: true,
                votes: 1,
                responses: 2,
                share_of_votes: ONE / 2,
                share_of_weight: ONE / 4,
            }),
            ..context()
        };
        let mut view = view(&[0.5, 0.9], Some(1));
        view.responses[1].text = Some(b"Let me see.\nAnswer: 1,234.".to_vec());
        view.responses[0].text = Some(b"Let me see.\nIt is 5.".to_vec());
        let json = serde_json::to_value(report(&view, &context)).unwrap();
        assert_eq!(json["answers"], "number");
        assert_eq!(json["candidates"][0]["key"], "1234");
        assert!(json["candidates"][1]["key"].is_null(), "no marker");
        assert_eq!(json["outcome"]["is_voted"], true);
        assert_eq!(json["outcome"]["share_of_weight"], 0.25);
    }

    #[test]
    fn amounts_are_strings_in_json() {
        let json = serde_json::to_value(report(&view(&[0.5, 0.9], Some(1)), &context())).unwrap();
        assert_eq!(json["terms"]["fee"], "1000");
        assert_eq!(json["candidates"][0]["paid"], "750");
        assert_eq!(json["phase"], "done");
        assert!(json["failure"].is_null());
    }

    #[test]
    fn a_failed_round_names_its_failure() {
        let mut view = view(&[0.1, 0.2], None);
        view.round.phase = Phase::Failed(Failure::BelowThreshold);
        let report = report(&view, &context());
        assert_eq!(report.phase, "failed");
        assert_eq!(report.failure.as_deref(), Some("BelowThreshold"));
        assert_eq!(report.answer, None);
    }
}
