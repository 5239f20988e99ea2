// SPDX-License-Identifier: Apache-2.0
//! The interfaces of `pallet-rounds` to the other pallets of the protocol.
//!
//! No pallet names another pallet's storage. Rules that must agree are pure functions in this
//! crate; stateful services go through these traits. Money travels between pallets as a `Credit`,
//! which is `fungible::Credit<AccountId, Balances>` in a runtime with `pallet-balances`. A credit
//! must be spent, and burns itself when dropped. So nothing can be lost or paid twice between two
//! accounts.

use alloc::{boxed::Box, vec::Vec};
use codec::Encode;
use sp_runtime::{DispatchError, DispatchResult};

use crate::{
    locks::LockId,
    rating::{Deviations, Mean},
    rewards::Paid,
    round::BlockNumber,
    rules::Rule,
    selection::{self, Tally},
    Balance, InferenceKey, Position, RoundId, Score, H256,
};

/// A pallet whose constants must fit together.
pub trait Consistent {
    /// Checks the constants in force.
    ///
    /// # Errors
    /// The first rule that they break.
    fn check() -> Result<(), Rule>;
}

/// Passes if a rule holds.
///
/// # Errors
/// The rule, if it does not.
pub fn holds(condition: bool, rule: Rule) -> Result<(), Rule> {
    condition.then_some(()).ok_or(rule)
}

/// The registry of agents: identities, bonds, reservations. Implemented by `pallet-agents`.
pub trait AgentRegistry<AccountId> {
    /// The currency of a slashed reservation.
    type Credit;

    /// The inference key of `who` in force, active or not: an agent may always send the messages
    /// that it owes, even if it is chilled.
    fn inference_key(who: &AccountId) -> Option<InferenceKey>;

    /// The agent whose key in force is `key`.
    fn agent_of(key: &InferenceKey) -> Option<AccountId>;

    /// The account of an inference key, in force or not. It need not be registered any more.
    fn owner_of(key: &InferenceKey) -> Option<AccountId>;

    /// Whether `who` is registered, not chilled, and has at least the minimum bond.
    fn is_active(who: &AccountId) -> bool;

    /// Number of active agents.
    fn active_count() -> u32;

    /// Number of activations since genesis. Together with [`Self::activation`] it tells which
    /// agents were active at an earlier moment, without a list: note this number at that moment.
    fn activations() -> u64;

    /// The ordinal of the activation that made `who` active; `None` if it is not active. An agent
    /// that has been active ever since `activations()` was `w` has an ordinal below `w`.
    fn activation(who: &AccountId) -> Option<u64>;

    /// The active agents. Walks over the storage: for authors and tests alone.
    fn active() -> Box<dyn Iterator<Item = AccountId>>;

    /// Gives `who`, if it is active, the ordinal of an activation in this block.
    fn renew(who: &AccountId);

    /// The bond of `who`, including reserved but not unbonding amounts.
    fn bond(who: &AccountId) -> Balance;

    /// Everything of `who` that can be slashed: the bond, reserved or not, and what is unbonding.
    fn exposed(who: &AccountId) -> Balance;

    /// The bond with which `who` takes part in a draw of a request in `block`: its bond, without
    /// what was added in that block or later.
    fn bond_at(who: &AccountId, block: BlockNumber) -> Balance;

    /// Whether [`Self::reserve`] would succeed. This is tested before an agent's message is let
    /// into a block, because nobody pays for a message that fails there.
    fn can_reserve(who: &AccountId, amount: Balance) -> bool;

    /// Reserves `amount` of the bond of `who` for one round and opens one reservation.
    ///
    /// Fails, and changes nothing, if `who` is not active or has less than `amount` free.
    fn reserve(who: &AccountId, amount: Balance) -> DispatchResult;

    /// Ends one reservation of `amount` without loss.
    fn release(who: &AccountId, amount: Balance);

    /// Ends one reservation of `amount` by slashing it. The caller decides who gets the credit.
    fn slash_reserved(who: &AccountId, amount: Balance) -> Self::Credit;

