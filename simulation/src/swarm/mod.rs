// SPDX-License-Identifier: Apache-2.0
//! A swarm that plays rounds on a chain.

mod answer;
mod flood;
mod rank;
mod report;
mod request;

use std::collections::BTreeMap;

use anyhow::{bail, ensure, Context, Result};
use frame_system::offchain::CreateAuthorizedTransaction;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sp_core::H256;
use sp_runtime::Perbill;
use starling_primitives::{
    fixed::ONE,
    messages::{payload, Message},
    sealing::Slot,
    traits::Ratings as _,
    Balance, Position, RoundId, Salt, Score, Secret,
};
use starling_runtime::{
    parameters::Parameters, AccountId, Balances, BlockNumber, Ratings, Rounds, Runtime,
    RuntimeCall, UncheckedExtrinsic, UNIT,
};

pub use flood::Flood;
pub use report::{Given, Played};

use crate::{
    ability::Ability,
    behaviour::{Answer, Behaviour, Kind, Me, Move},
    chain::{Authoring, Chain, Genesis, Rejection},
    keys::Keys,
};

/// Bond of an agent of the simulation, far above any claim of a round.
const BOND: Balance = 1_000_000 * UNIT;

/// Funds with which an agent buys tickets before the first round.
const TICKETS: Balance = 100_000 * UNIT;

/// Maximum number of blocks of a round; beyond it the round counts as stuck.
const MOST_BLOCKS: usize = 5_000;

/// One agent of a swarm.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its abilities.
    pub ability: Ability,
    /// Its behaviour.
    pub kind: Kind,
    /// True if it belongs to the attacking group.
    pub attacker: bool,
}

impl Spec {
    /// An honest agent of this ability.
    pub fn honest(ability: Ability) -> Self {
        Self {
            ability,
            kind: Kind::Honest,
            attacker: false,
        }
    }
}

/// The attackers' actions besides taking part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Plot {
    /// No action.
    #[default]
    None,
    /// Some validators belong to the attackers, and leave out everybody else's messages.
    Censor {
        /// Number of validators.
        validators: usize,
    },
    /// The first validators belong to the attackers. Those whose slots come in a row leave out
    /// some, and put a request into the block after which the randomness draws most of the group.
    Grind {
        /// Number of validators.
        validators: usize,
        /// Maximum number of slots in a row.
        candidates: u32,
    },
}

/// A swarm and its chain.
#[derive(Clone, Debug)]
pub struct Config {
    /// The chain's parameters.
    pub parameters: Parameters,
    /// The agents.
    pub agents: Vec<Spec>,
    /// Number of validators.
    pub validators: usize,
    /// Fee of a request.
    pub fee: Balance,
    /// Maximum number of agents in a round; `None` means all of them.
    pub max_responses: Option<u32>,
    /// Length of a response in bytes.
    pub response_bytes: usize,
    /// Maximum length of a response in tokens.
    pub max_tokens: u32,
    /// The attackers' actions besides taking part.
    pub plot: Plot,
    /// Share of a block that an author fills.
    pub fill: Perbill,
    /// True to measure the size of the storage proofs.
    pub prove: bool,
    /// Seed of all random numbers.
    pub seed: u64,
}

impl Config {
    /// A swarm with these parameters and defaults for everything else.
    pub fn new(parameters: Parameters, agents: Vec<Spec>, seed: u64) -> Self {
        Self {
            parameters,
            agents,
            validators: 10,
            fee: 20 * UNIT,
            max_responses: None,
            response_bytes: 64,
            // Enough for the longest response of an experiment.
            max_tokens: 2_048,
            plot: Plot::None,
            fill: Perbill::one(),
            prove: false,
            seed,
        }
    }
}

struct Member {
    keys: Keys,
    spec: Spec,
    behaviour: Box<dyn Behaviour>,
    rounds: u32,
}

/// The seed of the assignment, the scores and the salt of their commitment.
type CommittedScores = (H256, Vec<(Position, Score)>, Salt);

/// Prepared messages of a member for a round.
#[derive(Default)]
struct Draft {
    answer: Option<Answer>,
    key: Secret,
    sealed: Vec<u8>,
    /// Its decisions about commit, reveal, scores and disclosure.
    moves: [Option<Move>; 4],
    scores: Option<CommittedScores>,
}

/// A message that waits for a block, with the agent that sent it; none for the requester.
type Sent = (Option<usize>, UncheckedExtrinsic);

