// SPDX-License-Identifier: Apache-2.0
//! A request from its signature to its certificate.

use std::time::Instant;

use codec::{DecodeAll, Encode};
use serde::Deserialize;
use sp_core::crypto::AccountId32;
use starling_lane_primitives::{messages::Ask, Certificate, Form, Proof};
use starling_primitives::{
    api::{
        lanes::{CommitteeView, Epoch, EpochView, LaneId, LaneView},
        OutcomeView,
    },
    round::BlockNumber,
    Balance, H256,
};
use subxt::rpcs::{
    self,
    client::{RpcParams, RpcSubscription},
    methods::legacy::Bytes,
    rpc_params,
};
use subxt_signer::sr25519::Keypair;

use super::{
    certificate,
    timing::{moment, needed, Moment, ESCALATION_DELAY},
};
use crate::{
    chain::{at_header, protocol},
    error,
    report::Outcome,
    At, Chain, Error, Result,
};

/// Number of requests that are tried while others of the lane take their numbers, or while the node
/// is in another epoch than this client.
const TRIES: usize = 16;

/// JSON-RPC's code of a method that there is not.
const NO_METHOD: i32 = -32601;

/// A question for a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The prompt.
    pub prompt: String,
    /// The fee.
    pub fee: Balance,
    /// The maximum length of an answer, in tokens.
    pub max_tokens: u32,
    /// The form of the answers.
    pub form: Form,
}

/// A lane at a node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The present epoch.
    pub epoch: Epoch,
    /// The next number of a request, as far as the node has seen them.
    pub next: u32,
    /// The size of the committee; 0 if the lane rests.
    pub members: u32,
    /// Number of members to which the node has a link, with itself.
    pub connected: u32,
    /// Whether the node takes requests of the lane.
    pub takes_asks: bool,
}

/// The progress of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The node has it.
    Asked,
    /// The responses are open. The answer may still change.
    Preview,
    /// The scores are open. The node has computed the answer.
    Soft,
    /// A quorum has signed the outcome.
    Certified,
    /// There is no certificate, and there will be none.
    Expired,
}

impl Stage {
    /// The name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Preview => "preview",
            Self::Soft => "soft",
            Self::Certified => "certified",
            Self::Expired => "expired",
        }
    }
}

/// An answer of a member.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// The address of the agent.
    pub agent: String,
    /// The text.
    pub text: String,
}

/// A payment that the members vote for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Payout {
    /// The address of the account.
    pub account: String,
    /// The amount, in the smallest unit.
    pub amount: String,
}

/// The progress of a request, as a node tells it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    stage: Stage,
    answer: Option<Answer>,
    outcome: Option<H256>,
    payouts: Vec<Payout>,
    proof: Option<Bytes>,
    certificate: Option<Bytes>,
    soft_ms: Option<f64>,
    certified_ms: Option<f64>,
}

/// The progress of a request. A certificate in it has been checked, and with it text and payments.
/// A preview is the word of the node, and so is that a soft answer was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// The best answer so far. `None` at the end if no response could win.
    pub answer: Option<Answer>,
    /// The hash of the outcome, from the soft answer on.
    pub outcome: Option<H256>,
    /// The votes behind the answer, where equal answers are counted.
    pub votes: Option<Outcome>,
    /// The payments.
    pub payouts: Vec<Payout>,
    /// The members whose signatures certify the outcome.
    pub signers: Vec<AccountId32>,
    /// The time from the arrival of the request at the node to the soft answer, in milliseconds.
    pub soft_ms: Option<f64>,
    /// The same to the certificate.
    pub certified_ms: Option<f64>,
}

/// A request with its signature. Sent twice, it is one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The request.
    pub ask: Ask,
    /// The signature of the lane's key under its hash.
    pub signature: [u8; 64],
}

impl Signed {
    /// Signs a request.
    pub fn new(ask: Ask, signer: &Keypair) -> Self {
        let signature = signer.sign(&ask.hash()).0;
        Self { ask, signature }
    }

