// SPDX-License-Identifier: Apache-2.0
//! The price of a ticket at which further identities stop paying: figure 6 of the paper, and the
//! cases that it leaves out.

use anyhow::Result;
use serde::Serialize;
use sp_runtime::Permill;
use starling_runtime::{
    parameters::{Parameters, Preset},
    Balance, UNIT,
};

use super::name;
use crate::{
    ability::Ability,
    behaviour::Kind,
    output::{Output, Panel, Series},
    runner::Runner,
    stats::{confidence, mean},
    swarm::{Config, Spec, Swarm},
};

/// Reward of a request in figure 6, in the currency's unit.
const REWARD: f64 = 20.0;

/// Options of a surface.
#[derive(Clone, Debug)]
pub struct SurfaceOptions {
    /// The preset.
    pub preset: Preset,
    /// Numbers of agents.
    pub agents: Vec<usize>,
    /// Prices of a ticket.
    pub tickets: Vec<f64>,
    /// Rounds at each point.
    pub rounds: u32,
    /// The seed.
    pub seed: u64,
}

/// Profit of an identity among equals.
#[derive(Clone, Debug, Serialize)]
pub struct Profit {
    /// The preset.
    pub preset: String,
    /// Identities in each round, all alike: random answers, random scores.
    pub agents: usize,
    /// The price of a ticket.
    pub ticket: f64,
    /// Profit of an identity a round, mean of all.
    pub profit: f64,
    /// The derived profit; see [`derived`].
    pub derived: f64,
    /// The paper's `R/n − T`.
    pub paper: f64,
}

/// Price of a ticket at which an identity earns nothing.
#[derive(Clone, Debug, Serialize)]
pub struct BreakEven {
    /// The preset.
    pub preset: String,
    /// Identities in each round.
    pub agents: usize,
    /// Price at which the measured profits cross zero.
    pub measured: f64,
    /// Price at which the derived line crosses zero.
    pub derived: f64,
    /// The paper's `R/n`.
    pub paper: f64,
}

/// The parameters of a surface, with the given price of a ticket. Nobody is silent, so the windows
/// end no phase; they have room for the scores of 500 agents that rank a third of each other.
fn priced(preset: Preset, ticket: f64) -> Parameters {
    let mut parameters = preset.parameters();
    parameters.min_ticket = (ticket * UNIT as f64).round() as Balance;
    parameters.ticket_share = Permill::zero();
    parameters
}

fn share(part: Permill) -> f64 {
    f64::from(part.deconstruct()) / 1e6
}

/// Profit of one of `n` equal identities a round, and the price at which it is zero.
///
/// All of the pot's shares but the treasury's go to some of them. All but the winner forfeit a part
/// `λ` of their ticket, of which `φ` returns into the pot. With `g` the winner's and the rankers'
/// share together, `n · profit = g · (R + φ·λ·(n−1)·T) − λ·(n−1)·T`. If no ranker agrees with the
/// others, the rankers' share goes to the treasury, too: this is rare among ten that score at
/// random, and was not seen among twenty.
pub fn derived(parameters: &Parameters, n: usize, reward: f64, ticket: f64) -> (f64, f64) {
    let rewards = &parameters.rewards;
    let given = share(rewards.winner) + share(rewards.rankers);
    let reward = reward * (1.0 + share(rewards.subsidy));
    let losers = share(rewards.loser) * (n as f64 - 1.0);
    let back = 1.0 - given * share(rewards.forfeits);
    let profit = (given * reward - losers * back * ticket) / n as f64;
    (profit, given * reward / (losers * back))
}

/// Plays every point of a surface, and one more price for each number of agents: twice the price at
/// which an identity should earn nothing.
pub fn surface(options: &SurfaceOptions, runner: Runner) -> Result<Vec<Profit>> {
    let points: Vec<(usize, f64)> = options
        .agents
        .iter()
        .flat_map(|n| {
            // A price beyond the line, so that the zero lies between played prices.
            let beyond = 2.0 * derived(&priced(options.preset, 0.0), *n, REWARD, 0.0).1;
            let tickets = options.tickets.iter().copied().chain([beyond]);
            tickets.map(move |ticket| (*n, ticket))
        })
        .collect();
    let steps = points.len() as u64 * u64::from(options.rounds);
    let label = format!("sybil {}", name(&options.preset));
    runner.all(&label, steps, &points, |(n, ticket), bar| {
        let parameters = priced(options.preset, *ticket);
        let agents = vec![
            Spec {
                kind: Kind::Lazy,
                ..Spec::honest(Ability::default())
            };
            *n
        ];
        let seed = options.seed.wrapping_add(*n as u64);
        let mut swarm = Swarm::new(Config::new(parameters.clone(), agents, seed))?;
        let before: f64 = swarm.wealth().iter().sum();
        for _ in 0..options.rounds {
            swarm.play()?;
            bar.inc(1);
        }
        let after: f64 = swarm.wealth().iter().sum();
        Ok(Profit {
            preset: name(&options.preset),
            agents: *n,
            ticket: *ticket,
            profit: (after - before) / f64::from(options.rounds) / *n as f64,
            derived: derived(&parameters, *n, REWARD, *ticket).0,
            paper: REWARD / *n as f64 - ticket,
        })
    })
}

