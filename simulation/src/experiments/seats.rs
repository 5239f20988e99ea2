// SPDX-License-Identifier: Apache-2.0
//! The seats that bonds buy among the validators, and what their owner can do with them.
//!
//! Honest validators run the chain from its genesis on. An owner of further bonds announces session
//! keys in the first session. All blocks, votes on finality and proofs of offences are those of the
//! real runtime. A validator that authors nothing leaves its slots empty. A block brings votes only
//! if they are enough for finality, since a node knows votes from justifications alone.
//!
//! GRANDPA's voters change only by a finalised block. Here they change with the session, so what is
//! said about finality is about each session's set alone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{bail, ensure, Context, Result};
use codec::{Decode, Encode};
use frame_support::traits::KeyOwnerProofSystem;
use pallet_agents::seats::tolerated;
use serde::{Deserialize, Serialize};
use sp_consensus_grandpa::{AuthorityId, EquivocationProof, KEY_TYPE};
use sp_core::H256;
use starling_runtime::{
    configs::KeyOwnership, parameters::Parameters, AccountId, Balance, BlockNumber, Grandpa,
    Runtime, RuntimeCall, Session, UncheckedExtrinsic, MINUTES, UNIT,
};

use super::name;
use crate::{
    chain::Chain,
    keys::Keys,
    output::{Output, Panel, Series},
    runner::Runner,
};

/// The bytes of GRANDPA's messages, and the round of all votes.
const PREVOTE: u8 = 0;
const PRECOMMIT: u8 = 1;
const ROUND: u64 = 1;

/// Block of a session, counted from its first one, before which votes are cast and keys announced.
const VOTES: BlockNumber = 2;

/// Block of a session before which attackers sign contradicting votes: the keys that they announced
/// are on record by then, and not in force.
const OFFENCE: BlockNumber = 10;

/// Number of sessions until announced keys are in force.
const ROTATION: u32 = 2;

/// Conduct of the owner of the bonds in its seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conduct {
    /// Authors and votes like everybody else, to get as many seats as it can.
    Capture,
    /// Runs no node.
    Silent,
    /// Authors and never votes.
    HalfSilent,
    /// Signs two contradicting votes with each seat, which are reported at once.
    Equivocator,
    /// The same, but announces another key for votes before, and the report comes when that one is
    /// in force.
    Rotating,
}

impl Conduct {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Capture,
        Self::Silent,
        Self::HalfSilent,
        Self::Equivocator,
        Self::Rotating,
    ];

    fn authors(self) -> bool {
        self != Self::Silent
    }

    fn votes(self) -> bool {
        !matches!(self, Self::Silent | Self::HalfSilent)
    }

    /// Number of sessions from an offence to its report, if there are offences.
    fn reported_after(self) -> Option<u32> {
        match self {
            Self::Equivocator => Some(0),
            Self::Rotating => Some(ROTATION),
            Self::Capture | Self::Silent | Self::HalfSilent => None,
        }
    }
}

/// Options of the experiment.
#[derive(Clone, Debug)]
pub struct Options {
    /// The parameters.
    pub parameters: Parameters,
    /// Number of honest validators.
    pub validators: usize,
    /// Bond of each of them.
    pub bond: Balance,
    /// Bond of each of the attackers.
    pub attacker_bond: Balance,
    /// Conduct of the attackers.
    pub conducts: Vec<Conduct>,
    /// Shares of the attackers in all bonds, below 1. There is one attacker at least.
    pub fractions: Vec<f64>,
    /// Number of sessions.
    pub sessions: u32,
    /// Seed of the keys, and so of the order of equal bonds.
    pub seed: u64,
}

impl Options {
    /// The largest number of attackers whose bonds are no more than this share of all bonds.
    fn attackers(&self, fraction: f64) -> usize {
        let honest = self.validators as f64 * self.bond as f64;
        let most = fraction / (1.0 - fraction) * honest / self.attacker_bond as f64;
        ((most + 1e-9).floor() as usize).max(1)
    }
}

