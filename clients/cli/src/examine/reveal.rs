// SPDX-License-Identifier: Apache-2.0
//! Revealing known answers once their rounds are over.

use sp_core::crypto::AccountId32;
use starling_client::{
    transaction::{self, Reveal},
    At, Error, Result,
};
use starling_primitives::{
    api::{QuestionView, RoundView},
    choice::commitment,
    round::{Failure, Phase},
    H256,
};

use super::{
    state::{Asked, Fate},
    Examiner,
};

/// The errors of `pallet-capabilities` that stay, whatever happens.
const FINAL: [&str; 6] = [
    "UnknownQuestion",
    "CommitmentMismatch",
    "QuestionUsed",
    "NotConcluded",
    "NotRequester",
    "TooLate",
];

impl Examiner {
    /// Reveals the answers of all rounds that are over in a final block.
    pub async fn reveal(&mut self) -> Result<()> {
        let asked = self.ledger.record.asked.iter();
        let open = asked.filter(|asked| asked.fate == Fate::Open);
        for asked in open.cloned().collect::<Vec<_>>() {
            self.reveal_one(&asked).await?;
        }
        Ok(())
    }

    async fn reveal_one(&mut self, asked: &Asked) -> Result<()> {
        let index = asked.index;
        let broken = || {
            Error::Usage(format!(
                "the record names question {index}, and it is not in the pool or has no salt; \
                 restore the record from a copy"
            ))
        };
        let question = self.pool.question(index).ok_or_else(broken)?;
        let salt = asked.salt().ok_or_else(broken)?;
        let hashes = question.hashes();
        let examiner = self.account();
        let commitment = commitment(self.chain.genesis(), &examiner, index, &hashes, &salt);
        let at = self.chain.finalized().await?;
        let found = round_of(&at, asked, &examiner, commitment).await?;
        let Some((known, view)) = found else {
            // A request that was never signed has no last block.
            return match asked.last.is_none_or(|last| at.number() > last) {
                true => self.lose(index, "no stored round is that of its request"),
                false => Ok(()),
            };
        };
        if known.revealed {
            return self.ledger.change(index, |asked| asked.fate = Fate::Public);
        }
        match view.round.phase {
            Phase::Done | Phase::Failed(Failure::BelowThreshold) => {},
            Phase::Failed(_) => return self.lose(index, "its round has no ranked answers"),
            _ => return Ok(()),
        }
        // Each answer needs ten requests. It waits for those that are missing.
        let traffic = at.traffic(&examiner).await?;
        if !traffic.has_room() {
            return Ok(());
        }
        let round = view.id;
        let reveal = Reveal {
            round,
            index,
            keys: hashes,
            chance: question.chance.deconstruct(),
            salt,
            // It takes all questions of the pool, and most calls end before.
            proof: self.pool.proof(index).ok_or_else(broken)?,
        };
        let sent = transaction::send(&self.chain, &reveal.call(), &self.key).await;
        match sent {
            Ok(sent) => {
                eprintln!(
                    "round {round}: the known answer is public as of block {}",
                    sent.block
                );
                self.ledger.change(index, |asked| {
                    asked.round = Some(round);
                    asked.fate = Fate::Public;
                })
            },
            Err(Error::Refused(words)) if is_final(&words) => self.lose(index, &words),
            Err(error) => Err(error),
        }
    }

    /// Gives a known answer up.
    fn lose(&mut self, index: u32, why: &str) -> Result<()> {
        eprintln!("question {index} of the pool is lost: {why}");
        self.ledger.change(index, |asked| asked.fate = Fate::Lost)
    }
}

/// Whether the chain will never take an answer that it refused in these words.
fn is_final(words: &str) -> bool {
    FINAL
        .iter()
        .any(|name| words.contains(&format!("Capabilities.{name}")))
}

/// The round of a request by its commitment, among those of the examiner that the chain stores.
/// Somebody else may have copied the commitment.
async fn round_of(
    at: &At,
    asked: &Asked,
    examiner: &AccountId32,
    commitment: H256,
) -> Result<Option<(QuestionView, RoundView<AccountId32>)>> {
    let ids = match asked.round {
        Some(round) => round..round.saturating_add(1),
        None => asked.first..at.next_round().await?,
    };
    for id in ids {
        let question = at.question(id).await?;
        let Some(question) = question.filter(|question| question.commitment == commitment) else {
            continue;
        };
        let round = at.round(id).await?;
        if let Some(round) = round.filter(|round| round.round.requester == *examiner) {
            return Ok(Some((question, round)));
        }
    }
    Ok(None)
}