/// The zero of the profits, on the line through the lowest and the highest price.
pub fn break_even(options: &SurfaceOptions, profits: &[Profit]) -> Vec<BreakEven> {
    options
        .agents
        .iter()
        .filter_map(|n| {
            let line = || profits.iter().filter(|profit| profit.agents == *n);
            let by_price = |a: &&Profit, b: &&Profit| a.ticket.total_cmp(&b.ticket);
            let (first, last) = (line().min_by(by_price)?, line().max_by(by_price)?);
            let slope = (last.profit - first.profit) / (last.ticket - first.ticket);
            Some(BreakEven {
                preset: name(&options.preset),
                agents: *n,
                measured: first.ticket - first.profit / slope,
                derived: derived(&priced(options.preset, 0.0), *n, REWARD, 0.0).1,
                paper: REWARD / *n as f64,
            })
        })
        .collect()
}

/// Plays figure 6 under each of the presets.
pub fn run(sets: &[SurfaceOptions], runner: Runner, output: &Output) -> Result<Vec<BreakEven>> {
    let (mut all, mut lines) = (Vec::new(), Vec::new());
    for options in sets {
        let profits = surface(options, runner)?;
        let line = break_even(options, &profits);
        let preset = name(&options.preset);
        let by_price = |value: fn(&Profit) -> f64| -> Vec<Series> {
            let line = |ticket: &f64| {
                let at = profits.iter().filter(|profit| profit.ticket == *ticket);
                let points = at.map(|profit| (profit.agents as f64, value(profit)));
                Series::line(format!("T = {ticket}"), points.collect())
            };
            options.tickets.iter().map(line).collect()
        };
        let surface = |title: String, series| Panel {
            title,
            x: "identities".into(),
            y: "profit a round".into(),
            series,
        };
        let ends = |value: &dyn Fn(&BreakEven) -> f64| {
            line.iter()
                .map(|even| ((even.agents as f64).log10(), value(even).log10()))
                .collect()
        };
        output.plot(
            &format!("sybil-{preset}"),
            &[
                surface(
                    format!("The paper's R/n − T, R = {REWARD}"),
                    by_price(|profit| profit.paper),
                ),
                surface(
                    format!("Profit of an identity ({preset})"),
                    by_price(|profit| profit.profit),
                ),
                Panel {
                    title: "Break-even".into(),
                    x: "identities, decimal logarithm".into(),
                    y: "ticket, decimal logarithm".into(),
                    series: vec![
                        Series::points("measured", ends(&|even| even.measured)),
                        Series::line("derived", ends(&|even| even.derived)),
                        Series::line("paper: R/n", ends(&|even| even.paper)),
                    ],
                },
            ],
        )?;
        all.extend(profits);
        lines.extend(line);
    }
    output.table("sybil", &all)?;
    output.table("sybil-break-even", &lines)?;
    Ok(lines)
}

/// Options of the cases that the paper leaves out.
#[derive(Clone, Debug)]
pub struct CaseOptions {
    /// The parameters.
    pub parameters: Parameters,
    /// Number of agents.
    pub agents: usize,
    /// Shares of the agents that belong to one person.
    pub shares: Vec<f64>,
    /// Rounds before money is counted, in which the ratings settle.
    pub warm_up: u32,
    /// Rounds that are counted.
    pub rounds: u32,
    /// The seeds.
    pub seeds: Vec<u64>,
}

/// Behaviours of Sybils.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// Poor answers and random scores: the cheapest way.
    Random,
    /// Poor answers, and scores for each other.
    Colluding,
    /// Honest agents' answers, whose style is easily copied, and random scores.
    Style,
    /// Good answers, and scores for each other.
    StyleColluding,
}

