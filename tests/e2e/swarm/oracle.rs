// SPDX-License-Identifier: Apache-2.0
//! The rules of settlement and rating once more. They are written from the protocol's text instead
//! of the pallets: with fractions and floating point instead of fixed point.

use std::collections::BTreeMap;

use starling_primitives::{
    api::{ResponseView, RoundView},
    Balance,
};
use starling_runtime::{AccountId, MILLI_UNIT, UNIT};

/// Scores are in steps of 1/65535.
const UNIT_SCORE: f64 = 65_535.0;

/// Transfers of a round with a winner, to the last unit.
#[derive(Debug, Default, PartialEq)]
pub struct Settlement {
    pub winner: Option<AccountId>,
    /// Gain or loss of each agent in the round.
    pub gains: BTreeMap<AccountId, i128>,
    pub treasury: i128,
    pub subsidy: Balance,
}

/// The disclosed scores of a round.
pub struct Scores {
    /// The responses' agents by position.
    agents: BTreeMap<u16, AccountId>,
    /// `w` of each, 32 fractional bits.
    weights: BTreeMap<u16, u64>,
    /// (ranker, response) → score.
    given: BTreeMap<(u16, u16), u16>,
}

impl Scores {
    pub fn of(view: &RoundView<AccountId>) -> Self {
        let mut scores = Self {
            agents: BTreeMap::new(),
            weights: BTreeMap::new(),
            given: BTreeMap::new(),
        };
        for response in &view.responses {
            let Some(position) = response.position else {
                continue;
            };
            scores.agents.insert(position, response.agent.clone());
            let weight = response.weight.unwrap_or(0);
            scores.weights.insert(position, weight);
            for (other, score) in response.scores.iter().flatten() {
                scores.given.insert((position, *other), score.0);
            }
        }
        scores
    }

    /// True if every position was scored by every other one, as a round of four requires.
    pub fn is_complete(&self) -> bool {
        let n = self.agents.len();
        let pairs = self
            .given
            .keys()
            .filter(|(ranker, response)| ranker != response && self.agents.contains_key(response));
        pairs.count() == n * (n - 1)
    }

    /// Σ w·x / Σ w of each response, over the rankers that disclosed; equation (3). A response that
    /// less than half of the others' weight has scored does not count.
    fn weighted_means(&self) -> BTreeMap<u16, f64> {
        let mean = |response: u16| {
            let scores = self.given.iter().filter(|((_, to), _)| *to == response);
            let (sum, weight) = scores.fold((0.0, 0.0), |(sum, total), ((from, _), score)| {
                let weight = self.weights[from] as f64;
                (sum + weight * f64::from(*score), total + weight)
            });
            // In rounds of at most four everybody has to rank all others.
            let others = self.weights.iter().filter(|(other, _)| **other != response);
            let assigned: f64 = others.map(|(_, weight)| *weight as f64).sum();
            (weight > 0.0 && 2.0 * weight >= assigned).then_some(sum / weight / UNIT_SCORE)
        };
        let responses = self.agents.keys();
        responses
            .filter_map(|response| Some((*response, mean(*response)?)))
            .collect()
    }

    pub fn winner(&self) -> Option<AccountId> {
        let means = self.weighted_means();
        let (best, _) = means.iter().max_by(|a, b| a.1.total_cmp(b.1))?;
        self.agents.get(best).cloned()
    }

    /// Distance between the best and the second response: without a gap the winner depends on
    /// rounding.
    pub fn gap(&self) -> f64 {
        let mut means: Vec<_> = self.weighted_means().into_values().collect();
        means.sort_by(|a, b| b.total_cmp(a));
        match means[..] {
            [best, second, ..] => best - second,
            _ => 1.0,
        }
    }

    /// The others' weights and scores of a response.
    fn of_others(&self, ranker: u16, response: u16) -> Vec<(u128, u128)> {
        let others = self
            .given
            .iter()
            .filter(|((from, to), _)| *to == response && *from != ranker);
        others
            .map(|((from, _), score)| (self.weights[from].into(), (*score).into()))
            .collect()
    }

    /// The weighted mean of the others' scores of a response, as a fraction.
    fn mean_of_others(&self, ranker: u16, response: u16) -> (u128, u128) {
        let others = self.of_others(ranker, response);
        others.iter().fold((0, 0), |(sum, all), (weight, score)| {
            (sum + weight * score, all + weight)
        })
    }

    /// Number of pairs that a ranker orders like the others, and number of its pairs.
    fn agreement(&self, ranker: u16) -> (u128, u128) {
        let scored: Vec<_> = self
            .given
            .iter()
            .filter(|((from, _), _)| *from == ranker)
            .collect();
        let (mut agreed, mut pairs) = (0, 0);
        for (index, ((_, a), own_a)) in scored.iter().enumerate() {
            for ((_, b), own_b) in &scored[index + 1..] {
                pairs += 1;
                let (sum_a, all_a) = self.mean_of_others(ranker, *a);
                let (sum_b, all_b) = self.mean_of_others(ranker, *b);
                let others = (sum_a * all_b).cmp(&(sum_b * all_a));
                let ordered = all_a > 0 && all_b > 0 && own_a != own_b;
                agreed += u128::from(ordered && own_a.cmp(own_b) == others);
            }
        }
        (agreed, pairs)
    }

    /// Number of agents that disclosed their scores.
    pub fn disclosers(&self) -> usize {
        let from = |ranker: &&u16| self.given.keys().any(|(from, _)| from == *ranker);
        self.agents.keys().filter(from).count()
    }