/// A session, as it was after its last block. Amounts are in the currency's unit.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Conduct of the attackers.
    pub conduct: Conduct,
    /// The share of all bonds that they were to have at most.
    pub fraction: f64,
    /// The session.
    pub session: u32,
    /// Number of validators.
    pub validators: usize,
    /// Number of those that are attackers.
    pub attackers: usize,
    /// Number of validators that may fail or lie while GRANDPA stays safe and goes on.
    pub tolerated: usize,
    /// True if the honest validators alone can finalise.
    pub finality: bool,
    /// Number of attackers that the chain keeps from authoring.
    pub disabled: usize,
    /// Number of attackers that the chain has chilled.
    pub chilled: usize,
    /// Number of blocks.
    pub blocks: u32,
    /// Number of slots without one.
    pub empty_slots: u32,
    /// Losses of the attackers' bonds so far.
    pub lost: f64,
    /// Losses of honest validators' bonds.
    pub honest_lost: f64,
}

/// Result of a share of the bonds.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Conduct of the attackers.
    pub conduct: Conduct,
    /// The share of all bonds that they were to have at most.
    pub fraction: f64,
    /// Number of attackers, with a bond each.
    pub bonds: usize,
    /// Their share of all bonds.
    pub stake: f64,
    /// The most seats that they had in a session.
    pub most_seats: usize,
    /// The largest share of the seats that they had in a session.
    pub most_share: f64,
    /// The first session in which they were more than GRANDPA tolerates.
    pub captured: Option<u32>,
    /// Number of sessions in which the honest validators alone could not finalise.
    pub stalled: usize,
    /// Their seats in the last session.
    pub last_seats: usize,
    /// Their losses of bonds.
    pub lost: f64,
    /// Losses of honest validators' bonds.
    pub honest_lost: f64,
    /// Share of all slots that had no block.
    pub empty_slots: f64,
}

/// Plays all conducts and shares, and writes tables and a plot.
pub fn run(options: &Options, runner: Runner, output: &Output) -> Result<Vec<Outcome>> {
    let played = play(options, runner)?;
    let outcomes: Vec<Outcome> = played
        .iter()
        .filter_map(|rows| outcome(rows, options))
        .collect();
    output.table("seats", &outcomes)?;
    output.table("seats-sessions", &played.concat())?;
    let panel = |conduct: &Conduct| {
        let of = |rows: &&Vec<Row>| rows.first().is_some_and(|row| row.conduct == *conduct);
        let line = |rows: &Vec<Row>| {
            let points = rows
                .iter()
                .map(|row| (f64::from(row.session), share(row.attackers, row.validators)));
            let label = rows.first().map_or_else(String::new, |row| {
                format!("{:.0} % of the bonds", 100.0 * row.fraction)
            });
            Series::line(label, points.collect())
        };
        Panel {
            title: name(conduct),
            x: "session".into(),
            y: "attackers' share of the seats".into(),
            series: played.iter().filter(of).map(line).collect(),
        }
    };
    let panels: Vec<Panel> = options.conducts.iter().map(panel).collect();
    output.plot("seats", &panels)?;
    Ok(outcomes)
}

/// Plays all conducts and shares: the sessions of each pair.
pub fn play(options: &Options, runner: Runner) -> Result<Vec<Vec<Row>>> {
    ensure!(
        options.fractions.iter().all(|share| *share < 1.0),
        "some of the bonds must be honest"
    );
    let inputs: Vec<(Conduct, f64)> = options
        .conducts
        .iter()
        .flat_map(|conduct| {
            options
                .fractions
                .iter()
                .map(move |share| (*conduct, *share))
        })
        .collect();
    let steps = inputs.len() as u64 * u64::from(options.sessions);
    runner.all("seats", steps, &inputs, |(conduct, fraction), bar| {
        let mut stage = Stage::new(*conduct, *fraction, options)?;
        (0..options.sessions)
            .map(|session| {
                let row = stage.session(session, *fraction)?;
                bar.inc(1);
                Ok(row)
            })
            .collect()
    })
}

fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