    /// Reads what [`Self::to_bytes`] has written.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (ask, signature) = <(Ask, [u8; 64])>::decode_all(&mut &*bytes).ok()?;
        Some(Self { ask, signature })
    }

    /// The request in bytes, to keep it.
    pub fn to_bytes(&self) -> Vec<u8> {
        (&self.ask, &self.signature).encode()
    }

    /// Gives the request to the node. Returns its id.
    async fn send(&self, chain: &Chain) -> Result<H256> {
        let params = rpc_params![Bytes(self.ask.encode()), Bytes(self.signature.to_vec())];
        request(chain, "lane_ask", params).await
    }
}

/// Keeps a request before it is sent. Gets `None` once the node has refused the last one.
pub type Keep<'a> = dyn FnMut(Option<&Signed>) -> Result<()> + Send + 'a;

/// The least number that a request may get in an epoch.
pub type Least<'a> = dyn Fn(Epoch) -> u32 + Sync + 'a;

/// A request that a node has taken.
pub struct Asked {
    ask: Ask,
    committee: CommitteeView<AccountId32>,
    sent: Instant,
    updates: RpcSubscription<Told>,
}

/// Calls a method of the node. A refusal of the node is [`Error::NotTaken`].
async fn request<T: serde::de::DeserializeOwned>(
    chain: &Chain,
    method: &str,
    params: RpcParams,
) -> Result<T> {
    let answer = chain.rpc.request(method, params).await;
    answer.map_err(of_node)
}

fn of_node(error: rpcs::Error) -> Error {
    match error {
        rpcs::Error::User(refusal) if refusal.code == NO_METHOD => {
            Error::NotTaken("this node has no fast lane: ask another one with --url".into())
        },
        rpcs::Error::User(refusal) => Error::NotTaken(error::of_pool(&refusal)),
        other => protocol(other),
    }
}

/// A lane at the node.
pub async fn status(chain: &Chain, lane: LaneId) -> Result<Status> {
    request(chain, "lane_status", rpc_params![lane]).await
}

/// Waits for the first best block that is not below this number.
pub async fn until(chain: &Chain, block: BlockNumber) -> Result<At> {
    let at = chain.best().await?;
    if at.number() >= block {
        return Ok(at);
    }
    let mut blocks = chain.best_blocks().await?;
    loop {
        let at = at_header(blocks.next().await).await?;
        if at.number() >= block {
            return Ok(at);
        }
    }
}

/// Waits until a request that has expired can be escalated.
pub async fn until_escalation(chain: &Chain, ask: &Ask) -> Result<At> {
    until(chain, ask.expiry.saturating_add(ESCALATION_DELAY)).await
}

