// SPDX-License-Identifier: Apache-2.0
//! An agent that the test plays, with the key of a well-known account whose node runs no agent.

use anyhow::{anyhow, Result};
use codec::Encode;
use frame_system::offchain::{CreateAuthorizedTransaction, CreateTransaction};
use pallet_rounds::{Call, Proof, ScoresOf};
use sp_core::{crypto::ByteArray, Pair};
use sp_io::TestExternalities;
use starling_primitives::{
    crypto::InferencePair,
    messages::{ownership_payload, payload, Message},
    sealing::Slot,
    Position, RoundId, Score, H256,
};
use starling_runtime::{AccountId, Runtime, UNIT};
use starling_tests::{
    chain::{call, send},
    Api,
};
use subxt::{
    dynamic::Value,
    rpcs::{methods::legacy::Bytes, rpc_params, Error, RpcClient},
};
use subxt_signer::sr25519::{
    dev::{charlie, eve, ferdie},
    Keypair,
};

/// An agent with the knowledge of its node.
pub struct Played {
    pub account: AccountId,
    pair: InferencePair,
    genesis: H256,
}

impl Played {
    /// The agent of a development account, such as `//Alice`.
    pub fn new(api: &Api, uri: &str) -> Result<Self> {
        let pair = InferencePair::from_string(uri, None)?;
        Ok(Self {
            // Account and inference key of a development account are the same.
            account: AccountId::try_from(pair.public().as_slice())
                .map_err(|()| anyhow!("a key is as long as an account"))?,
            pair,
            genesis: H256(api.genesis_hash().0),
        })
    }

    /// Inference key and proof for a registration.
    pub fn registration(&self) -> (Vec<u8>, Vec<u8>) {
        let payload = ownership_payload(self.genesis, &self.account);
        let proof = self.pair.sign(&payload);
        let proof: &[u8] = proof.as_ref();
        (self.pair.public().to_raw_vec(), proof.to_vec())
    }

    /// Its slot in a round.
    pub fn slot(&self, round: RoundId) -> Slot<'_, AccountId> {
        Slot {
            genesis: self.genesis,
            round,
            agent: &self.account,
        }
    }

    /// The transaction of a message, signed at a block; `forge` may spoil the signature.
    pub fn transaction(
        &self,
        round: RoundId,
        signed_at: u64,
        message: &Message,
        forge: impl FnOnce(&mut Proof),
    ) -> Result<Vec<u8>> {
        let signed_at = u32::try_from(signed_at)?;
        let payload = payload(&self.slot(round), signed_at, message);
        let mut proof = Proof {
            signed_at,
            signature: self.pair.sign(&payload),
        };
        forge(&mut proof);
        let agent = self.account.clone();
        let call = match *message {
            Message::Commit {
                sealed,
                key_commitment,
            } => Call::<Runtime>::commit {
                round,
                agent,
                sealed: sealed.to_vec(),
                key_commitment,
                proof,
            },
            Message::Pass => Call::pass {
                round,
                agent,
                proof,
            },
            Message::Reveal { key } => Call::reveal {
                round,
                agent,
                key: *key,
                proof: Some(proof),
            },
            Message::CommitScores { seed, commitment } => Call::commit_scores {
                round,
                agent,
                seed,
                commitment,
                proof,
            },
            Message::Disclose { scores, salt } => Call::disclose {
                round,
                agent,
                scores: bounded(scores)?,
                salt: *salt,
                proof: Some(proof),
            },
        };
        let extension = <Runtime as CreateAuthorizedTransaction<Call<Runtime>>>::create_extension();
        let transaction = <Runtime as CreateTransaction<Call<Runtime>>>::create_transaction(
            call.into(),
            extension,
        );
        Ok(transaction.encode())
    }
}

/// Makes the key of a development account.
type Key = fn() -> Keypair;

/// Accounts that become agents without a node.
const IDLE: [(&str, Key); 3] = [("//Charlie", charlie), ("//Eve", eve), ("//Ferdie", ferdie)];

/// Registers agents without a node. A chain of one validator has too few agents for a request.
pub async fn enrol(api: &Api) -> Result<Vec<Played>> {
    let mut agents = Vec::new();
    for (uri, key) in IDLE {
        let agent = Played::new(api, uri)?;
        let (inference_key, proof) = agent.registration();
        let register = call(
            "Agents",
            "register",
            vec![
                Value::from_bytes(inference_key),
                Value::from_bytes(proof),
                Value::named_composite([
                    ("name", Value::from_bytes("idle")),
                    ("hash", Value::from_bytes([0; 32])),
                ]),
                Value::u128(200 * UNIT),
            ],
        );
        let sent = send(api, &register, &key()).await?;
        sent.wait_for_success().await?;
        agents.push(agent);
    }
    Ok(agents)
}

/// Lets agents pass in a round that is in this block or an earlier one.
pub async fn pass(rpc: &RpcClient, agents: &[Played], round: RoundId, block: u64) -> Result<()> {
    for agent in agents {
        let pass = agent.transaction(round, block, &Message::Pass, |_| ())?;
        submit(rpc, pass).await?;
    }
    Ok(())
}

/// The runtime reads the maximum number of scores from its state. Here there is none, so it answers
/// with the parameters for a network of strangers.
fn bounded(scores: &[(Position, Score)]) -> Result<ScoresOf<Runtime>> {
    let bounded = TestExternalities::default().execute_with(|| scores.to_vec().try_into());
    bounded.map_err(|_| anyhow!("too many scores"))
}

/// Submits a transaction to the node.
pub async fn submit(rpc: &RpcClient, transaction: Vec<u8>) -> Result<H256, Error> {
    rpc.request("author_submitExtrinsic", rpc_params![Bytes(transaction)])
        .await
}