    /// Takes up to `amount` of the free bond of `who`.
    fn fine(who: &AccountId, amount: Balance) -> Self::Credit;

    /// Whether [`Self::lock`] would succeed.
    fn can_lock(who: &AccountId, id: LockId, amount: Balance) -> bool;

    /// Locks `amount` of the free bond of `who`, or of what is unbonding, up to block `until`. A
    /// lock is no reservation: the agent may rotate its key, unbond, and even leave. A lock with
    /// this name that is there already grows to `amount` and lasts longer, if need be.
    ///
    /// Fails, and changes nothing, if less than `amount` is free of other claims.
    fn lock(who: &AccountId, id: LockId, amount: Balance, until: BlockNumber) -> DispatchResult;

    /// The most that [`Self::lock`] would take under a new name: the free bond and what is unbonding,
    /// less what locks have a claim on.
    fn lockable(who: &AccountId) -> Balance;

    /// Ends a lock by slashing it: the free bond first, then what is unbonding. The caller decides
    /// who gets the credit. It is empty if there is no such lock.
    fn slash_lock(who: &AccountId, id: LockId) -> Self::Credit;

    /// Ends a lock by slashing up to `loss` of it, as [`Self::slash_lock`] does. The rest is free.
    fn end_lock(who: &AccountId, id: LockId, loss: Balance) -> Self::Credit;

    /// Keeps `who` out of new rounds and of the next validators until it unchills itself.
    fn punish(who: &AccountId);

    /// The open reservations of `who` and their sum, for checks of consistency.
    fn reservations(who: &AccountId) -> (u32, Balance);

    /// Makes `who` an active agent with a free bond of at least `bond`.
    #[cfg(feature = "runtime-benchmarks")]
    fn make_active(who: &AccountId, key: InferenceKey, bond: Balance);
}

/// Hears of agents that are no longer active. Implemented by `pallet-rounds`.
pub trait OnInactive<AccountId> {
    /// `who` has just lost the activation with this ordinal. Cheap: it happens in calls and at the
    /// ends of rounds.
    fn on_inactive(who: &AccountId, ordinal: u64);
}

impl<AccountId> OnInactive<AccountId> for () {
    fn on_inactive(_: &AccountId, _: u64) {}
}

/// Hears of agents that are not what they were. Implemented by `pallet-attestations`.
pub trait OnAgentChange<AccountId> {
    /// `who` has another inference key in force or declares another model, or is no agent any more.
    /// Cheap: it happens in calls and at the ends of rounds.
    fn on_agent_change(who: &AccountId);
}

impl<AccountId> OnAgentChange<AccountId> for () {
    fn on_agent_change(_: &AccountId) {}
}

/// Keys and models of agents, for whoever binds something to them. Implemented by `pallet-agents`.
pub trait Identities<AccountId> {
    /// The inference key of `who` in force, and the hash of the model that it declares.
    fn identity(who: &AccountId) -> Option<(InferenceKey, H256)>;

    /// Makes `who` an agent with this key and model.
    #[cfg(feature = "runtime-benchmarks")]
    fn make_agent(who: &AccountId, key: InferenceKey, model: H256);
}

/// Sessions and the keys of their validators. A runtime implements it over `pallet-session`.
pub trait Sessions<AccountId> {
    /// The index of the present session.
    fn current() -> u32;

    /// The first session whose offences can still be proven and punished.
    fn accountable() -> u32;

    /// The validators of the next session.
    fn queued() -> Vec<AccountId>;

    /// Number of validators of a session whose offences can be proven.
    fn size(session: u32) -> Option<u32>;

    /// Forgets the sessions before [`Self::accountable`].
    fn prune();

    /// Keeps a validator of the present session from authoring until validators change, if
    /// consensus can spare it.
    fn disable(who: &AccountId);

    /// The encoded session keys of `who` that the next planned session takes.
    fn keys(who: &AccountId) -> Option<Vec<u8>>;

    /// All accounts with session keys. Walks over the storage: for the genesis alone.
    fn owners() -> Vec<AccountId>;
}