/// Asks a lane. `say` hears what this waits for.
///
/// Fails with [`Error::NotTaken`] if nobody has got the request, so that asking in another way pays
/// once.
pub async fn send(
    chain: &Chain,
    lane: &LaneView<AccountId32>,
    question: &Question,
    signer: &Keypair,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Asked> {
    send_kept(chain, lane, question, signer, &|_| 0, &mut |_| Ok(()), say).await
}

/// As [`send`]. `keep` gets each signed request before it is sent, and stops it by an error. The
/// node has refused all of them but the last.
///
/// `least` is one more than the last number that the caller has kept in an epoch. A node that has
/// restarted does not know the numbers that members have, and members refuse a number twice.
pub async fn send_kept(
    chain: &Chain,
    lane: &LaneView<AccountId32>,
    question: &Question,
    signer: &Keypair,
    least: &Least<'_>,
    keep: &mut Keep<'_>,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Asked> {
    if lane.terms.key != signer.public_key().0 {
        return Err(Error::NotTaken(format!(
            "another key signs the requests of lane {}: pass its signer",
            lane.id
        )));
    }
    let mut refusal = None;
    for _ in 0..TRIES {
        let (at, epoch, expiry) = in_time(chain, lane, say).await?;
        let committee = at.committee(lane.id, epoch.epoch).await?;
        let committee = committee.ok_or_else(|| Error::NotTaken(no_committee(lane, &epoch)))?;
        let status = status(chain, lane.id).await?;
        if status.epoch != epoch.epoch {
            // One of us is a block behind.
            until(chain, at.number().saturating_add(1)).await?;
            continue;
        }
        if !status.takes_asks {
            return Err(Error::NotTaken(format!(
                "this node takes no requests of lane {}: ask a node of a member, or the node at \
                 which the lane was opened",
                lane.id
            )));
        }
        let ask = Ask {
            genesis: chain.genesis().0,
            lane: lane.id,
            epoch: epoch.epoch,
            seq: status.next.max(least(epoch.epoch)),
            prompt: question.prompt.clone().into_bytes(),
            max_tokens: question.max_tokens,
            form: question.form,
            fee: question.fee,
            expiry,
        };
        let signed = Signed::new(ask, signer);
        keep(Some(&signed))?;
        let sent = Instant::now();
        match signed.send(chain).await {
            Ok(id) => {
                let updates = subscribe(chain, id).await?;
                return Ok(Asked {
                    ask: signed.ask,
                    committee,
                    sent,
                    updates,
                });
            },
            Err(refused @ Error::NotTaken(_)) => {
                keep(None)?;
                let now = self::status(chain, lane.id).await?;
                if !is_taken(&now, &signed.ask) {
                    return Err(refused);
                }
                refusal = Some(refused);
            },
            Err(other) => return Err(other),
        }
    }
    Err(refusal.unwrap_or_else(|| {
        Error::NotTaken(format!(
            "node and chain do not agree on the epoch of lane {}; try again",
            lane.id
        ))
    }))
}

/// Whether a refused request is one for which others were faster: its number is taken, or its epoch
/// is over.
fn is_taken(now: &Status, ask: &Ask) -> bool {
    now.epoch != ask.epoch || now.next > ask.seq
}

/// Follows a request that may have been sent before. It is sent again, the same bytes, if the node
/// does not know it.
///
/// Fails with [`Error::NotTaken`] if the node does not know it and does not take it any more.
/// Members may have it all the same.
pub async fn resume(chain: &Chain, signed: &Signed) -> Result<Asked> {
    let ask = &signed.ask;
    let committee = chain.best().await?.committee(ask.lane, ask.epoch).await?;
    let committee = committee.ok_or_else(|| {
        Error::NotFound(format!(
            "the chain no longer has the committee of lane {} in epoch {}",
            ask.lane, ask.epoch
        ))
    })?;
    let sent = Instant::now();
    let updates = match subscribe(chain, H256(ask.hash())).await {
        Ok(updates) => updates,
        Err(_) => {
            let id = signed.send(chain).await?;
            subscribe(chain, id).await?
        },
    };
    Ok(Asked {
        ask: ask.clone(),
        committee,
        sent,
        updates,
    })
}

/// Follows the progress of a request at the node.
async fn subscribe(chain: &Chain, id: H256) -> Result<RpcSubscription<Told>> {
    let updates = chain.rpc.subscribe(
        "lane_subscribeProgress",
        rpc_params![id],
        "lane_unsubscribeProgress",
    );
    updates.await.map_err(protocol)
}

/// Waits until a request of the lane fits into the epoch. Returns the block, the epoch and the
/// expiry of the request.
async fn in_time(
    chain: &Chain,
    lane: &LaneView<AccountId32>,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<(At, EpochView, BlockNumber)> {
    let mut at = chain.best().await?;
    let slot_ms: u64 = at.constant("Aura", "SlotDuration")?;
    let needed = needed(&lane.terms, slot_ms);
    loop {
        let epoch = at.lane_epoch().await?;
        match moment(at.number(), &epoch, needed) {
            Moment::Now(expiry) => return Ok((at, epoch, expiry)),
            Moment::From(block) => {
                let next = epoch.epoch.saturating_add(1);
                if at.committee(lane.id, next).await?.is_none() {
                    return Err(Error::NotTaken(format!(
                        "epoch {} ends too soon, and lane {} has no committee in the next one",
                        epoch.epoch, lane.id
                    )));
                }
                say(&format!(
                    "epoch {} ends too soon: waiting for block {block}",
                    epoch.epoch
                ));
                at = until(chain, block).await?;
            },
            Moment::Never => {
                return Err(Error::NotTaken(format!(
                    "lane {} gives its members {needed} blocks for a request, and an epoch is \
                     shorter: open a lane with less time",
                    lane.id
                )))
            },
        }
    }
}

/// The reason why a lane has no committee.
fn no_committee(lane: &LaneView<AccountId32>, epoch: &EpochView) -> String {
    let (id, now) = (lane.id, epoch.epoch);
    match lane.last_epoch {
        Some(last) if last < now => format!("lane {id} is closed since the end of epoch {last}"),
        _ if now < lane.first_epoch => format!(
            "lane {id} has its first committee in epoch {}, and this is epoch {now}",
            lane.first_epoch
        ),
        _ => format!("lane {id} rests in epoch {now}: too few agents have volunteered"),
    }
}

impl Asked {
    /// The request.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// The committee that the chain names for it.
    pub fn committee(&self) -> &CommitteeView<AccountId32> {
        &self.committee
    }

    /// The moment at which it was sent.
    pub fn sent(&self) -> Instant {
        self.sent
    }

    /// Waits for the end, which is a certificate or nothing. `watch` hears of each step.
    ///
    /// A node that says nothing is not waited for longer than until the request can be escalated.
    pub async fn end(
        &mut self,
        chain: &Chain,
        watch: &mut (dyn FnMut(&Progress) + Send),
    ) -> Result<Option<Progress>> {
        let late = until(chain, self.ask.expiry.saturating_add(ESCALATION_DELAY));
        tokio::pin!(late);
        loop {
            tokio::select! {
                progress = self.next() => {
                    let progress = progress?;
                    watch(&progress);
                    match progress.stage {
                        Stage::Certified => return Ok(Some(progress)),
                        Stage::Expired => return Ok(None),
                        Stage::Asked | Stage::Preview | Stage::Soft => {},
                    }
                },
                at = &mut late => {
                    at?;
                    return Ok(None);
                },
            }
        }
    }

    /// Waits for news. A certificate is checked against the committee, and the answer against its
    /// proof. A wrong one is an error.
    pub async fn next(&mut self) -> Result<Progress> {
        let told = self.updates.next().await;
        let told = told.ok_or_else(|| protocol("the node no longer follows the request"))?;
        told.map_err(protocol)
            .and_then(|told| checked(told, &self.ask, &self.committee))
    }
}

/// Checks what a node tells.
fn checked(told: Told, ask: &Ask, committee: &CommitteeView<AccountId32>) -> Result<Progress> {
    let distrust = |why: String| {
        protocol(format!(
            "what the node says of request {} is not proven: {why}",
            ask.seq
        ))
    };
    let (votes, signers) = match told.stage {
        Stage::Asked | Stage::Preview | Stage::Expired => (None, vec![]),
        Stage::Soft | Stage::Certified => {
            let proof: Proof = part(told.proof.as_ref(), "proof").map_err(distrust)?;
            let (shown, signers) = match told.stage {
                Stage::Certified => {
                    let votes: Certificate =
                        part(told.certificate.as_ref(), "certificate").map_err(distrust)?;
                    certificate::check(ask, &proof, &votes, committee)
                },
                _ => certificate::open(ask, &proof, committee).map(|shown| (shown, vec![])),
            }
            .map_err(|why| distrust(why.to_string()))?;
            let is_shown = told.outcome == Some(H256(shown.outcome))
                && told.answer == shown.answer
                && told.payouts == shown.payouts;
            if !is_shown {
                let why = "answer, payments or outcome are not those of its proof";
                return Err(distrust(why.into()));
            }
            let votes = shown.count.map(OutcomeView::from);
            (votes.as_ref().map(Outcome::from), signers)
        },
    };
    Ok(Progress {
        stage: told.stage,
        answer: told.answer,
        outcome: told.outcome,
        votes,
        payouts: told.payouts,
        signers,
        soft_ms: told.soft_ms,
        certified_ms: told.certified_ms,
    })
}

/// Decodes a part of what a node tells.
fn part<T: DecodeAll>(bytes: Option<&Bytes>, name: &str) -> std::result::Result<T, String> {
    let bytes = bytes.ok_or_else(|| format!("it shows no {name}"))?;
    T::decode_all(&mut bytes.0.as_slice())
        .map_err(|error| format!("its {name} cannot be decoded: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};
    use sp_core::crypto::Ss58Codec;

    use super::{
        certificate::fixture::{ask, certificate, committee, proof},
        *,
    };

    fn hex(bytes: &[u8]) -> Value {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        json!(format!("0x{}", digits.collect::<String>()))
    }

    fn address(id: u8) -> String {
        AccountId32::new([id; 32]).to_ss58check()
    }

    /// The news of a node about a request that is certified, but for a change.
    fn told(stage: &str, change: &dyn Fn(&mut Value)) -> Result<Progress> {
        let proof = proof(Some(2));
        let outcome = proof.outcome.hash();
        let answer = json!({"member": 2, "agent": address(2), "text": "A bird."});
        let mut told = json!({
            "id": hex(&ask().hash()),
            "lane": 2, "epoch": 3, "seq": 4,
            "stage": stage,
            "answer": answer,
            "responses": [answer],
            "outcome": hex(&outcome),
            "payouts": [{"account": address(9), "amount": "5"}],
            "proof": hex(&proof.encode()),
            "certificate": hex(&certificate(outcome).encode()),
            "softMs": 12.5, "certifiedMs": null,
        });
        change(&mut told);
        checked(serde_json::from_value(told).unwrap(), &ask(), &committee())
    }

    #[test]
    fn a_kept_request_is_read_again_whole_or_not_at_all() {
        let signer = crate::signer::development("eve").unwrap();
        let signed = Signed::new(ask(), &signer);
        let bytes = signed.to_bytes();
        assert_eq!(Signed::from_bytes(&bytes), Some(signed));
        let (_, cut) = bytes.split_last().unwrap();
        assert_eq!(Signed::from_bytes(cut), None);
        assert_eq!(Signed::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }

    #[test]
    fn a_number_is_taken_once_the_node_is_past_it() {
        let now = |epoch, next| Status {
            epoch,
            next,
            members: 4,
            connected: 4,
            takes_asks: true,
        };
        let Ask { epoch, seq, .. } = ask();
        assert!(is_taken(&now(epoch, seq + 1), &ask()));
        assert!(is_taken(&now(epoch + 1, 0), &ask()));
        // A node that has restarted is behind the numbers that were given.
        assert!(!is_taken(&now(epoch, seq), &ask()));
        assert!(!is_taken(&now(epoch, 0), &ask()));
    }

    #[test]
    fn what_a_node_tells_is_read() {
        for name in ["asked", "preview", "soft", "certified", "expired"] {
            let progress = told(name, &|_| {}).unwrap();
            assert_eq!(progress.stage.name(), name);
            let is_certified = progress.stage == Stage::Certified;
            let is_proven = is_certified || progress.stage == Stage::Soft;
            assert_eq!(progress.signers.len(), if is_certified { 3 } else { 0 });
            assert_eq!(progress.answer.unwrap().text, "A bird.");
            assert_eq!(progress.payouts[0].amount, "5");
            let share = progress.votes.map(|votes| votes.share_of_weight);
            assert_eq!(share, is_proven.then_some(0.5));
            assert_eq!(
                (progress.soft_ms, progress.certified_ms),
                (Some(12.5), None)
            );
        }
        // Before anything is judged there is nothing to prove.
        let preview = told("preview", &|told| told["proof"] = json!(null));
        assert!(preview.is_ok());
    }

    #[test]
    fn the_word_of_a_node_is_no_certificate() {
        let nobody = hex(&Certificate::new([]).encode());
        for wrong in [json!(null), json!("0x"), json!("0x0102"), nobody] {
            let told = told("certified", &|told| told["certificate"] = wrong.clone());
            assert!(told.is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_word_of_a_node_is_no_answer() {
        let lies: [&dyn Fn(&mut Value); 9] = [
            &|told| told["answer"]["text"] = json!("A fish."),
            &|told| told["answer"]["agent"] = json!(address(1)),
            &|told| told["answer"] = json!(null),
            &|told| told["payouts"][0]["amount"] = json!("6"),
            &|told| told["payouts"] = json!([]),
            &|told| told["outcome"] = hex(&[7; 32]),
            &|told| told["outcome"] = json!(null),
            &|told| told["proof"] = json!(null),
            &|told| told["proof"] = json!("0x01"),
        ];
        for lie in lies {
            for stage in ["soft", "certified"] {
                let told = told(stage, lie);
                assert!(matches!(told, Err(Error::Protocol(_))), "{stage}: {told:?}");
            }
        }
    }
}
