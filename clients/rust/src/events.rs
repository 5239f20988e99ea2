// SPDX-License-Identifier: Apache-2.0
//! Events of rounds.

use std::collections::BTreeMap;

use sp_core::crypto::AccountId32;
use starling_primitives::{
    round::{BlockNumber, Phase, Settlement},
    Balance, RoundId,
};
use subxt::events::Phase as Stage;

use crate::{
    chain::{decode as decode_all, protocol},
    At, Chain, Result,
};

/// An event of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request opened it.
    Requested {
        /// The requester.
        requester: AccountId32,
    },
    /// An agent committed a sealed response.
    Committed(AccountId32),
    /// An agent passed.
    Passed(AccountId32),
    /// An agent lost its place: the round is full.
    Displaced(AccountId32),
    /// A phase began.
    PhaseBegan {
        /// The phase.
        phase: Phase,
        /// Its last block.
        deadline: BlockNumber,
    },
    /// An agent revealed its key.
    Revealed {
        /// The agent.
        agent: AccountId32,
        /// True if the key opened a valid response.
        valid: bool,
    },
    /// An agent committed scores.
    ScoresCommitted(AccountId32),
    /// An agent disclosed its scores.
    Disclosed {
        /// The agent.
        agent: AccountId32,
        /// True if the scores are for the assigned responses.
        valid: bool,
    },
    /// The round ended, and everything is paid.
    Settled {
        /// `Done`, or `Failed` with the reason.
        phase: Phase,
        /// The agent whose response won.
        winner: Option<AccountId32>,
        /// The amounts that were moved.
        settlement: Settlement,
    },
    /// The ratings of the rankers are updated.
    Rated,
    /// The round was removed.
    Purged,
}

/// Decodes an event; `None` if it is not about a round.
pub(crate) fn decode(pallet: &str, name: &str, fields: &[u8]) -> Result<Option<(RoundId, Event)>> {
    if pallet != "Rounds" {
        return Ok(None);
    }
    let what = format!("{pallet}.{name}");
    let agent = || decode_all::<(RoundId, AccountId32)>(&what, fields);
    let verdict = || decode_all::<(RoundId, AccountId32, bool)>(&what, fields);
    let round = || decode_all::<RoundId>(&what, fields);
    let event = match name {
        "Requested" => {
            type Fields = (RoundId, AccountId32, Balance, Balance);
            let (round, requester, _, _) = decode_all::<Fields>(&what, fields)?;
            (round, Event::Requested { requester })
        },
        "Committed" => agent().map(|(round, agent)| (round, Event::Committed(agent)))?,
        "Passed" => agent().map(|(round, agent)| (round, Event::Passed(agent)))?,
        "Displaced" => agent().map(|(round, agent)| (round, Event::Displaced(agent)))?,
        "PhaseBegan" => {
            let (round, phase, deadline) = decode_all(&what, fields)?;
            (round, Event::PhaseBegan { phase, deadline })
        },
        "Revealed" => {
            verdict().map(|(round, agent, valid)| (round, Event::Revealed { agent, valid }))?
        },
        "ScoresCommitted" => {
            agent().map(|(round, agent)| (round, Event::ScoresCommitted(agent)))?
        },
        "Disclosed" => {
            verdict().map(|(round, agent, valid)| (round, Event::Disclosed { agent, valid }))?
        },
        "Settled" => {
            let (round, phase, winner, settlement) = decode_all(&what, fields)?;
            (
                round,
                Event::Settled {
                    phase,
                    winner,
                    settlement,
                },
            )
        },
        "Rated" => (round()?, Event::Rated),
        "Purged" => (round()?, Event::Purged),
        _ => return Ok(None),
    };
    Ok(Some(event))
}

/// The amounts that the end of a round moved, by account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payments {
    /// Payments.
    pub paid: BTreeMap<AccountId32, Balance>,
    /// Amounts taken from bonds.
    pub slashed: BTreeMap<AccountId32, Balance>,
}

/// The events of rounds in one block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockEvents {
    /// The block.
    pub number: BlockNumber,
    /// The events in order.
    pub events: Vec<(RoundId, Event)>,
    /// The payments of the rounds that ended in this block.
    pub payments: BTreeMap<RoundId, Payments>,
}

impl BlockEvents {
    /// Whether there is an event of a round.
    pub fn has(&self, id: RoundId) -> bool {
        self.events.iter().any(|(round, _)| *round == id)
    }

    /// Reads the events of a block.
    pub async fn read(at: &At) -> Result<Self> {
        let events = at.inner.events().fetch().await.map_err(protocol)?;
        let mut reader = Reader::default();
        for event in events.iter() {
            let event = event.map_err(protocol)?;
            let at_the_end = event.phase() == Stage::Finalization;
            reader.add(
                at_the_end,
                event.pallet_name(),
                event.event_name(),
                event.field_bytes(),
            )?;
        }
        Ok(Self {
            number: at.number(),
            events: reader.events,
            payments: reader.payments,
        })
    }
}

/// Assigns the payments of a block to rounds. A settlement pays at the end of the block, before its
/// own event and after the event of the settlement before it.
#[derive(Default)]
struct Reader {
    events: Vec<(RoundId, Event)>,
    payments: BTreeMap<RoundId, Payments>,
    open: Payments,
}