/// Result of the sessions of one pair, if there are any.
pub fn outcome(rows: &[Row], options: &Options) -> Option<Outcome> {
    let last = rows.last()?;
    let bonds = options.attackers(last.fraction);
    let own = bonds as f64 * options.attacker_bond as f64;
    let honest = options.validators as f64 * options.bond as f64;
    let sum = |value: fn(&Row) -> u32| rows.iter().map(|row| f64::from(value(row))).sum::<f64>();
    let (blocks, empty) = (sum(|row| row.blocks), sum(|row| row.empty_slots));
    let shares = rows.iter().map(|row| share(row.attackers, row.validators));
    let captured = rows.iter().find(|row| row.attackers > row.tolerated);
    Some(Outcome {
        conduct: last.conduct,
        fraction: last.fraction,
        bonds,
        stake: own / (own + honest),
        most_seats: rows.iter().map(|row| row.attackers).max().unwrap_or(0),
        most_share: shares.fold(0.0, f64::max),
        captured: captured.map(|row| row.session),
        stalled: rows.iter().filter(|row| !row.finality).count(),
        last_seats: last.attackers,
        lost: last.lost,
        honest_lost: last.honest_lost,
        empty_slots: empty / (blocks + empty),
    })
}

/// The owner of a bond.
struct Actor {
    keys: Keys,
    /// The keys that it announces before an offence.
    later: Keys,
    bond: Balance,
    attacker: bool,
}

impl Actor {
    fn new(name: &str, bond: Balance, attacker: bool) -> Self {
        let keys = Keys::of(name);
        Self {
            later: keys.clone().voting_as(&format!("{name}, later")),
            keys,
            bond,
            attacker,
        }
    }

    /// Those of its keys with this one for votes.
    fn voting_with(&self, key: &AuthorityId) -> Option<&Keys> {
        let mut keys = [&self.keys, &self.later].into_iter();
        keys.find(|keys| AuthorityId::from(keys.finality()) == *key)
    }

    fn lost(&self, left: Balance) -> f64 {
        self.bond.saturating_sub(left) as f64 / UNIT as f64
    }
}

/// A chain with its validators and attackers.
struct Stage {
    conduct: Conduct,
    chain: Chain,
    actors: BTreeMap<AccountId, Actor>,
    /// The honest validators, which report in turn.
    honest: Vec<AccountId>,
    /// Transactions and votes that wait for a block.
    queue: Vec<UncheckedExtrinsic>,
    /// Attackers whose offence is known.
    offenders: BTreeSet<AccountId>,
    /// Reports, with the session in which they are sent.
    reports: Vec<(u32, RuntimeCall)>,
}

impl Stage {
    fn new(conduct: Conduct, fraction: f64, options: &Options) -> Result<Self> {
        let of = |kind: &str, count: usize, bond: Balance, attacker: bool| -> Vec<Actor> {
            let name = |index: usize| format!("{kind} {index} of {}", options.seed);
            (0..count)
                .map(|index| Actor::new(&name(index), bond, attacker))
                .collect()
        };
        let honest = of("validator", options.validators, options.bond, false);
        let count = options.attackers(fraction);
        let attackers = of("attacker", count, options.attacker_bond, true);
        let bonds = |actors: &[Actor]| -> Vec<(Keys, Balance)> {
            let bond = |actor: &Actor| (actor.keys.clone(), actor.bond);
            actors.iter().map(bond).collect()
        };
        let mut chain = Chain::start(
            options.parameters.clone(),
            None,
            bonds(&honest),
            bonds(&attackers),
            &[],
        )?;
        let announced = attackers
            .iter()
            .map(|actor| (&actor.keys, announce(&actor.keys)));
        chain.send(announced.collect())?;
        let account = |actor: &Actor| actor.keys.account_id();
        Ok(Self {
            conduct,
            chain,
            honest: honest.iter().map(account).collect(),
            actors: honest
                .into_iter()
                .chain(attackers)
                .map(|actor| (actor.keys.account_id(), actor))
                .collect(),
            queue: Vec::new(),
            offenders: BTreeSet::new(),
            reports: Vec::new(),
        })
    }

    /// Plays a session from its first block to its last one.
    fn session(&mut self, session: u32, fraction: f64) -> Result<Row> {
        let first = session * MINUTES;
        let (mut blocks, mut empty_slots) = (0, 0);
        while self.chain.number() + 1 < first + MINUTES {
            match (self.chain.number() + 1).checked_sub(first) {
                Some(VOTES) => {
                    self.vote()?;
                    self.rotate()?;
                },
                Some(OFFENCE) => self.offend(session)?,
                _ => self.report(session)?,
            }
            let (actors, conduct) = (&self.actors, self.conduct);
            let is_awake = |who: &AccountId| {
                let attacker = actors.get(who).is_some_and(|actor| actor.attacker);
                !attacker || conduct.authors()
            };
            let (block, empty) = self.chain.author_awake(&mut self.queue, is_awake)?;
            if let Some((_, rejection)) = block.rejected.first() {
                bail!("session {session} rejected a transaction: {rejection:?}");
            }
            blocks += 1;
            empty_slots += empty;
        }
        Ok(self.observe(session, fraction, blocks, empty_slots))
    }

