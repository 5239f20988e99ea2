// SPDX-License-Identifier: Apache-2.0

//! How `pallet-rounds` reaches the other pallets of the protocol.
//!
//! A pallet never names another pallet's storage. The rules that must agree are pure functions in
//! this crate; what needs state goes through these traits. Money travels between pallets as a
//! `Credit`, for a runtime with `pallet-balances` `fungible::Credit<AccountId, Balances>`: a value
//! that must be spent, and that burns itself when it is dropped, so that nothing can be lost or
//! paid twice between the account it is taken from and the account it reaches.

use alloc::vec::Vec;
use sp_runtime::DispatchResult;

use crate::{
    rating::{Deviations, Mean},
    rewards::Paid,
    Balance, InferenceKey,
};

/// The registry of agents: identities, bonds, reservations. Implemented by `pallet-agents`.
pub trait AgentRegistry<AccountId> {
    /// The inference key of `who` that is in force, active or not: who owes a message may always
    /// send it, also when chilled.
    fn inference_key(who: &AccountId) -> Option<InferenceKey>;

    /// The agent whose key in force is `key`.
    fn agent_of(key: &InferenceKey) -> Option<AccountId>;

    /// Registered, not chilled, and with at least the minimum bond.
    fn is_active(who: &AccountId) -> bool;

    /// How many agents are active.
    fn active_count() -> u32;

    /// How many activations there were since genesis. Together with [`Self::activation`] it tells
    /// who was active at an earlier moment without a list: note this number then.
    fn activations() -> u64;

    /// The ordinal of the activation that made `who` active, `None` when it is not. An agent that
    /// has been active ever since `activations()` was `w` has an ordinal below `w`.
    fn activation(who: &AccountId) -> Option<u64>;

    /// The bond of `who`, what is reserved included and what is unbonding not.
    fn bond(who: &AccountId) -> Balance;

    /// Whether [`Self::reserve`] would succeed: who may enter a round is tested before its message
    /// is let into a block, as nobody pays for one that fails there.
    fn can_reserve(who: &AccountId, amount: Balance) -> bool;

    /// Reserves `amount` of the bond of `who` for one round and opens one reservation.
    ///
    /// Fails, and changes nothing, when `who` is not active or has less than `amount` free.
    fn reserve(who: &AccountId, amount: Balance) -> DispatchResult;

    /// Ends one reservation of `amount` without loss.
    fn release(who: &AccountId, amount: Balance);

    /// Ends one reservation of `amount` by slashing it. Returns what was slashed.
    fn slash_reserved(who: &AccountId, amount: Balance) -> Balance;

    /// The open reservations of `who` and their sum, for checks of consistency.
    fn reservations(who: &AccountId) -> (u32, Balance);

    /// Makes `who` an active agent with a free bond of at least `bond`.
    #[cfg(feature = "runtime-benchmarks")]
    fn make_active(who: &AccountId, key: InferenceKey, bond: Balance);
}

/// Tickets of agents. Implemented by `pallet-tickets`.
///
/// A ticket is an amount on hold. It is *free* until it is spent on a round, and *staked* until
/// that round returns it or forfeits it.
pub trait Tickets<AccountId> {
    /// What a forfeited ticket becomes.
    type Credit;

    /// What a ticket of a round costs that rewards `reward`: `T`, section 4.1.
    fn price(reward: Balance) -> Balance;

    /// Whether [`Self::spend`] would succeed.
    fn can_spend(who: &AccountId, price: Balance) -> bool;

    /// Stakes `price` of the free tickets of `who`. Fails, and changes nothing, when there are not
    /// as many.
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
    /// `Rating` of `who` now, equations (4) and (5).
    fn rating(who: &AccountId) -> u64;

    /// `w = max(0, Rating − WeightFloor)` of `who` now.
    fn weight(who: &AccountId) -> u64;

    /// The weights of a round's rankers of these ratings, in their order: as [`weight`](Self::weight)
    /// has it, but without the floor where by it nobody weighs anything.
    fn weights(ratings: &[u64]) -> Vec<u64>;

    /// Whether a round teaches anything: enough disclosers, a fee that makes farming dear, and
    /// responses that differ. `spread` is `max − min` of the responses' mean scores.
    fn counts(disclosers: u32, fee: Balance, spread: u64) -> bool;

    /// What the deviations of a ranker are taken from.
    fn mean() -> Mean;

    /// Adds one round that [counts](Self::counts) to the window of `who`. Nothing happens when
    /// `deviations.count` is zero.
    fn record(who: &AccountId, deviations: Deviations);
}

/// Rewards of a round. Implemented by `pallet-rewards`.
///
/// None of these fail, and every unit of the credits they are given is paid, or burnt and reported
/// as such.
pub trait Rewards<AccountId> {
    /// What a pot is made of.
    type Credit;

    /// `R`: what a round with this fee rewards, fee and subsidy.
    fn reward(fee: Balance) -> Balance;

    /// What a loser leaves of a ticket of this price: `LoserShare`.
    fn loser_part(price: Balance) -> Balance;

    /// The part of the fee that goes back to the requester when the round fails after the
    /// responses were revealed. The rest is what two of the methods below are given.
    fn failure_refund(fee: Balance) -> Balance;

    /// Settles a round with a winner.
    ///
    /// `fee` is the whole fee, `forfeits` the tickets that were forfeited, `rankers` the rankers
    /// with their points (`Rating · max(0, 2c − 1)`); who has no points gets nothing.
    fn pay_winner(
        fee: Self::Credit,
        forfeits: Self::Credit,
        winner: &AccountId,
        rankers: &[(AccountId, u64)],
    ) -> Paid;

    /// Settles a round in which nobody reached the threshold: the rankers did their work and get
    /// their share of the pot, the rest is the treasury's. `fee` is the whole fee, `rest` what
    /// [`Self::failure_refund`] left of it.
    fn pay_rankers(
        fee: Balance,
        rest: Self::Credit,
        forfeits: Self::Credit,
        rankers: &[(AccountId, u64)],
    ) -> Paid;

    /// Settles a round that paid nobody: all of `rest`, what [`Self::failure_refund`] left of the
    /// fee, goes to the treasury.
    fn pay_nobody(rest: Self::Credit, forfeits: Self::Credit) -> Paid;
}