impl Reader {
    fn add(&mut self, at_the_end: bool, pallet: &str, name: &str, fields: &[u8]) -> Result<()> {
        let moved = match (pallet, name) {
            ("Balances", "Deposit") => Some(&mut self.open.paid),
            ("Agents", "Slashed") => Some(&mut self.open.slashed),
            _ => None,
        };
        if let Some(moved) = moved.filter(|_| at_the_end) {
            let (who, amount): (AccountId32, Balance) = decode_all(name, fields)?;
            let sum = moved.entry(who).or_default();
            *sum = sum.saturating_add(amount);
        }
        if let Some((round, event)) = decode(pallet, name, fields)? {
            if let Event::Settled { .. } = event {
                self.payments.insert(round, std::mem::take(&mut self.open));
            }
            self.events.push((round, event));
        }
        Ok(())
    }
}

/// The history of a round, from the events of its blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The block at the end of which each phase began.
    pub phases: Vec<(Phase, BlockNumber)>,
    /// The amounts that the end moved.
    pub settlement: Option<Settlement>,
    /// The amounts that the end moved, by account.
    pub payments: Payments,
}

impl History {
    /// Reads the blocks from `first` to `last`. `None` if the node has pruned the state of one.
    pub async fn read(
        chain: &Chain,
        round: RoundId,
        first: BlockNumber,
        last: BlockNumber,
    ) -> Option<Self> {
        let mut at = chain.at_number(last).await.ok()?;
        let mut blocks = vec![BlockEvents::read(&at).await.ok()?];
        while at.number() > first {
            at = at.parent(chain).await.ok()??;
            blocks.push(BlockEvents::read(&at).await.ok()?);
        }
        let mut history = Self::default();
        let oldest_first = blocks.into_iter().rev();
        oldest_first.for_each(|block| history.add(round, block));
        Some(history)
    }

    /// Adds the events of `round` in a block.
    pub fn add(&mut self, round: RoundId, mut block: BlockEvents) {
        for (_, event) in block.events.into_iter().filter(|(id, _)| *id == round) {
            let phase = match event {
                Event::Requested { .. } => Phase::Committing,
                Event::PhaseBegan { phase, .. } => phase,
                Event::Settled {
                    phase, settlement, ..
                } => {
                    self.settlement = Some(settlement);
                    phase
                },
                _ => continue,
            };
            if self.phases.last().is_none_or(|last| last.0 != phase) {
                self.phases.push((phase, block.number));
            }
        }
        if let Some(payments) = block.payments.remove(&round) {
            self.payments = payments;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode;
    use starling_primitives::round::Failure;

    const ALICE: AccountId32 = AccountId32::new([1; 32]);
    const BOB: AccountId32 = AccountId32::new([2; 32]);

    fn deposit(reader: &mut Reader, at_the_end: bool, who: AccountId32, amount: Balance) {
        let fields = (who, amount).encode();
        reader
            .add(at_the_end, "Balances", "Deposit", &fields)
            .unwrap();
    }

    fn settled(reader: &mut Reader, round: RoundId, phase: Phase) {
        let fields = (round, phase, Some(BOB), [0u128; 8]).encode();
        reader.add(true, "Rounds", "Settled", &fields).unwrap();
    }

    #[test]
    fn each_settlement_has_the_payments_before_it() {
        let mut reader = Reader::default();
        deposit(&mut reader, false, ALICE, 1_000);
        deposit(&mut reader, true, BOB, 70);
        deposit(&mut reader, true, ALICE, 20);
        deposit(&mut reader, true, BOB, 5);
        settled(&mut reader, 7, Phase::Done);
        let slash = (ALICE, 9u128).encode();
        reader.add(true, "Agents", "Slashed", &slash).unwrap();
        settled(&mut reader, 8, Phase::Failed(Failure::NoRankings));

        let first = Payments {
            paid: [(ALICE, 20), (BOB, 75)].into(),
            slashed: [].into(),
        };
        let second = Payments {
            paid: [].into(),
            slashed: [(ALICE, 9)].into(),
        };
        assert_eq!(reader.payments, [(7, first), (8, second)].into());
    }

    #[test]
    fn the_history_has_the_blocks_of_the_phases_of_one_round() {
        let mut history = History::default();
        let began = |number, round, phase| BlockEvents {
            number,
            events: vec![(
                round,
                Event::PhaseBegan {
                    phase,
                    deadline: 99,
                },
            )],
            payments: [].into(),
        };
        let asked = (7, Event::Requested { requester: ALICE });
        history.add(
            7,
            BlockEvents {
                number: 3,
                events: vec![asked],
                payments: [].into(),
            },
        );
        history.add(7, began(4, 8, Phase::Revealing));
        history.add(7, began(5, 7, Phase::Revealing));
        let mut reader = Reader::default();
        settled(&mut reader, 7, Phase::Done);
        history.add(
            7,
            BlockEvents {
                number: 9,
                events: reader.events,
                payments: reader.payments,
            },
        );
        assert_eq!(
            history.phases,
            [
                (Phase::Committing, 3),
                (Phase::Revealing, 5),
                (Phase::Done, 9)
            ]
        );
        assert!(history.settlement.is_some());
    }

    #[test]
    fn fields_of_another_type_are_an_error() {
        assert!(decode("Rounds", "Rated", &[1]).is_err());
        assert!(decode("Rounds", "Committed", &[0; 41]).is_err());
        assert_eq!(decode("Rounds", "Unheard", &[1]).unwrap(), None);
        assert_eq!(decode("System", "Rated", &[1]).unwrap(), None);
    }
}