/// The chain's randomness.
pub trait Randomness {
    /// The value after the last block. Nobody could choose it.
    fn value() -> H256;
}

/// Votes on finality, as far as the blocks of the present session have brought them.
pub trait Votes<AccountId> {
    /// Ends `session`: the validators whose votes its blocks brought. `None` if they brought none,
    /// or if whose they are is not known. Forgets them.
    fn take(session: u32) -> Option<Vec<AccountId>>;
}

/// A chain whose blocks bring no votes.
impl<AccountId> Votes<AccountId> for () {
    fn take(_: u32) -> Option<Vec<AccountId>> {
        None
    }
}

/// No sessions, for a chain without validators.
impl<AccountId> Sessions<AccountId> for () {
    fn current() -> u32 {
        0
    }

    fn accountable() -> u32 {
        0
    }

    fn queued() -> Vec<AccountId> {
        Vec::new()
    }

    fn size(_: u32) -> Option<u32> {
        None
    }

    fn prune() {}

    fn disable(_: &AccountId) {}

    fn keys(_: &AccountId) -> Option<Vec<u8>> {
        None
    }

    fn owners() -> Vec<AccountId> {
        Vec::new()
    }
}

/// Tickets of agents. Implemented by `pallet-tickets`.
///
/// A ticket is an amount on hold. It is *free* until it is spent on a round, and *staked* until
/// that round returns it or forfeits it.
pub trait Tickets<AccountId> {
    /// The currency of a forfeited ticket.
    type Credit;

    /// The price of a ticket of a round with this `reward`: `T`, section 4.1.
    fn price(reward: Balance) -> Balance;

    /// Whether [`Self::spend`] would succeed.
    fn can_spend(who: &AccountId, price: Balance) -> bool;

    /// Stakes `price` of the free tickets of `who`. Fails, and changes nothing, if there are not
    /// enough.
    fn spend(who: &AccountId, price: Balance) -> DispatchResult;

    /// Gives a staked `price` back to the free tickets of `who`.
    fn give_back(who: &AccountId, price: Balance);

    /// Takes `part` of a staked `price` away from `who`; the rest becomes free again.
    fn forfeit(who: &AccountId, price: Balance, part: Balance) -> Self::Credit;

    /// The staked tickets of `who`, for checks of consistency.
    fn staked(who: &AccountId) -> Balance;

    /// Gives `who` free tickets worth `amount`.
    #[cfg(feature = "runtime-benchmarks")]
    fn endow(who: &AccountId, amount: Balance);
}

/// Ratings of agents. Implemented by `pallet-ratings`.
///
/// Ratings, weights and spreads are fixed-point numbers with 32 fractional bits in `[0, 1]`.
pub trait Ratings<AccountId> {
    /// The present `Rating` of `who`, equations (4) and (5).
    fn rating(who: &AccountId) -> u64;

    /// The present weight of `who`: `w = max(0, Rating − WeightFloor)`.
    fn weight(who: &AccountId) -> u64;

    /// The weights of a round's rankers with these ratings, in the same order. They follow
    /// [`weight`](Self::weight), but ignore the floor if no rating is above it.
    fn weights(ratings: &[u64]) -> Vec<u64>;

    /// Whether a round counts for ratings: enough disclosers, a fee that makes farming expensive,
    /// and responses that differ. `spread` is `max − min` of the responses' mean scores.
    fn counts(disclosers: u32, fee: Balance, spread: u64) -> bool;

    /// The mean that a ranker's scores are compared with.
    fn mean() -> Mean;

    /// Adds one round that [counts](Self::counts) to the window of `who`. Does nothing if
    /// `deviations.count` is zero.
    fn record(who: &AccountId, deviations: Deviations);

    /// The record of the answers of `who`: the share of others' responses that they beat, with the
    /// newest answers first.
    fn quality(who: &AccountId) -> u64;

    /// Adds an answer with this [standing](crate::quality::standing) in a round that
    /// [counts](Self::counts).
    fn answered(who: &AccountId, standing: u64);
}

