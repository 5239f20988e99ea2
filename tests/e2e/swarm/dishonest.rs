// SPDX-License-Identifier: Apache-2.0
//! Agents that cheat. Dave's node runs no agent, because the test plays it.

use anyhow::{bail, ensure, Context, Result};
use chacha20poly1305::{
    aead::{Aead, Payload},
    KeyInit, XChaCha20Poly1305,
};
use codec::{Decode, Encode};
use pallet_rounds::{Error as Refusal, ParticipantOf, Response};
use starling_primitives::{
    api::{ResponseView, RoundView},
    messages::Message,
    round::Phase,
    sealing::Format,
    Position, RoundId, Salt, Score, Secret,
};
use starling_runtime::{AccountId, Runtime};
use starling_tests::{chain::AtBlock, Api};
use subxt::{
    dynamic::{storage, Value},
    rpcs::{Error, RpcClient},
};

use super::{
    account, agent, expert,
    honest::{check_settlement, Deviations, FEE},
    keys,
    oracle::TODAY,
    Swarm,
};
use crate::played::{submit, Played};

type View = RoundView<AccountId>;

const KEY: Secret = [7; 32];
const SALT: Salt = [8; 32];
/// JSON-RPC error code of `author_submitExtrinsic` for a transaction that may become valid.
const UNKNOWN: i32 = 1011;

/// Three honest agents, and Dave.
struct Cast {
    swarm: Swarm,
    api: Api,
    rpc: RpcClient,
    alice: AccountId,
    dave: Played,
    deviations: Deviations,
}

/// One swarm for all cases, because starting it takes longer than a round.
#[tokio::test]
async fn a_cheat_gains_nothing_and_loses_the_protocols_amounts() -> Result<()> {
    let mut cast = Cast::start().await?;
    cast.copies_a_ciphertext().await?;
    cast.reveals_garbage().await?;
    // Two rounds, so that Dave is rated by its scores alone.
    cast.scores_at_random("What is a murmuration?").await?;
    cast.scores_at_random("Do starlings sing?").await?;
    cast.never_discloses().await
}

impl Cast {
    async fn start() -> Result<Self> {
        let swarm = Swarm::start([
            Some(expert("A starling is a small songbird.")),
            Some(expert("A starling is a songbird that mimics others.")),
            Some(expert("Starlings are songbirds; a flock is a murmuration.")),
            None,
        ])
        .await?;
        let api = swarm.api().await?;
        Ok(Self {
            rpc: swarm.node()?.rpc().await?,
            dave: Played::new(&api, "//Dave")?,
            alice: account(&keys()[0]),
            deviations: Deviations::default(),
            swarm,
            api,
        })
    }

    /// Dave commits Alice's ciphertext with a key of its own. After Alice's reveal, her key does
    /// not match Dave's commitment, and Dave's own key opens nothing.
    async fn copies_a_ciphertext(&mut self) -> Result<()> {
        let id = self.swarm.ask("What is a starling?", FEE).await?;
        let alice = self.alice.clone();
        let has_committed = |view: &View| of(view, &alice).is_some();
        let (at, _) = self.swarm.until_best(id, has_committed).await?;
        let sealed = Vec::<u8>::decode(&mut &*stored(&at, "Sealed", id, &alice).await?)?;
        self.commit(&at, id, &sealed).await?;

        let has_revealed =
            |view: &View| of(view, &alice).is_some_and(|response| response.text.is_some());
        let (at, _) = self.swarm.until_best(id, has_revealed).await?;
        let participant = stored(&at, "Participants", id, &alice).await?;
        let participant = ParticipantOf::<Runtime>::decode(&mut &*participant)?;
        let Response::Valid { key: stolen, .. } = participant.response else {
            bail!("Alice has not revealed");
        };
        let refusal = self.send(&at, id, Message::Reveal { key: &stolen }).await;
        assert_refused(refusal, Refusal::KeyMismatch)?;
        self.send(&at, id, Message::Reveal { key: &KEY }).await?;

        let view = self.ends(id).await?;
        assert!(response(&view, &self.dave.account)?.spoiled);
        assert_eq!(view.round.counts.valid, 3);
        assert_ne!(view.round.winner, Some(self.dave.account.clone()));
        Ok(())
    }

    /// Dave's ciphertext opens with its key, but not to text.
    async fn reveals_garbage(&mut self) -> Result<()> {
        let id = self.swarm.ask("What is a flock?", FEE).await?;
        let (at, _) = self.swarm.until_best(id, |_| true).await?;
        let slot = self.dave.slot(id);
        let payload = Payload {
            msg: b"\xff\xfe is no UTF-8",
            aad: &slot.associated_data(),
        };
        let sealed = XChaCha20Poly1305::new(&KEY.into()).encrypt(&slot.nonce().into(), payload);
        let sealed = sealed.ok().context("it does not seal")?;
        self.commit(&at, id, &sealed).await?;
        self.reveal(id).await?;

        let view = self.ends(id).await?;
        assert!(response(&view, &self.dave.account)?.spoiled);
        Ok(())
    }

    /// Dave answers, and scores without looking at the responses.
    async fn scores_at_random(&mut self, question: &str) -> Result<()> {
        let (id, scores) = self.until_disclosing(question).await?;
        let is_open = |view: &View| view.round.phase == Phase::Disclosing;
        let (at, _) = self.swarm.until_best(id, is_open).await?;
        let disclosure = Message::Disclose {
            scores: &scores,
            salt: &SALT,
        };
        self.send(&at, id, disclosure).await?;

        let view = self.ends(id).await?;
        let given = &response(&view, &self.dave.account)?.scores;
        assert_eq!(given.as_ref(), Some(&scores));
        Ok(())
    }

