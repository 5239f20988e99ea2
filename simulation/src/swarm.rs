// SPDX-License-Identifier: Apache-2.0

//! A swarm that plays rounds on a chain.

use std::collections::BTreeMap;

use anyhow::{bail, ensure, Context, Result};
use frame_system::offchain::CreateAuthorizedTransaction;
use rand::{seq::IndexedRandom, Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sp_core::H256;
use sp_runtime::Perbill;
use starling_primitives::{
    api::RoundView,
    assignment::Assignment,
    draw,
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

use crate::{
    ability::Ability,
    behaviour::{Answer, Behaviour, Kind, Me, Move, Revealing, Seen},
    chain::{Authoring, Block, Chain, Genesis, Rejection},
    keys::Keys,
};

/// What an agent of the simulation has at stake, far above what a round may claim.
const BOND: Balance = 1_000_000 * UNIT;

/// Of what an agent buys tickets before the first round.
const TICKETS: Balance = 100_000 * UNIT;

/// A round that takes more blocks than this does not end.
const MOST_BLOCKS: usize = 5_000;

/// One agent of a swarm.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// What it is able to do.
    pub ability: Ability,
    /// What it chooses to do.
    pub kind: Kind,
    /// Whether it belongs to the group that attacks.
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

/// What the attackers do besides taking part.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Plot {
    /// Nothing.
    #[default]
    None,
    /// So many of the validators are theirs, and leave everybody else's messages out.
    Censor {
        /// How many.
        validators: usize,
    },
    /// So many of the validators are theirs, and build so many blocks to publish the one whose
    /// hash draws most of the group into the round.
    Grind {
        /// How many.
        validators: usize,
        /// How many blocks each time.
        candidates: u32,
    },
}

/// A swarm and its chain.
#[derive(Clone, Debug)]
pub struct Config {
    /// The parameters.
    pub parameters: Parameters,
    /// The agents.
    pub agents: Vec<Spec>,
    /// How many validators there are.
    pub validators: usize,
    /// What a requester pays.
    pub fee: Balance,
    /// How many agents get in, all of them if `None`.
    pub max_responses: Option<u32>,
    /// How many bytes a response has.
    pub response_bytes: usize,
    /// What the attackers do besides taking part.
    pub plot: Plot,
    /// What an author fills of a block.
    pub fill: Perbill,
    /// Whether the size of the storage proofs is measured.
    pub prove: bool,
    /// From which everything follows.
    pub seed: u64,
}

impl Config {
    /// A swarm under these parameters, with nothing out of the ordinary.
    pub fn new(parameters: Parameters, agents: Vec<Spec>, seed: u64) -> Self {
        Self {
            parameters,
            agents,
            validators: 10,
            fee: 20 * UNIT,
            max_responses: None,
            response_bytes: 64,
            plot: Plot::None,
            fill: Perbill::one(),
            prove: false,
            seed,
        }
    }
}

/// A score that an agent disclosed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Given {
    /// Who gave it.
    pub ranker: usize,
    /// Whose response it is for.
    pub author: usize,
    /// The score, in `[0, 1]`.
    pub score: f64,
}

/// A round that was played.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its number.
    pub id: RoundId,
    /// The blocks from the request to the last rating.
    pub blocks: Vec<Block>,
    /// Whether a response was chosen.
    pub done: bool,
    /// Whose.
    pub winner: Option<usize>,
    /// The true qualities of the valid responses, by agent.
    pub qualities: BTreeMap<usize, f64>,
    /// All scores that were disclosed.
    pub scores: Vec<Given>,
    /// The weights of the rankers, by agent, as they were at the assignment.
    pub weights: BTreeMap<usize, f64>,
    /// How many responses each agent was to rank.
    pub rankings: u32,
    /// How many messages the chain did not accept.
    pub rejected: usize,
}