/// Rewards of a round. Implemented by `pallet-rewards`.
///
/// No method fails. Every unit of the given credits is paid, or burnt and reported as burnt.
pub trait Rewards<AccountId> {
    /// The currency of a pot.
    type Credit;

    /// `R`: the reward of a round with this fee, fee and subsidy together.
    fn reward(fee: Balance) -> Balance;

    /// A loser's part of a ticket of this price that is forfeited: `LoserShare`.
    fn loser_part(price: Balance) -> Balance;

    /// The part of the fee that goes back to the requester at most if the round fails after its
    /// responses were revealed. The rest goes to two of the methods below.
    fn failure_refund(fee: Balance) -> Balance;

    /// Settles a round with a winner.
    ///
    /// `fee` is the whole fee, `forfeits` the forfeited tickets, and `rankers` the rankers with
    /// their points (`Rating · max(0, 2c − 1)`). Rankers without points get nothing.
    fn pay_winner(
        fee: Self::Credit,
        forfeits: Self::Credit,
        winner: &AccountId,
        rankers: &[(AccountId, u64)],
    ) -> Paid;

    /// Settles a round in which no response reached the threshold. The rankers did their work and
    /// get their share of the pot; the rest goes to the treasury. `fee` is the whole fee, `rest`
    /// its part after [`Self::failure_refund`].
    fn pay_rankers(
        fee: Balance,
        rest: Self::Credit,
        forfeits: Self::Credit,
        rankers: &[(AccountId, u64)],
    ) -> Paid;

    /// Settles a round that failed because agents did not deliver.
    ///
    /// `fee` is the whole fee, `rest` its part that does not go back, `forfeits` and `slashes` the
    /// losses of the agents that did not deliver. The agents that did share the losses and the
    /// rankers' share of the fee in equal parts; the treasury gets the rest of the fee.
    fn pay_delivered(
        fee: Balance,
        rest: Self::Credit,
        forfeits: Self::Credit,
        slashes: Self::Credit,
        delivered: &[AccountId],
    ) -> Paid;

    /// Gives slashed bonds that no agent has a claim on to the treasury.
    fn keep(slashes: Self::Credit);
}

/// Payments of the treasury. Implemented by `pallet-rewards`.
pub trait Treasury<AccountId> {
    /// Pays `amount` to `to`, or what the treasury has above its existential deposit if that is
    /// less. Returns the paid amount: 0 if `to` cannot receive it.
    fn pay(to: &AccountId, amount: Balance) -> Balance;
}

/// A valid response at the end of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked<AccountId> {
    /// Its position in the shuffled order.
    pub position: Position,
    /// Its author.
    pub agent: AccountId,
    /// Its scores by the rankers' ratings.
    pub tally: Tally,
}

/// The scores of a ranker, with the positions of the responses.
pub type Scores = Vec<(Position, Score)>;

/// A round at its end, for the choice of its best response.
///
/// Scores and texts are read when they are asked for: equation (3) needs neither.
pub struct ChoiceInput<'a, AccountId> {
    /// The round.
    pub round: RoundId,
    /// The seed of its assignment.
    pub seed: H256,
    /// The valid responses.
    pub responses: &'a [Ranked<AccountId>],
    /// Whether the block has room for the reading of all texts. Without it, equation (3) decides.
    pub has_room: bool,
    /// Reads the scores that an agent disclosed; `None` if it disclosed none.
    pub scores: &'a dyn Fn(&AccountId) -> Option<Scores>,
    /// Reads the text of an agent's response.
    pub text: &'a dyn Fn(&AccountId) -> Vec<u8>,
}

impl<AccountId: Clone + Encode> ChoiceInput<'_, AccountId> {
    /// The best response by equation (3), with its scores.
    pub fn by_scores(&self) -> Option<(AccountId, Tally)> {
        let scored = self.responses.iter();
        selection::best(
            self.seed,
            scored.map(|response| (response.agent.clone(), response.tally)),
        )
    }
}