    /// Dave commits scores and keeps them secret. Its response is treated like any other, and its
    /// bond is slashed.
    async fn never_discloses(&mut self) -> Result<()> {
        let (id, _) = self
            .until_disclosing("How many starlings are there?")
            .await?;
        let view = self.ends(id).await?;
        let response = response(&view, &self.dave.account)?;
        assert!(response.text.is_some());
        assert_eq!(response.scores, None);
        assert_eq!(view.round.counts.score_commits, 4);
        assert_eq!(view.round.counts.disclosures, 3);
        Ok(())
    }

    /// Dave answers, reveals and commits scores at random. Returns the round and the scores.
    async fn until_disclosing(
        &mut self,
        question: &str,
    ) -> Result<(RoundId, Vec<(Position, Score)>)> {
        let id = self.swarm.ask(question, FEE).await?;
        let (at, _) = self.swarm.until_best(id, |_| true).await?;
        let sealed =
            self.dave
                .slot(id)
                .seal(&KEY, "Starlings are birds that mimic.", 64, Format::Padded);
        let sealed = sealed.context("it does not seal")?;
        self.commit(&at, id, &sealed).await?;
        self.reveal(id).await?;

        let ranks = |view: &View| view.round.phase == Phase::Ranking;
        let (at, view) = self.swarm.until_best(id, ranks).await?;
        let seed = view.round.seed.context("there is a seed")?;
        let own = response(&view, &self.dave.account)?.position;
        let positions = view.responses.iter().map(|response| response.position);
        let others = positions.filter(|position| *position != own);
        // The seed is as good as dice.
        let mut scores = vec![];
        for (position, dice) in others.zip(seed.as_bytes().chunks_exact(2)) {
            let position = position.context("everybody has a place")?;
            scores.push((position, Score(u16::from_le_bytes(dice.try_into()?))));
        }
        let commitment = self.dave.slot(id).scores_commitment(seed, &scores, &SALT);
        self.send(&at, id, Message::CommitScores { seed, commitment })
            .await?;
        Ok((id, scores))
    }

    async fn commit(&self, at: &AtBlock, id: RoundId, sealed: &[u8]) -> Result<()> {
        let message = Message::Commit {
            sealed,
            key_commitment: self.dave.slot(id).key_commitment(&KEY),
        };
        self.send(at, id, message).await
    }

    async fn reveal(&self, id: RoundId) -> Result<()> {
        let is_open = |view: &View| view.round.phase == Phase::Revealing;
        let (at, _) = self.swarm.until_best(id, is_open).await?;
        self.send(&at, id, Message::Reveal { key: &KEY }).await
    }

    /// Sends a message of Dave after a block. Fails if the pool refuses it.
    async fn send(&self, at: &AtBlock, id: RoundId, message: Message<'_>) -> Result<()> {
        let mut blocks = self.api.stream_best_blocks().await?;
        let mut now = at.block_number();
        loop {
            let transaction = self.dave.transaction(id, now, &message, |_| ())?;
            match submit(&self.rpc, transaction).await {
                // The pool does not know the block yet.
                Err(Error::User(refusal)) if refusal.code == UNKNOWN => {
                    now = blocks.next().await.context("no more blocks")??.number();
                },
                outcome => return Ok(outcome.map(drop)?),
            }
        }
    }

    /// Waits for the end of a round and checks its slashes: Dave has lost bond for each missing
    /// message, and nobody else has lost any.
    async fn ends(&mut self, id: RoundId) -> Result<View> {
        let (at, view) = self.swarm.ended(id).await?;
        check_settlement(&self.swarm, &self.api, &at, &view, TODAY).await?;
        let before = self
            .api
            .at_block(at.block_header().await?.parent_hash)
            .await?;
        for key in keys() {
            let who = account(&key);
            let had = agent(&self.rpc, &before, &who).await?.bond;
            let has = agent(&self.rpc, &at, &who).await?.bond;
            let fared = response(&view, &who)?;
            let delivered = fared.text.is_some() && fared.scores.is_some();
            assert!(delivered || who == self.dave.account, "{view:?}");
            let slash = if delivered { 0 } else { view.round.terms.slash };
            assert_eq!(had - has, slash, "of {who}");
        }
        self.deviations.check_ratings(&self.swarm, &view).await?;
        Ok(view)
    }
}

fn of<'a>(view: &'a View, agent: &AccountId) -> Option<&'a ResponseView<AccountId>> {
    let mut responses = view.responses.iter();
    responses.find(|response| response.agent == *agent)
}

fn response<'a>(view: &'a View, agent: &AccountId) -> Result<&'a ResponseView<AccountId>> {
    of(view, agent).context("it is not in the round")
}

/// The stored entry of `pallet-rounds` about an agent in a round, SCALE-encoded.
async fn stored(at: &AtBlock, entry: &str, id: RoundId, agent: &AccountId) -> Result<Vec<u8>> {
    let address = storage::<(u64, [u8; 32]), Value>("Rounds", entry);
    let key = (id, *AsRef::<[u8; 32]>::as_ref(agent));
    Ok(at.storage().fetch(address, key).await?.bytes().to_vec())
}

/// Asserts that the pool refused a message for this reason.
fn assert_refused(outcome: Result<()>, reason: Refusal<Runtime>) -> Result<()> {
    let error = outcome.err().context("the pool takes it")?;
    let Some(Error::User(refusal)) = error.downcast_ref() else {
        return Err(error);
    };
    let said = refusal.data.as_ref().map(ToString::to_string);
    let index = reason.encode().first().copied().unwrap_or_default();
    let expected = format!("Custom error: {index}");
    ensure!(
        said.as_ref().is_some_and(|said| said.contains(&expected)),
        "{expected} is not {said:?}"
    );
    Ok(())
}