/// Income of one person's identities among honest agents.
#[derive(Clone, Debug, Serialize)]
pub struct CaseRow {
    /// Their behaviour.
    pub case: Case,
    /// Share of the identities that belong to one person.
    pub share: f64,
    /// The price of a ticket.
    pub ticket: f64,
    /// Share of rounds that one of them wins.
    pub wins: f64,
    /// Income of one of them a round.
    pub income: f64,
    /// Half of its 95 % confidence interval, over the rounds.
    pub income_ci: f64,
    /// Income of an honest agent a round.
    pub honest_income: f64,
    /// Price of a ticket at which they would earn nothing, everything else being equal.
    pub stops_at: f64,
    /// The same, as a share of the reward.
    pub stops_at_share: f64,
}

impl Case {
    /// All cases.
    pub const ALL: [Self; 4] = [
        Self::Random,
        Self::Colluding,
        Self::Style,
        Self::StyleColluding,
    ];

    fn spec(self) -> Spec {
        let poor = Ability {
            skill: super::POOR,
            ..Ability::default()
        };
        let (kind, ability) = match self {
            Self::Random => (Kind::Lazy, poor),
            Self::Colluding => (Kind::Ring, poor),
            Self::Style => (Kind::Lazy, Ability::default()),
            Self::StyleColluding => (Kind::Ring, Ability::default()),
        };
        Spec {
            ability,
            kind,
            attacker: true,
        }
    }
}

/// Plays all cases.
pub fn cases(options: &CaseOptions, runner: Runner, output: &Output) -> Result<Vec<CaseRow>> {
    let inputs: Vec<(Case, f64)> = Case::ALL
        .into_iter()
        .flat_map(|case| options.shares.iter().map(move |share| (case, *share)))
        .collect();
    let rounds = u64::from(options.warm_up + options.rounds) * options.seeds.len() as u64;
    let rows = runner.all(
        "sybil cases",
        rounds * inputs.len() as u64,
        &inputs,
        |input, bar| case(input.0, input.1, options, &|| bar.inc(1)),
    )?;
    output.table("sybil-cases", &rows)?;
    let series = Case::ALL.map(|case| {
        let of_case = rows.iter().filter(|row| row.case == case);
        Series::line(
            format!("{case:?}"),
            of_case.map(|row| (row.share, row.income)).collect(),
        )
    });
    output.plot(
        "sybil-cases",
        &[Panel {
            title: "What a Sybil earns among honest agents".into(),
            x: "share of the identities".into(),
            y: "income a round".into(),
            series: series.into(),
        }],
    )?;
    Ok(rows)
}

fn case(case: Case, part: f64, options: &CaseOptions, step: &dyn Fn()) -> Result<CaseRow> {
    let parameters = &options.parameters;
    let sybils = ((part * options.agents as f64).round() as usize).max(1);
    let mut agents = vec![case.spec(); sybils];
    agents.resize(options.agents, Spec::honest(Ability::default()));
    let (mut incomes, mut honest, mut wins) = (Vec::new(), Vec::new(), 0);
    for seed in &options.seeds {
        let mut swarm = Swarm::new(Config::new(parameters.clone(), agents.clone(), *seed))?;
        for _ in 0..options.warm_up {
            swarm.play()?;
            step();
        }
        let mut before = swarm.wealth();
        for _ in 0..options.rounds {
            let played = swarm.play()?;
            step();
            wins += usize::from(played.winner.is_some_and(|winner| winner < sybils));
            let after = swarm.wealth();
            let gains: Vec<f64> = after
                .iter()
                .zip(&before)
                .map(|(after, before)| after - before)
                .collect();
            incomes.push(mean(&gains[..sybils]));
            honest.push(mean(&gains[sybils..]));
            before = after;
        }
    }
    let loser = share(parameters.rewards.loser);
    let subsidy = share(parameters.rewards.subsidy);
    let reward = REWARD * (1.0 + subsidy);
    let ticket = share(parameters.ticket_share) * reward;
    let wins = wins as f64 / incomes.len().max(1) as f64;
    let income = mean(&incomes);
    // Each pays a part of its ticket in each round that it does not win.
    let loses = 1.0 - wins / sybils as f64;
    let stops_at = (ticket + income / (loser * loses)).max(0.0);
    Ok(CaseRow {
        case,
        share: part,
        ticket,
        wins,
        income,
        income_ci: confidence(&incomes),
        honest_income: mean(&honest),
        stops_at,
        stops_at_share: stops_at / reward,
    })
}