/// The choice of a round's best response. Implemented by `pallet-capabilities`.
pub trait Choice<AccountId> {
    /// The author of the best response, with the scores that decided. `None` if no response is
    /// eligible.
    fn best(input: &ChoiceInput<AccountId>) -> Option<(AccountId, Tally)>;

    /// Whether the choice in a round reads scores and texts, for which a block needs room.
    fn is_counted(round: RoundId) -> bool;

    /// Forgets all about a round that is purged.
    fn forget(round: RoundId);

    /// Prepares the most expensive choice in a round, with answers in this form.
    #[cfg(feature = "runtime-benchmarks")]
    fn declare(round: RoundId, form: crate::choice::Form);
}

/// Equation (3).
impl<AccountId: Clone + Encode> Choice<AccountId> for () {
    fn best(input: &ChoiceInput<AccountId>) -> Option<(AccountId, Tally)> {
        input.by_scores()
    }

    fn is_counted(_: RoundId) -> bool {
        false
    }

    fn forget(_: RoundId) {}

    #[cfg(feature = "runtime-benchmarks")]
    fn declare(_: RoundId, _: crate::choice::Form) {}
}

/// Records of agents with known answers, and the choice that rests on them. Implemented by
/// `pallet-capabilities`.
pub trait KnownAnswers<AccountId> {
    /// The way to choose the best response.
    fn choice() -> crate::choice::Choice;

    /// The records of an agent as of now.
    fn known(who: &AccountId) -> crate::choice::Capabilities;

    /// Notes the form of the answers of a round that was just opened, and its commitment. No
    /// examiner gains by it: such a round does not count as its traffic.
    fn note(round: RoundId, form: crate::choice::Form, commitment: H256);
}

/// A valid response of a round that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<AccountId> {
    /// Its author.
    pub agent: AccountId,
    /// Its position in the shuffled order.
    pub position: Position,
    /// Its text.
    pub text: Vec<u8>,
    /// The scores that its author disclosed.
    pub scores: Scores,
}

/// A round that is over, with ranked responses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concluded<AccountId> {
    /// The account that asked.
    pub requester: AccountId,
    /// The prompt.
    pub prompt: Vec<u8>,
    /// The part of its fee that the requester did not get back.
    pub paid: Balance,
    /// The block in which the round ended.
    pub ended_at: BlockNumber,
    /// The valid responses.
    pub answers: Vec<Answered<AccountId>>,
}

/// Requests on behalf of accounts, and their rounds. Implemented by `pallet-rounds`.
pub trait Requests<AccountId> {
    /// Opens a round as the call `request` does.
    ///
    /// # Errors
    /// Those of the call.
    fn request(
        requester: AccountId,
        prompt: Vec<u8>,
        fee: Balance,
        max_tokens: u32,
        min_responses: u32,
        max_responses: u32,
    ) -> Result<RoundId, DispatchError>;

    /// A stored round that ended with ranked responses: in `Done`, or below the threshold.
    fn concluded(round: RoundId) -> Option<Concluded<AccountId>>;

    /// Whether a round is in its first phase, in which nothing is public.
    fn is_committing(round: RoundId) -> bool;

    /// Ends a round in its first phase as one with too few commits: the requester gets the fee
    /// back, without the part for those that have committed. Returns whether it did.
    fn withdraw(round: RoundId) -> bool;

    /// Whether a round is stored, open or not.
    fn is_stored(round: RoundId) -> bool;

    /// Number of blocks that a finished round stays stored, unless storage fills up.
    fn retention() -> BlockNumber;

    /// An account that may ask, with a fee and a number of responses that it can pay for.
    #[cfg(feature = "runtime-benchmarks")]
    fn requester() -> (AccountId, Balance, u32);

    /// Stores a round of `requester` that has just ended with this number of responses of maximum
    /// length, each with as many scores as there may be.
    #[cfg(feature = "runtime-benchmarks")]
    fn conclude(requester: &AccountId, prompt: Vec<u8>, answers: u32) -> RoundId;
}
