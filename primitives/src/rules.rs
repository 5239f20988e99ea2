// SPDX-License-Identifier: Apache-2.0
//! The rules that the parameters of a chain keep together.

/// A rule that parameters broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The minimum bond is above zero.
    NoBond,
    /// There is at least one validator.
    NoValidator,
    /// The minimum number of validators is at most the maximum.
    TooManyValidators,
    /// A bond unbonds for longer than the longest round lasts.
    UnbondingTooShort,
    /// The minimum price of a ticket is above zero.
    FreeTicket,
    /// A ticket costs at least a hundredth of the reward. Below that, a Sybil's identities pay for
    /// themselves.
    TicketTooCheap,
    /// A rating is at most 1.
    RatingAboveOne,
    /// A spread is at most 1.
    SpreadAboveOne,
    /// Newcomers weigh something, or no first round could be decided.
    NewcomersWeighNothing,
    /// Winner and rankers together get at most the pot.
    SharesExceedPot,
    /// The minimum fee is above zero.
    NoFee,
    /// A requester that owns all agents of its round loses.
    SelfDealingGains,
    /// Each window has at least one block.
    EmptyWindow,
    /// A round has at least two responses: one that nobody else ranks cannot be chosen.
    TooFewToRank,
    /// The minimum number of responses is at most the maximum.
    MinResponsesAboveMax,
    /// A position holds every response.
    TooManyPositions,
    /// The largest round fits into a block.
    RoundExceedsBlock,
    /// The minimum number of rankings is at most the maximum.
    MinRankingsAboveMax,
    /// Somebody ranks.
    NobodyRanks,
    /// The sum of a response's scores fits 32 bits, and the message with them fits into a block.
    TooManyRankings,
    /// A message lives for at least one block.
    MessagesExpireAtOnce,
    /// The minimum slash is at most the maximum.
    MinSlashAboveMax,
    /// Withholding a key costs at least what it brings back.
    WithholdingPays,
    /// The minimum bond stays: which agents are active follows from it.
    BondChanged,
    /// The maximum number of rankings never falls: stored scores must still decode.
    RankingsLowered,
}
