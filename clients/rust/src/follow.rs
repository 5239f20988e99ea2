// SPDX-License-Identifier: Apache-2.0
//! Follows a round from its request to its end, block by block.

use std::collections::VecDeque;

use sp_core::crypto::AccountId32;
use starling_primitives::{api::RoundView, round::BlockNumber, RoundId, H256};
use subxt_signer::sr25519::Keypair;

use crate::{
    chain::{at_header, Header, Headers},
    events::BlockEvents,
    transaction::{self, look_into, Call, Keep, News, Status, Submitted},
    At, Chain, Error, Result,
};

/// The most blocks to read if a stream of best blocks left some out.
const MAX_GAP: usize = 256;

/// The most blocks to remember as told. None of a fork that is deeper than this comes back.
const MAX_TOLD: usize = 2 * MAX_GAP;

/// Hears of the progress of a round.
pub trait Watch: Send {
    /// The request is in this block as this round. The block is not final yet.
    fn requested(&mut self, _block: BlockNumber, _round: RoundId) {}

    /// The events of a block. Each block comes once, in order; after a reorganisation the new
    /// blocks follow.
    fn block(&mut self, _events: &BlockEvents) {}

    /// The round after a block with events of it. An end may not be final yet.
    fn round(&mut self, _block: BlockNumber, _view: &RoundView<AccountId32>) {}
}

/// The blocks of the best chain, without a gap.
pub struct BestChain {
    headers: Headers,
    /// The first header, which was waited for already: only then does the node send the others.
    first: Option<Header>,
    /// The last blocks that were told.
    told: VecDeque<H256>,
}

impl BestChain {
    /// The best blocks, from the present one on.
    pub async fn new(chain: &Chain) -> Result<Self> {
        let mut headers = chain.best_blocks().await?;
        let first = headers.next().await;
        Ok(Self {
            headers,
            first: Some(first),
            told: VecDeque::new(),
        })
    }

    /// Waits for the header of a best block. Nothing is lost if the caller stops waiting.
    async fn header(&mut self) -> Header {
        match self.first.take() {
            Some(first) => first,
            None => self.headers.next().await,
        }
    }

    /// Waits for a new best block. Returns it after its new ancestors.
    pub async fn next(&mut self, chain: &Chain) -> Result<Vec<At>> {
        let header = self.header().await;
        self.up_to(chain, header).await
    }

    /// The new best block, after its new ancestors. Nothing if it is the best block already.
    async fn up_to(&mut self, chain: &Chain, header: Header) -> Result<Vec<At>> {
        let best = at_header(header).await?;
        if self.told.back() == Some(&best.hash()) {
            return Ok(vec![]);
        }
        let is_first = self.told.is_empty();
        let mut new = vec![best.clone()];
        let mut last = best;
        while !is_first && new.len() < MAX_GAP {
            match last.parent(chain).await? {
                Some(parent) if !self.told.contains(&parent.hash()) => {
                    new.push(parent.clone());
                    last = parent;
                },
                _ => break,
            }
        }
        new.reverse();
        self.told.extend(new.iter().map(At::hash));
        let surplus = self.told.len().saturating_sub(MAX_TOLD);
        self.told.drain(..surplus);
        Ok(new)
    }
}

/// Follows a round until its end is final. Returns the round as of the block that finalised it.
pub async fn follow(
    chain: &Chain,
    id: RoundId,
    watch: &mut dyn Watch,
) -> Result<RoundView<AccountId32>> {
    let at = chain.finalized().await?;
    if let Some(view) = at
        .round(id)
        .await?
        .filter(|view| view.round.phase.is_final())
    {
        return Ok(view);
    }
    let mut follower = Follower::new(chain, Some(id)).await?;
    let best = chain.best().await?;
    let view = best.round(id).await?.ok_or_else(|| no_round(id))?;
    watch.round(best.number(), &view);
    follower.note(view);
    follower.run(chain, None, watch).await
}

/// Sends a request and follows its round until its end is final.
pub async fn ask(
    chain: &Chain,
    request: &Call,
    signer: &Keypair,
    watch: &mut dyn Watch,
) -> Result<RoundView<AccountId32>> {
    let asked = send(chain, request, signer, &mut |_| Ok(())).await?;
    asked.end(chain, watch).await
}

/// A request that the node has taken.
pub struct Asked {
    follower: Follower,
    submitted: Submitted,
}

