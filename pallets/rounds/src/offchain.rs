// SPDX-License-Identifier: Apache-2.0
//! Support of the local agents: the runtime writes their due jobs, and signs and sends their
//! results.

use alloc::vec::Vec;
use frame_system::offchain::{CreateAuthorizedTransaction, SubmitTransaction};
use sp_application_crypto::RuntimeAppPublic;
use sp_runtime::offchain::storage::StorageValueRef;
use starling_primitives::{
    api::{job_board_key, JobBoard, SealedScores, Sent, StoredJobBoard, Task, VaultEntry},
    messages::{self, Message},
    traits::AgentRegistry,
    InferenceKey, RoundId,
};

use crate::{BlockNumber, Call, Config, Error, Pallet, Proof, RoundOf, Rounds, LOG_TARGET};

impl<T: Config> Pallet<T> {
    /// Writes the job board of every agent whose inference key is in the keystore.
    pub(crate) fn write_job_boards() {
        for key in InferenceKey::all() {
            let Some(agent) = T::Agents::agent_of(&key) else {
                continue;
            };
            let jobs = Self::owed(&agent)
                .into_iter()
                .filter(|owed| !matches!(owed.task, Task::Reveal | Task::Disclose { .. }))
                .collect();
            let board = JobBoard {
                block: Self::now(),
                agent,
                jobs,
            };
            StorageValueRef::persistent(&job_board_key(&key)).set(&StoredJobBoard::V2(board));
        }
    }

    /// Whether keys and scores may become public. A reorg back into the phase before would let
    /// others read and copy them. So either the block that opened the phase is finalised, or half
    /// of the phase has passed and further waiting would cost the round.
    pub(crate) fn may_disclose(round: &RoundOf<T>, finalized: BlockNumber) -> bool {
        let half = round.deadline.saturating_sub(round.since) / 2;
        finalized >= round.since || Self::now() >= round.since.saturating_add(half)
    }
}

impl<T: Config + CreateAuthorizedTransaction<Call<T>>> Pallet<T> {
    /// Signs and sends the due messages for the results. Returns the sent messages; only the
    /// chain's state shows whether they arrive.
    pub fn submit(
        results: Vec<VaultEntry<T::AccountId>>,
        finalized: BlockNumber,
    ) -> Vec<(RoundId, T::AccountId, Sent)> {
        results
            .into_iter()
            .filter_map(|result| {
                let (id, agent) = (result.round, result.agent.clone());
                let (call, sent) = Self::due(result, finalized)?;
                let transaction = T::create_authorized_transaction(call.into());
                match SubmitTransaction::<T, Call<T>>::submit_transaction(transaction) {
                    Ok(()) => Some((id, agent, sent)),
                    Err(()) => {
                        log::debug!(target: LOG_TARGET, "the pool refused {sent:?} for {id}");
                        None
                    },
                }
            })
            .collect()
    }

    /// The message of a result that the chain would accept now.
    fn due(result: VaultEntry<T::AccountId>, finalized: BlockNumber) -> Option<(Call<T>, Sent)> {
        let VaultEntry {
            round: id,
            agent,
            response,
            scores,
        } = result;
        let round = Rounds::<T>::get(id)?;
        let Some(response) = response else {
            return Self::due_pass(id, agent);
        };
        match Self::check_commit(id, &agent, &response.sealed) {
            Ok(_) => {
                let key_commitment = Self::slot(id, &agent).key_commitment(&response.key);
                let sealed = response.sealed;
                let message = Message::Commit {
                    sealed: &sealed,
                    key_commitment,
                };
                let proof = Self::prove(id, &agent, &message)?;
                let call = Call::commit {
                    round: id,
                    agent,
                    sealed,
                    key_commitment,
                    proof,
                };
                return Some((call, Sent::Commit));
            },
            // It has no place, no bond or no ticket, or it was sealed before an upgrade lowered the
            // maximum length. So nobody should wait for it.
            Err(
                Error::RoundFull
                | Error::BondNotFree
                | Error::NoTicket
                | Error::OwnRequest
                | Error::ResponseTooLong
                | Error::MoreThanMaxTokens,
            ) => {
                return Self::due_pass(id, agent);
            },
            Err(_) => {},
        }
        let open = Self::may_disclose(&round, finalized);
        let key = response.key;
        if open && Self::check_reveal(id, &agent, &key).is_ok() {
            let proof = Some(Self::prove(id, &agent, &Message::Reveal { key: &key })?);
            return Some((
                Call::reveal {
                    round: id,
                    agent,
                    key,
                    proof,
                },
                Sent::Reveal,
            ));
        }
        scores.and_then(|scores| Self::due_scores(id, agent, scores, open))
    }

    fn due_scores(
        id: RoundId,
        agent: T::AccountId,
        result: SealedScores,
        open: bool,
    ) -> Option<(Call<T>, Sent)> {
        let SealedScores { seed, scores, salt } = result;
        if Self::check_commit_scores(id, &agent, seed).is_ok() {
            let commitment = Self::slot(id, &agent).scores_commitment(seed, &scores, &salt);
            let proof = Self::prove(id, &agent, &Message::CommitScores { seed, commitment })?;
            return Some((
                Call::commit_scores {
                    round: id,
                    agent,
                    seed,
                    commitment,
                    proof,
                },
                Sent::CommitScores,
            ));
        }
        if open && Self::check_disclose(id, &agent, &scores, &salt).is_ok() {
            let message = Message::Disclose {
                scores: &scores,
                salt: &salt,
            };
            let proof = Some(Self::prove(id, &agent, &message)?);
            let scores = scores.try_into().ok()?;
            return Some((
                Call::disclose {
                    round: id,
                    agent,
                    scores,
                    salt,
                    proof,
                },
                Sent::Disclose,
            ));
        }
        None
    }

    fn due_pass(id: RoundId, agent: T::AccountId) -> Option<(Call<T>, Sent)> {
        Self::check_pass(id, &agent).ok()?;
        let proof = Self::prove(id, &agent, &Message::Pass)?;
        Some((
            Call::pass {
                round: id,
                agent,
                proof,
            },
            Sent::Pass,
        ))
    }

    /// Signs a message; `None` if the agent's key is not in the keystore.
    fn prove(id: RoundId, agent: &T::AccountId, message: &Message) -> Option<Proof> {
        let signed_at = Self::now();
        let key = T::Agents::inference_key(agent)?;
        let payload = messages::payload(&Self::slot(id, agent), signed_at, message);
        let signature = key.sign(&payload)?;
        Some(Proof {
            signed_at,
            signature,
        })
    }
}