/// A swarm of agents on a chain of its own.
pub struct Swarm {
    chain: Chain,
    config: Config,
    members: Vec<Member>,
    accounts: Vec<AccountId>,
    group: Vec<usize>,
    requester: Keys,
    rng: ChaCha8Rng,
    pool: Vec<Sent>,
}

impl Swarm {
    /// Starts a chain with these agents, which then buy their tickets.
    pub fn new(config: Config) -> Result<Self> {
        let behaviours = config.agents.iter().map(|spec| spec.kind.behaviour());
        let behaviours = behaviours.collect();
        Self::of(config, behaviours)
    }

    /// As [`Self::new`], with a given behaviour for each agent in place of its kind's.
    pub fn of(config: Config, behaviours: Vec<Box<dyn Behaviour>>) -> Result<Self> {
        ensure!(!config.agents.is_empty(), "a swarm needs agents");
        ensure!(
            behaviours.len() == config.agents.len(),
            "every agent needs one behaviour"
        );
        let members: Vec<Member> = config
            .agents
            .iter()
            .zip(behaviours)
            .enumerate()
            .map(|(index, (spec, behaviour))| Member {
                keys: Keys::of(&format!("agent {index} of {}", config.seed)),
                spec: *spec,
                behaviour,
                rounds: 0,
            })
            .collect();
        let requester = Keys::of("requester");
        let mut chain = Chain::new(Genesis {
            parameters: config.parameters.clone(),
            disputes: None,
            validators: config.validators,
            agents: members
                .iter()
                .map(|member| (member.keys.clone(), BOND))
                .collect(),
            accounts: vec![requester.account_id()],
        })?;
        let buy = RuntimeCall::Tickets(pallet_tickets::Call::buy { amount: TICKETS });
        chain.send(
            members
                .iter()
                .map(|member| (&member.keys, buy.clone()))
                .collect(),
        )?;
        let group = members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.spec.attacker)
            .map(|(index, _)| index)
            .collect();
        Ok(Self {
            chain,
            accounts: members
                .iter()
                .map(|member| member.keys.account_id())
                .collect(),
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            members,
            group,
            requester,
            pool: Vec::new(),
            config,
        })
    }

    /// The chain.
    pub fn chain(&mut self) -> &mut Chain {
        &mut self.chain
    }

    /// The configuration that it was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Total funds of each agent, with tickets and bond, in the currency's unit.
    pub fn wealth(&mut self) -> Vec<f64> {
        let accounts = self.accounts.clone();
        self.chain.read(|| accounts.iter().map(wealth_of).collect())
    }

    /// Total funds of the requester, with deposits, in the currency's unit.
    pub fn requester_wealth(&mut self) -> f64 {
        let requester = self.requester.account_id();
        self.chain.read(|| wealth_of(&requester))
    }

    /// Sets the attackers' actions besides taking part.
    pub fn set_plot(&mut self, plot: Plot) {
        self.config.plot = plot;
    }

    /// The agents' ratings.
    pub fn ratings(&mut self) -> Vec<f64> {
        let accounts = self.accounts.clone();
        self.chain.read(|| {
            let rating = |who| Ratings::rating(who) as f64 / ONE as f64;
            accounts.iter().map(rating).collect()
        })
    }

    /// Authors blocks without any message.
    pub fn rest(&mut self, blocks: u32) -> Result<()> {
        for _ in 0..blocks {
            self.chain.author(&mut Vec::new(), Authoring::default())?;
        }
        Ok(())
    }

    /// Plays one round, from the request until its end. Its ratings are recorded in the block after
    /// that, which is the next round's first.
    pub fn play(&mut self) -> Result<Played> {
        self.play_observed(|_| ())
    }

    /// Like [`Self::play`], but `observe` sees the chain after each block.
    pub fn play_observed(&mut self, mut observe: impl FnMut(&mut Chain)) -> Result<Played> {
        let first = self.request()?;
        let mut rejected = first.rejected.len();
        let id = self.chain.read(pallet_rounds::NextRound::<Runtime>::get) - 1;
        let mut blocks = vec![first];
        let mut drafts: Vec<Draft> = self.members.iter().map(|_| Draft::default()).collect();
        while self.chain.read(Rounds::open_rounds).contains(&id) {
            ensure!(blocks.len() < MOST_BLOCKS, "round {id} does not end");
            self.prepare(id, &mut drafts)?;
            let block = self.next_block()?;
            observe(&mut self.chain);
            for (_, rejection) in &block.rejected {
                if let Rejection::Failed(error) = rejection {
                    bail!("a feeless message was included unpaid and failed: {error:?}");
                }
            }
            rejected += block.rejected.len();
            blocks.push(block);
        }
        for member in &mut self.members {
            member.rounds += 1;
        }
        self.pool.clear();
        self.report(id, blocks, drafts, rejected)
    }

    /// Lets every member decide, and puts its messages into the pool.
    fn prepare(&mut self, id: RoundId, drafts: &mut [Draft]) -> Result<()> {
        let round = self
            .chain
            .read(|| pallet_rounds::Rounds::<Runtime>::get(id))
            .context("an open round is stored")?;
        self.send_late(id, round.phase, drafts)?;
        match round.phase {
            pallet_rounds::Phase::Committing => self.answer(id, drafts),
            pallet_rounds::Phase::Revealing => self.reveal(id, &round, drafts),
            pallet_rounds::Phase::Ranking => self.rank(id, &round, drafts),
            pallet_rounds::Phase::Disclosing => self.disclose(id, drafts),
            pallet_rounds::Phase::Done | pallet_rounds::Phase::Failed(_) => Ok(()),
        }
    }

    /// Sends the messages that were held back until their phase had ended.
    fn send_late(
        &mut self,
        id: RoundId,
        phase: pallet_rounds::Phase,
        drafts: &mut [Draft],
    ) -> Result<()> {
        use pallet_rounds::Phase;
        for (index, draft) in drafts.iter_mut().enumerate() {
            let late =
                |step: usize, over: Phase| draft.moves[step] == Some(Move::Late) && phase > over;
            let message = if late(0, Phase::Committing) {
                draft.moves[0] = Some(Move::Never);
                self.commit(id, index, draft)
            } else if late(1, Phase::Revealing) {
                draft.moves[1] = Some(Move::Never);
                self.reveal_message(id, index, draft)
            } else if late(2, Phase::Ranking) {
                draft.moves[2] = Some(Move::Never);
                self.commit_scores(id, index, draft)?
            } else {
                // Scores that are disclosed late reach a round that has ended, in which the chain
                // has nothing left to refuse.
                continue;
            };
            self.pool.push((Some(index), message));
        }
        Ok(())
    }

    /// Asks a member's behaviour.
    fn ask<R>(
        &mut self,
        index: usize,
        ask: impl FnOnce(&mut dyn Behaviour, &Me, &mut ChaCha8Rng) -> R,
    ) -> R {
        let member = &mut self.members[index];
        let me = Me {
            index,
            ability: &member.spec.ability,
            group: &self.group,
            rounds: member.rounds,
        };
        ask(member.behaviour.as_mut(), &me, &mut self.rng)
    }

    fn slot(&self, id: RoundId, index: usize) -> Slot<'_, AccountId> {
        Slot {
            genesis: self.chain.genesis(),
            round: id,
            agent: &self.accounts[index],
        }
    }

    fn sign(&self, id: RoundId, index: usize, message: &Message) -> pallet_rounds::Proof {
        let signed_at: BlockNumber = self.chain.number();
        let payload = payload(&self.slot(id, index), signed_at, message);
        pallet_rounds::Proof {
            signed_at,
            signature: self.members[index].keys.sign_inference(&payload),
        }
    }

    fn places(&self) -> BTreeMap<AccountId, usize> {
        self.accounts
            .iter()
            .enumerate()
            .map(|(index, who)| (who.clone(), index))
            .collect()
    }
}

/// True if a member still has to decide.
fn open(decided: Option<Move>) -> bool {
    matches!(decided, None | Some(Move::Wait))
}

/// True if any agent that has committed a response still has to decide about this message.
fn any_owes(drafts: &[Draft], message: usize) -> bool {
    drafts
        .iter()
        .any(|draft| draft.moves[0] == Some(Move::Send) && open(draft.moves[message]))
}

fn quality(draft: &Draft) -> f64 {
    match draft.answer {
        Some(Answer::Quality(quality)) => quality,
        _ => 0.0,
    }
}

fn message(call: pallet_rounds::Call<Runtime>) -> UncheckedExtrinsic {
    <Runtime as CreateAuthorizedTransaction<pallet_rounds::Call<Runtime>>>::create_authorized_transaction(
        RuntimeCall::Rounds(call),
    )
}

fn wealth_of(who: &AccountId) -> f64 {
    use frame_support::traits::fungible::Inspect;
    <Balances as Inspect<AccountId>>::total_balance(who) as f64 / UNIT as f64
}