/// Sends a request. `keep` gets each signed transaction before it is sent, see
/// [`transaction::submit_kept`].
pub async fn send(
    chain: &Chain,
    request: &Call,
    signer: &Keypair,
    keep: &mut Keep<'_>,
) -> Result<Asked> {
    let follower = Follower::new(chain, None).await?;
    let submitted = transaction::submit_kept(chain, request, signer, keep).await?;
    Ok(Asked {
        follower,
        submitted,
    })
}

impl Asked {
    /// Follows the round until its end is final.
    pub async fn end(
        mut self,
        chain: &Chain,
        watch: &mut dyn Watch,
    ) -> Result<RoundView<AccountId32>> {
        self.follower.run(chain, Some(self.submitted), watch).await
    }
}

/// The error for a round that is not stored.
pub fn no_round(id: RoundId) -> Error {
    Error::NotFound(format!(
        "there is no round {id}: it is not open yet or was removed; see `starling rounds list`"
    ))
}

struct Follower {
    best: BestChain,
    finalized: Headers,
    round: Option<RoundId>,
    /// Whether the round was not read yet.
    is_new: bool,
    /// The round after the best block that ended it. The chain removes a round without anything to
    /// read in the next block, long before its end is final.
    ended: Option<RoundView<AccountId32>>,
}

impl Follower {
    async fn new(chain: &Chain, round: Option<RoundId>) -> Result<Self> {
        Ok(Self {
            best: BestChain::new(chain).await?,
            finalized: chain.finalized_blocks().await?,
            round,
            is_new: true,
            ended: None,
        })
    }

    /// Follows another round from now on.
    fn of(&mut self, round: Option<RoundId>) {
        if self.round != round {
            self.round = round;
            self.is_new = true;
            self.ended = None;
        }
    }

    /// Notes the round as of a best block.
    fn note(&mut self, view: RoundView<AccountId32>) {
        self.is_new = false;
        if view.round.phase.is_final() {
            self.ended = Some(view);
        }
    }

    /// Reads the events of a best block, and the round if one is of it: without them it stays as it
    /// is.
    async fn hear(&mut self, at: &At, watch: &mut dyn Watch) -> Result<()> {
        let events = BlockEvents::read(at).await?;
        watch.block(&events);
        let has_news = |id: &RoundId| self.is_new || events.has(*id);
        if let Some(id) = self.round.filter(has_news) {
            if let Some(view) = at.round(id).await? {
                watch.round(at.number(), &view);
                self.note(view);
            }
        }
        Ok(())
    }

    /// A reorganisation can move the request to another block and round. Only a final block makes
    /// its round certain, and only then does the round end.
    async fn run(
        &mut self,
        chain: &Chain,
        mut request: Option<Submitted>,
        watch: &mut dyn Watch,
    ) -> Result<RoundView<AccountId32>> {
        loop {
            // Nothing but waiting here: `select!` drops the work of the other branches.
            let next = tokio::select! {
                news = news(&mut request) => Next::Request(news),
                header = self.best.header() => Next::Best(header),
                header = self.finalized.next() => Next::Final(header),
            };
            match next {
                Next::Request(news) => match look_into(chain, news).await? {
                    Status::Pending => self.of(None),
                    Status::InBlock(success) => {
                        self.of(success.round);
                        if let Some(round) = success.round {
                            watch.requested(success.block, round);
                        }
                    },
                    Status::Final(success) => {
                        self.of(success.round);
                        request = None;
                    },
                },
                Next::Best(header) => {
                    let blocks = self.best.up_to(chain, header).await?;
                    for at in &blocks {
                        self.hear(at, watch).await?;
                    }
                },
                Next::Final(header) => {
                    let at = at_header(header).await?;
                    let ended = self.ended.as_ref().filter(|_| request.is_none());
                    if let Some(ended) = ended.filter(|ended| ended.round.since <= at.number()) {
                        if let Some(view) = final_view(at.round(ended.id).await?, ended, &at) {
                            return Ok(view);
                        }
                    }
                },
            }
        }
    }
}

/// A round whose end is final: `stored` in this final block, or `ended` before it and removed.
fn final_view(
    stored: Option<RoundView<AccountId32>>,
    ended: &RoundView<AccountId32>,
    at: &At,
) -> Option<RoundView<AccountId32>> {
    match stored {
        Some(view) => Some(view).filter(|view| view.round.phase.is_final()),
        None => Some(ended.clone()).filter(|view| view.round.since < at.number()),
    }
}

/// The next event to handle.
enum Next {
    Request(News),
    Best(Header),
    Final(Header),
}

/// News of a request. Waits for ever without one.
async fn news(request: &mut Option<Submitted>) -> News {
    match request {
        Some(submitted) => submitted.news().await,
        None => std::future::pending().await,
    }
}