    fn observe(&mut self, session: u32, fraction: f64, blocks: u32, empty_slots: u32) -> Row {
        let actors = &self.actors;
        let (validators, disabled, agents) = self.chain.read(|| {
            let agents = actors.keys().map(pallet_agents::Agents::<Runtime>::get);
            (
                Session::validators(),
                Session::disabled_validators(),
                agents.collect::<Vec<_>>(),
            )
        });
        let attacks = |who: &AccountId| actors.get(who).is_some_and(|actor| actor.attacker);
        let attackers = validators.iter().filter(|who| attacks(who)).count();
        let is_disabled = |place: &u32| validators.get(*place as usize).is_some_and(attacks);
        let tolerated = tolerated(validators.len() as u32) as usize;
        let states = || actors.values().zip(&agents);
        let lost = |attacker: bool| -> f64 {
            let of = states().filter(|(actor, _)| actor.attacker == attacker);
            of.map(|(actor, agent)| actor.lost(agent.as_ref().map_or(0, |agent| agent.bond)))
                .sum()
        };
        let chilled = states().filter(|(actor, agent)| {
            actor.attacker && agent.as_ref().is_some_and(|agent| agent.chilled)
        });
        Row {
            conduct: self.conduct,
            fraction,
            session,
            validators: validators.len(),
            attackers,
            tolerated,
            finality: attackers <= tolerated,
            disabled: disabled.iter().filter(|place| is_disabled(place)).count(),
            chilled: chilled.count(),
            blocks,
            empty_slots,
            lost: lost(true),
            honest_lost: lost(false),
        }
    }

    /// GRANDPA's present set, and its voters with the keys that they vote with.
    fn voters(&mut self) -> (u64, Vec<(&Actor, &Keys)>) {
        let (set, authorities) = self.chain.read(|| {
            let set = pallet_grandpa::CurrentSetId::<Runtime>::get();
            (set, Grandpa::grandpa_authorities())
        });
        let actors = &self.actors;
        let voter = |key: &AuthorityId| {
            let mut found = actors.values();
            found.find_map(|actor| Some((actor, actor.voting_with(key)?)))
        };
        let voters = authorities.iter().filter_map(|(key, _)| voter(key));
        (set, voters.collect())
    }

    /// Lets the next block bring the votes of this session on the last block, if they are enough
    /// for finality.
    fn vote(&mut self) -> Result<()> {
        let (hash, number) = (self.chain.head_hash(), self.chain.number());
        let conduct = self.conduct;
        let (set, voters) = self.voters();
        let payload = (PRECOMMIT, (hash, number), ROUND, set).encode();
        let votes: Vec<_> = voters
            .iter()
            .filter(|(actor, _)| !actor.attacker || conduct.votes())
            .map(|(_, keys)| pallet_votes::Vote {
                hash,
                number,
                voter: keys.finality().into(),
                signature: keys.sign_vote(&payload).into(),
            })
            .collect();
        let all = voters.len();
        if votes.len() + tolerated(all as u32) as usize >= all {
            let note = RuntimeCall::Votes(pallet_votes::Call::note {
                round: ROUND,
                votes,
            });
            // What the author adds comes before all transactions.
            self.queue.insert(0, UncheckedExtrinsic::new_bare(note));
        }
        Ok(())
    }

    /// The attackers that sit and have not committed an offence yet, with their keys in force.
    fn tempted(&mut self) -> (u64, Vec<(AccountId, Keys)>) {
        let (set, voters) = self.voters();
        let voters: Vec<(AccountId, Keys)> = voters
            .into_iter()
            .filter(|(actor, _)| actor.attacker)
            .map(|(_, keys)| (keys.account_id(), keys.clone()))
            .collect();
        let fresh = |(who, _): &(AccountId, Keys)| !self.offenders.contains(who);
        (set, voters.into_iter().filter(fresh).collect())
    }