    /// d = x − x̄ of a ranker's scores. x̄ is the weighted mean of the others' scores, at least two
    /// of them; equation (4).
    pub fn deviations(&self, agent: &AccountId) -> Vec<f64> {
        let ranker = self
            .agents
            .iter()
            .find(|(_, one)| *one == agent)
            .map(|(at, _)| *at);
        let own = self
            .given
            .iter()
            .filter(|((from, _), _)| Some(*from) == ranker);
        own.filter_map(|((from, to), score)| {
            let (sum, all) = self.mean_of_others(*from, *to);
            let deviation = (f64::from(*score) - sum as f64 / all as f64) / UNIT_SCORE;
            (all > 0 && self.of_others(*from, *to).len() >= 2).then_some(deviation)
        })
        .collect()
    }

    /// max − min of the responses' plain means.
    pub fn spread(&self) -> f64 {
        let mean = |response: &u16| {
            // A position that nobody has, so that everybody counts.
            let all = self.of_others(u16::MAX, *response);
            let sum: u128 = all.iter().map(|(_, score)| score).sum();
            sum as f64 / all.len() as f64 / UNIT_SCORE
        };
        let means: Vec<_> = self.agents.keys().map(mean).collect();
        let fold = |f: fn(f64, f64) -> f64| means.iter().copied().reduce(f).unwrap_or(0.0);
        fold(f64::max) - fold(f64::min)
    }
}

/// A share in parts per million, rounded down.
fn share(parts: u128, amount: Balance) -> Balance {
    amount * parts / 1_000_000
}

/// True if an agent sent all that it owed: a valid response, and its scores.
fn has_delivered(response: &ResponseView<AccountId>) -> bool {
    response.text.is_some() && response.scores.is_some()
}

/// Losers' share of a ticket, in parts per million.
#[derive(Clone, Copy)]
pub struct Losers {
    /// The part of a ticket that a loser forfeits.
    pub forfeit: u128,
    /// The part of it that returns to the pot.
    pub returned: u128,
}

/// The parameters of chains that begin with this release.
pub const TODAY: Losers = Losers {
    forfeit: 1_000_000,
    returned: 0,
};
/// Those of the first release, which its chains keep.
pub const FIRST_RELEASE: Losers = Losers {
    forfeit: 100_000,
    returned: 200_000,
};

/// Transfers of a round with a winner. `ratings` are those before the round, with 32 fractional
/// bits.
pub fn settle(
    view: &RoundView<AccountId>,
    ratings: &BTreeMap<AccountId, u64>,
    losers: Losers,
) -> Settlement {
    let scores = Scores::of(view);
    // A hash decides between equal responses, which is left to the chain.
    let winner = if scores.gap() > 1e-6 {
        scores.winner()
    } else {
        view.round.winner.clone()
    };
    let fee = view.round.terms.fee;
    let subsidy = share(5_000, fee);
    // 1 % of the round's reward, but at least ten thousandths of the currency.
    let ticket = share(10_000, fee + subsidy).max(10 * MILLI_UNIT);
    // A tenth of the fee, but at least one of the currency.
    let slash = share(100_000, fee).max(UNIT);
    let lost = |response: &ResponseView<AccountId>| match &response.text {
        None => ticket,
        Some(_) if Some(&response.agent) == winner.as_ref() => 0,
        Some(_) => share(losers.forfeit, ticket),
    };
    let forfeits: Balance = view.responses.iter().map(lost).sum();
    let into_pot = share(losers.returned, forfeits);
    let pot = fee + subsidy + into_pot;
    let rankers = share(200_000, pot);
    let points = |response: &ResponseView<AccountId>| {
        let ranked = response.scores.is_some() && response.weight.is_some_and(|weight| weight > 0);
        let position = response.position.filter(|_| ranked)?;
        let (agreed, pairs) = scores.agreement(position);
        let surplus = (2 * agreed).saturating_sub(pairs);
        (u128::from(ratings[&response.agent]) * surplus).checked_div(pairs)
    };
    let points = |response: &ResponseView<AccountId>| points(response).unwrap_or(0);
    let all: u128 = view.responses.iter().map(points).sum();
    let mut settlement = Settlement {
        winner: winner.clone(),
        subsidy,
        ..Settlement::default()
    };
    let (mut paid, mut slashed) = (0, 0);
    for response in &view.responses {
        let ranked = (rankers * points(response)).checked_div(all).unwrap_or(0);
        let is_winner = Some(&response.agent) == winner.as_ref();
        let won = if is_winner { share(700_000, pot) } else { 0 };
        let penalty = if has_delivered(response) { 0 } else { slash };
        paid += ranked + won;
        slashed += penalty;
        let gain = (ranked + won) as i128 - (lost(response) + penalty) as i128;
        settlement.gains.insert(response.agent.clone(), gain);
    }
    settlement.treasury = (pot - paid + forfeits - into_pot + slashed) as i128;
    settlement
}

/// σ and rating; equation (5) with the rules for agents of which little is known.
pub fn rating(deviations: &[f64]) -> f64 {
    const INITIAL: f64 = 0.7;
    let squares: f64 = deviations.iter().map(|d| d * d).sum();
    let computed = (1.0 - (squares / (deviations.len() as f64 - 1.0)).sqrt()).max(0.0);
    match deviations.len() {
        0 | 1 => INITIAL,
        2 | 3 => computed.min(INITIAL),
        _ => computed,
    }
}