impl Played {
    /// The agent with the best response.
    pub fn best(&self) -> Option<usize> {
        let best = self
            .qualities
            .iter()
            .max_by(|left, right| left.1.total_cmp(right.1));
        best.map(|(agent, _)| *agent)
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

/// What a member has prepared for a round.
#[derive(Default)]
struct Draft {
    answer: Option<Answer>,
    key: Secret,
    sealed: Vec<u8>,
    /// What it has decided of its commit, reveal, scores and disclosure.
    moves: [Option<Move>; 4],
    scores: Option<CommittedScores>,
}

/// What waits for a block, with the agent that sent it; none for the requester.
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
    /// Starts a chain with these agents, who buy their tickets.
    pub fn new(config: Config) -> Result<Self> {
        let behaviours = config.agents.iter().map(|spec| spec.kind.behaviour());
        let behaviours = behaviours.collect();
        Self::of(config, behaviours)
    }

    /// The same with a behaviour for each of the agents, whatever their kinds.
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

    /// What it was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All that each agent owns, tickets and bond included, in the currency's unit.
    pub fn wealth(&mut self) -> Vec<f64> {
        let accounts = self.accounts.clone();
        self.chain.read(|| accounts.iter().map(wealth_of).collect())
    }

    /// All that the requester owns, deposits included, in the currency's unit.
    pub fn requester_wealth(&mut self) -> f64 {
        let requester = self.requester.account_id();
        self.chain.read(|| wealth_of(&requester))
    }

    /// What the attackers do from now on besides taking part.
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

    /// Plays one round, from the request until it is over. Its ratings are recorded in the block after
    /// that, the next round's first.
    pub fn play(&mut self) -> Result<Played> {
        self.play_observed(|_| ())
    }

    /// As [`Self::play`], with a look at the chain after each block.
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
                    bail!("a feeless message got in and failed, and nobody paid for it: {error:?}");
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

    fn request(&mut self) -> Result<Block> {
        let rounds = &self.config.parameters.rounds;
        let max_responses = self
            .config
            .max_responses
            .unwrap_or(self.members.len() as u32)
            .min(rounds.max_responses);
        let call = RuntimeCall::Rounds(pallet_rounds::Call::request {
            prompt: b"What is the answer?".to_vec(),
            fee: self.config.fee,
            max_tokens: 256,
            min_responses: rounds.min_responses,
            max_responses: max_responses.max(rounds.min_responses),
        });
        let request = self.chain.sign(&self.requester, call)?;
        self.pool.push((None, request));
        // The block in which a session ends has no room for transactions.
        for _ in 0..2 {
            let block = self.next_block()?;
            if let Some((_, rejection)) = block.rejected.first() {
                bail!("the request was rejected: {rejection:?}");
            }
            if block.extrinsics > 0 {
                return Ok(block);
            }
        }
        bail!("the request fits into no block")
    }

    /// The next block, by whose turn it is.
    fn next_block(&mut self) -> Result<Block> {
        let authoring = Authoring {
            author: None,
            fill: self.config.fill,
            prove: self.config.prove,
        };
        let author = self.chain.next_author();
        let pool = std::mem::take(&mut self.pool);
        let (offered, left_out): (Vec<Sent>, Vec<Sent>) = match self.config.plot {
            Plot::Censor { validators } if author < validators => pool
                .into_iter()
                .partition(|(sender, _)| sender.is_none_or(|sender| self.group.contains(&sender))),
            _ => (pool, Vec::new()),
        };
        let senders: Vec<Option<usize>> = offered.iter().map(|(sender, _)| *sender).collect();
        let mut queue: Vec<_> = offered.into_iter().map(|(_, message)| message).collect();
        let block = match self.config.plot {
            // A block without a request draws nobody.
            Plot::Grind {
                validators,
                candidates,
            } if author < validators && senders.contains(&None) => {
                self.grind(&mut queue, authoring, candidates)?
            },
            _ => self.chain.author(&mut queue, authoring)?,
        };
        let taken = senders.len() - queue.len();
        self.pool = senders
            .into_iter()
            .skip(taken)
            .zip(queue)
            .chain(left_out)
            .collect();
        Ok(block)
    }

    /// The hash of a request's block decides who gets into a full round.
    fn grind(
        &mut self,
        queue: &mut Vec<UncheckedExtrinsic>,
        authoring: Authoring,
        candidates: u32,
    ) -> Result<Block> {
        let round = self.chain.read(pallet_rounds::NextRound::<Runtime>::get);
        let seats = self.config.max_responses.unwrap_or(u32::MAX) as usize;
        let (accounts, group) = (&self.accounts, &self.group);
        self.chain.grind(queue, authoring, candidates, |hash| {
            let mut draws: Vec<_> = accounts
                .iter()
                .enumerate()
                .map(|(index, who)| (draw::draw(hash, round, who, BOND), index))
                .collect();
            draws.sort_unstable();
            let seated = draws.iter().take(seats);
            seated.filter(|(_, index)| group.contains(index)).count() as f64
        })
    }

    /// Lets every member decide, and puts what they send into the pool.
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

    fn answer(&mut self, id: RoundId, drafts: &mut [Draft]) -> Result<()> {
        let mut copycats = Vec::new();
        for (index, draft) in drafts.iter_mut().enumerate() {
            if draft.answer.is_none() {
                let answer = self.ask(index, |behaviour, me, rng| behaviour.respond(me, rng));
                draft.answer = Some(answer);
                draft.key = self.rng.random();
                match answer {
                    Answer::Pass => {
                        let message = self.pass(id, index);
                        self.pool.push((Some(index), message));
                        draft.moves[0] = Some(Move::Never);
                        continue;
                    },
                    Answer::Copy => copycats.push(index),
                    Answer::Quality(quality) => {
                        let text = self.text(index, quality);
                        draft.sealed = self
                            .slot(id, index)
                            .seal(&draft.key, &text)
                            .context("a response is sealed")?;
                    },
                }
            }
            if open(draft.moves[0]) && !draft.sealed.is_empty() {
                let decided = self.ask(index, |behaviour, me, rng| behaviour.commit(me, rng));
                draft.moves[0] = Some(decided);
                if decided == Move::Send {
                    let message = self.commit(id, index, draft);
                    self.pool.push((Some(index), message));
                }
            }
        }
        // Who copies reads the pool.
        let sealed: Vec<Vec<u8>> = drafts
            .iter()
            .filter(|draft| draft.moves[0] == Some(Move::Send))
            .map(|draft| draft.sealed.clone())
            .collect();
        for index in copycats {
            if let Some(copy) = sealed.choose(&mut self.rng) {
                drafts[index].sealed.clone_from(copy);
                drafts[index].moves[0] = Some(Move::Send);
                let message = self.commit(id, index, &drafts[index]);
                self.pool.push((Some(index), message));
            }
        }
        Ok(())
    }

    fn reveal(
        &mut self,
        id: RoundId,
        round: &pallet_rounds::RoundOf<Runtime>,
        drafts: &mut [Draft],
    ) -> Result<()> {
        if !any_owes(drafts, 1) {
            return Ok(());
        }
        let participants = self.participants(id);
        let has_revealed = |who: &usize| {
            matches!(
                participants[who].response,
                pallet_rounds::Response::Valid { .. } | pallet_rounds::Response::Spoiled
            )
        };
        let key_of = |who: usize, drafts: &[Draft]| (who, drafts[who].key);
        let accounts = self.accounts.clone();
        let state = Revealing {
            round: id,
            commit_hash: match round.commit_hash {
                Some(hash) => hash,
                // The round has just left Committing with the last block.
                None => self.chain.head_hash(),
            },
            accounts: &accounts,
            revealed: participants
                .keys()
                .copied()
                .filter(has_revealed)
                .map(|who| key_of(who, drafts))
                .collect(),
            committed: participants
                .keys()
                .map(|who| key_of(*who, drafts))
                .collect(),
            rankings: (
                self.config.parameters.rounds.min_rankings,
                self.config.parameters.rounds.max_rankings,
            ),
        };
        for (index, draft) in drafts.iter_mut().enumerate() {
            if !participants.contains_key(&index) || !open(draft.moves[1]) {
                continue;
            }
            let decided = self.ask(index, |behaviour, me, rng| {
                behaviour.reveal(me, &state, rng)
            });
            draft.moves[1] = Some(decided);
            if decided == Move::Send {
                let message = self.reveal_message(id, index, draft);
                self.pool.push((Some(index), message));
            }
        }
        Ok(())
    }

    fn rank(
        &mut self,
        id: RoundId,
        round: &pallet_rounds::RoundOf<Runtime>,
        drafts: &mut [Draft],
    ) -> Result<()> {
        if !any_owes(drafts, 2) {
            return Ok(());
        }
        let seed = round.seed.context("a round in Ranking has a seed")?;
        let assignment = Assignment::new(seed, round.counts.valid, round.rankings);
        let order = self.order(id);
        let place: BTreeMap<usize, Position> = order
            .iter()
            .map(|(position, index)| (*index, *position))
            .collect();
        for index in 0..drafts.len() {
            let (Some(position), true) = (place.get(&index), open(drafts[index].moves[2])) else {
                continue;
            };
            if drafts[index].scores.is_none() {
                let assigned = assignment.responses(*position);
                let seen: Vec<Seen> = assigned
                    .iter()
                    .map(|position| Seen {
                        author: order[position],
                        quality: quality(&drafts[order[position]]),
                    })
                    .collect();
                let scores = self.ask(index, |behaviour, me, rng| behaviour.score(me, &seen, rng));
                let scores = assigned
                    .into_iter()
                    .zip(scores.into_iter().map(score))
                    .collect();
                drafts[index].scores = Some((seed, scores, self.rng.random()));
            }
            let decided = self.ask(index, |behaviour, me, rng| behaviour.commit_scores(me, rng));
            drafts[index].moves[2] = Some(decided);
            if decided == Move::Send {
                let message = self.commit_scores(id, index, &drafts[index])?;
                self.pool.push((Some(index), message));
            }
        }
        Ok(())
    }

    fn disclose(&mut self, id: RoundId, drafts: &mut [Draft]) -> Result<()> {
        for (index, draft) in drafts.iter_mut().enumerate() {
            if draft.moves[2] != Some(Move::Send) || !open(draft.moves[3]) {
                continue;
            }
            let decided = self.ask(index, |behaviour, me, rng| behaviour.disclose(me, rng));
            draft.moves[3] = Some(decided);
            if decided == Move::Send {
                let message = self.disclosure(id, index, draft)?;
                self.pool.push((Some(index), message));
            }
        }
        Ok(())
    }

    /// Sends what was held back until its phase was over.
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
                // Scores that are disclosed late come to a round that is over: the chain has
                // nothing to refuse any more.
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

    fn text(&self, index: usize, quality: f64) -> String {
        let mut text = format!("A response of quality {quality:.6} by agent {index}.");
        let missing = self.config.response_bytes.saturating_sub(text.len());
        text.extend(std::iter::repeat_n(' ', missing));
        text
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

    fn commit(&self, id: RoundId, index: usize, draft: &Draft) -> UncheckedExtrinsic {
        let key_commitment = self.slot(id, index).key_commitment(&draft.key);
        let proof = self.sign(
            id,
            index,
            &Message::Commit {
                sealed: &draft.sealed,
                key_commitment,
            },
        );
        message(pallet_rounds::Call::commit {
            round: id,
            agent: self.accounts[index].clone(),
            sealed: draft.sealed.clone(),
            key_commitment,
            proof,
        })
    }

    fn pass(&self, id: RoundId, index: usize) -> UncheckedExtrinsic {
        message(pallet_rounds::Call::pass {
            round: id,
            agent: self.accounts[index].clone(),
            proof: self.sign(id, index, &Message::Pass),
        })
    }

    fn reveal_message(&self, id: RoundId, index: usize, draft: &Draft) -> UncheckedExtrinsic {
        message(pallet_rounds::Call::reveal {
            round: id,
            agent: self.accounts[index].clone(),
            key: draft.key,
            proof: Some(self.sign(id, index, &Message::Reveal { key: &draft.key })),
        })
    }

    fn commit_scores(
        &self,
        id: RoundId,
        index: usize,
        draft: &Draft,
    ) -> Result<UncheckedExtrinsic> {
        let (seed, scores, salt) = draft.scores.as_ref().context("there are scores")?;
        let commitment = self.slot(id, index).scores_commitment(*seed, scores, salt);
        let content = Message::CommitScores {
            seed: *seed,
            commitment,
        };
        Ok(message(pallet_rounds::Call::commit_scores {
            round: id,
            agent: self.accounts[index].clone(),
            seed: *seed,
            commitment,
            proof: self.sign(id, index, &content),
        }))
    }

    fn disclosure(
        &mut self,
        id: RoundId,
        index: usize,
        draft: &Draft,
    ) -> Result<UncheckedExtrinsic> {
        let (_, scores, salt) = draft.scores.as_ref().context("there are scores")?;
        let proof = self.sign(id, index, &Message::Disclose { scores, salt });
        // How many there may be at most stands in the state.
        let bounded: Option<pallet_rounds::ScoresOf<Runtime>> =
            self.chain.read(|| scores.clone().try_into().ok());
        Ok(message(pallet_rounds::Call::disclose {
            round: id,
            agent: self.accounts[index].clone(),
            scores: bounded.context("there are not too many scores")?,
            salt: *salt,
            proof: Some(proof),
        }))
    }

    fn participants(
        &mut self,
        id: RoundId,
    ) -> BTreeMap<usize, pallet_rounds::ParticipantOf<Runtime>> {
        let places = self.places();
        self.chain.read(|| {
            pallet_rounds::Participants::<Runtime>::iter_prefix(id)
                .filter_map(|(who, participant)| Some((*places.get(&who)?, participant)))
                .collect()
        })
    }

    /// The agent at each position.
    fn order(&mut self, id: RoundId) -> BTreeMap<Position, usize> {
        let places = self.places();
        self.chain.read(|| {
            pallet_rounds::Entries::<Runtime>::iter_prefix(id)
                .filter_map(|(position, entry)| Some((position, *places.get(&entry.agent)?)))
                .collect()
        })
    }

    fn places(&self) -> BTreeMap<AccountId, usize> {
        self.accounts
            .iter()
            .enumerate()
            .map(|(index, who)| (who.clone(), index))
            .collect()
    }

    fn report(
        &mut self,
        id: RoundId,
        blocks: Vec<Block>,
        drafts: Vec<Draft>,
        rejected: usize,
    ) -> Result<Played> {
        let view: RoundView<AccountId> = self
            .chain
            .read(|| Rounds::round_view(id))
            .context("a round is stored until it is purged")?;
        let places = self.places();
        let author: BTreeMap<Position, usize> = view
            .responses
            .iter()
            .filter_map(|response| Some((response.position?, *places.get(&response.agent)?)))
            .collect();
        let mut played = Played {
            id,
            blocks,
            done: view.round.phase == pallet_rounds::Phase::Done,
            winner: view
                .round
                .winner
                .as_ref()
                .and_then(|who| places.get(who).copied()),
            qualities: BTreeMap::new(),
            scores: Vec::new(),
            weights: BTreeMap::new(),
            rankings: view.round.rankings,
            rejected,
        };
        for response in view.responses {
            let Some(index) = places.get(&response.agent).copied() else {
                continue;
            };
            if response.text.is_some() {
                played.qualities.insert(index, quality(&drafts[index]));
            }
            if let Some(weight) = response.weight {
                played.weights.insert(index, weight as f64 / ONE as f64);
            }
            for (position, score) in response.scores.unwrap_or_default() {
                if let Some(author) = author.get(&position) {
                    played.scores.push(Given {
                        ranker: index,
                        author: *author,
                        score: f64::from(score.0) / f64::from(u16::MAX),
                    });
                }
            }
        }
        Ok(played)
    }
}

/// Whether a member has still to decide.
fn open(decided: Option<Move>) -> bool {
    matches!(decided, None | Some(Move::Wait))
}

/// Whether anybody who has committed a response has still to decide about this message.
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

fn score(value: f64) -> Score {
    Score((value.clamp(0.0, 1.0) * f64::from(u16::MAX)).round() as u16)
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