    /// Lets attackers announce other keys in the session of their offence.
    fn rotate(&mut self) -> Result<()> {
        if self.conduct != Conduct::Rotating {
            return Ok(());
        }
        let (_, tempted) = self.tempted();
        for (who, _) in tempted {
            let later = self.actors.get(&who).context("an attacker is known")?;
            let later = later.later.clone();
            let call = announce(&later);
            let transaction = self.chain.sign(&later, call)?;
            self.queue.push(transaction);
        }
        Ok(())
    }

    /// Lets attackers contradict themselves, and others note the proofs.
    fn offend(&mut self, session: u32) -> Result<()> {
        let Some(sessions) = self.conduct.reported_after() else {
            return Ok(());
        };
        let (set, tempted) = self.tempted();
        for (who, keys) in tempted {
            let voter = AuthorityId::from(keys.finality());
            let key_owner_proof = self
                .chain
                .read(|| KeyOwnership::prove((KEY_TYPE, voter)))
                .context("a key in force has an owner")?;
            let report = RuntimeCall::Grandpa(pallet_grandpa::Call::report_equivocation {
                equivocation_proof: Box::new(contradicting(&keys, set)?),
                key_owner_proof,
            });
            self.reports.push((session + sessions, report));
            self.offenders.insert(who);
        }
        Ok(())
    }

    /// Sends the first report that is due: one at a time, each by another honest validator.
    fn report(&mut self, session: u32) -> Result<()> {
        let due = self.reports.first().is_some_and(|(due, _)| *due <= session);
        if !due || !self.queue.is_empty() {
            return Ok(());
        }
        let (_, report) = self.reports.remove(0);
        let turn = self.reports.len() % self.honest.len().max(1);
        let reporter = self.honest.get(turn).context("somebody is honest")?;
        let reporter = self.actors.get(reporter).context("a reporter is known")?;
        let transaction = self.chain.sign(&reporter.keys, report)?;
        self.queue.push(transaction);
        Ok(())
    }
}

/// Announces session keys.
fn announce(keys: &Keys) -> RuntimeCall {
    RuntimeCall::Session(pallet_session::Call::set_keys {
        keys: keys.session(),
        proof: keys.session_proof(),
    })
}

/// Two prevotes of one round.
fn contradicting(keys: &Keys, set: u64) -> Result<EquivocationProof<H256, BlockNumber>> {
    let votes = [1, 2].map(|block| {
        let vote: (H256, BlockNumber) = (H256::repeat_byte(block), 7);
        let signature = keys.sign_vote(&(PREVOTE, vote, ROUND, set).encode());
        (vote, signature)
    });
    let bytes = (set, PREVOTE, ROUND, keys.finality(), votes).encode();
    EquivocationProof::decode(&mut bytes.as_slice()).context("two votes are a proof")
}

#[cfg(test)]
mod tests {
    use starling_runtime::parameters::Preset;

    use super::*;

    fn options() -> Options {
        Options {
            parameters: Preset::Production.parameters(),
            validators: 20,
            bond: 2_000 * UNIT,
            attacker_bond: 1_000 * UNIT,
            conducts: Conduct::ALL.into(),
            fractions: vec![0.5],
            sessions: 1,
            seed: 1,
        }
    }

    #[test]
    fn a_share_of_the_bonds_is_as_many_bonds_as_it_pays_for_and_one_at_least() {
        let bonds = [0.0, 0.2, 0.5].map(|fraction| options().attackers(fraction));
        assert_eq!(bonds, [1, 10, 40]);
    }

    #[test]
    fn more_seats_than_grandpa_tolerates_are_a_capture() {
        let row = |session: u32, attackers: usize| Row {
            conduct: Conduct::Capture,
            fraction: 0.5,
            session,
            validators: 10,
            attackers,
            tolerated: 3,
            finality: attackers <= 3,
            disabled: 0,
            chilled: 0,
            blocks: 60,
            empty_slots: 20,
            lost: 0.0,
            honest_lost: 0.0,
        };
        let rows = [row(0, 0), row(1, 3), row(2, 4), row(3, 5), row(4, 2)];
        let outcome = outcome(&rows, &options()).expect("there are sessions");
        assert_eq!((outcome.captured, outcome.stalled), (Some(2), 2));
        assert_eq!((outcome.most_seats, outcome.last_seats), (5, 2));
        assert_eq!((outcome.most_share, outcome.empty_slots), (0.5, 0.25));
    }
}
