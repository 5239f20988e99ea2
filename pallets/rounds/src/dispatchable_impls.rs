// SPDX-License-Identifier: Apache-2.0
//! Implementation of the calls, and the checks that they share with their authorizations.

use alloc::vec::Vec;
use frame_support::{pallet_prelude::*, traits::fungible::hold::Mutate as _, weights::WeightToFee};
use sp_core::U256;
use starling_primitives::{
    assignment::Assignment,
    draw, quality, rewards, sealing,
    traits::{AgentRegistry, Randomness, Ratings as _, Tickets},
    Balance, Position, RoundId, Salt, Score, Secret, H256,
};

use crate::{
    Absent, Agenda, CommittingRounds, Config, Counts, Draws, Due, EndedQueue, Entries, Error,
    Event, HoldReason, MaxSealed, NextRound, Pallet, Participant, ParticipantOf, Participants,
    Phase, Prices, Prompts, Ranking, Response, Responses, Round, RoundOf, Rounds, ScoresOf, Sealed,
    Terms, Undrawn, VoidQueue, WeightInfo,
};

/// Length of an agent's message without its text or its scores, at most: call, proof and
/// extensions, in bytes.
const MESSAGE_LENGTH: u32 = 256;
/// Length of a score and its position, in bytes.
const SCORE_LENGTH: u32 = 4;

/// Result of the check of a commit.
pub(crate) struct Admission<T: Config> {
    round: RoundOf<T>,
    draw: [u8; 32],
    displaced: Option<([u8; 32], T::AccountId)>,
}

impl<T: Config> Pallet<T> {
    pub(crate) fn do_request(
        requester: T::AccountId,
        prompt: Vec<u8>,
        fee: Balance,
        max_tokens: u32,
        min_responses: u32,
        max_responses: u32,
    ) -> Result<RoundId, DispatchError> {
        ensure!(
            !prompt.is_empty() && core::str::from_utf8(&prompt).is_ok(),
            Error::<T>::InvalidPrompt
        );
        let prompt = BoundedVec::try_from(prompt).map_err(|_| Error::<T>::PromptTooLong)?;
        ensure!(fee >= T::MinFee::get(), Error::<T>::FeeTooLow);
        ensure!(
            max_tokens > 0 && max_tokens <= T::MaxTokens::get(),
            Error::<T>::InvalidMaxTokens
        );
        ensure!(
            max_responses <= T::MaxResponses::get(),
            Error::<T>::TooManyResponses
        );
        ensure!(
            min_responses >= T::MinResponses::get() && min_responses <= max_responses,
            Error::<T>::InvalidMinResponses
        );
        // The requester's own agent may not answer, and nobody waits for it.
        let is_counted =
            T::Agents::is_active(&requester) && !Self::rests(NextRound::<T>::get(), &requester);
        let active = T::Agents::active_count()
            .saturating_sub(Self::resting_count())
            .saturating_sub(u32::from(is_counted));
        ensure!(min_responses <= active, Error::<T>::TooFewAgents);
        ensure!(
            Self::stored_rounds() < T::MaxStoredRounds::get().into(),
            Error::<T>::TooManyRounds
        );

        let payment = Self::take_slot(&requester, fee, max_responses)?;
        let id = NextRound::<T>::get();
        let now = Self::now();
        let terms = Terms {
            fee,
            deposit: Self::deposit_of(max_responses),
            ticket: Self::ticket_price(fee),
            slash: Self::slash_of(fee),
            max_tokens,
            min_responses,
            max_responses,
            active,
            activations: T::Agents::activations(),
        };
        let deadline = now.saturating_add(T::CommitWindow::get());
        let due = Due {
            at: deadline,
            round: id,
            since: Some(now),
            agents: max_responses,
        };
        Self::schedule(due).map_err(|_| Error::<T>::TooManyRounds)?;
        CommittingRounds::<T>::try_append(id).map_err(|_| Error::<T>::TooManyRounds)?;
        Undrawn::<T>::try_append(id).map_err(|_| Error::<T>::TooManyRounds)?;

        T::Currency::hold(&HoldReason::Fee.into(), &requester, fee)?;
        T::Currency::hold(&HoldReason::Deposit.into(), &requester, terms.deposit)?;

        NextRound::<T>::put(id.saturating_add(1));
        Prompts::<T>::insert(id, prompt);
        Prices::<T>::insert(id, payment);
        let round = Round {
            requester: requester.clone(),
            terms,
            requested_at: now,
            phase: Phase::Committing,
            since: now,
            deadline,
            request_randomness: None,
            commit_randomness: None,
            seed: None,
            rankings: 0,
            counts: Counts::default(),
            rated: 0,
            winner: None,
        };
        Rounds::<T>::insert(id, round);
        Self::deposit_event(Event::Requested {
            round: id,
            requester,
            fee,
            request_fee: payment,
        });
        Ok(id)
    }

    pub(crate) fn do_commit(
        id: RoundId,
        agent: T::AccountId,
        sealed: Vec<u8>,
        key_commitment: H256,
    ) -> DispatchResult {
        let Admission {
            mut round,
            draw,
            displaced,
        } = Self::check_commit(id, &agent, &sealed)?;
        let sealed = BoundedVec::try_from(sealed).map_err(|_| Error::<T>::ResponseTooLong)?;
        T::Agents::reserve(&agent, round.terms.slash)?;
        T::Tickets::spend(&agent, round.terms.ticket)?;
        if let Some((draw, other)) = displaced {
            Self::displace(id, &mut round, draw, other);
        }
        Self::hear(id, &mut round, &agent);
        round.counts.commits = round.counts.commits.saturating_add(1);
        Participants::<T>::insert(
            id,
            &agent,
            Participant {
                key_commitment,
                response: Response::Sealed,
                ranking: Ranking::None,
            },
        );
        Sealed::<T>::insert(id, &agent, sealed);
        Draws::<T>::insert(id, (draw, agent.clone()), ());
        Self::store(id, round);
        Self::wake(&agent);
        Self::deposit_event(Event::Committed { round: id, agent });
        Ok(())
    }

    pub(crate) fn do_pass(id: RoundId, agent: T::AccountId) -> DispatchResult {
        let mut round = Self::check_pass(id, &agent)?;
        Self::hear(id, &mut round, &agent);
        Absent::<T>::insert(id, &agent, ());
        Self::deposit_event(Event::Passed { round: id, agent });
        Self::store(id, round);
        Ok(())
    }

    pub(crate) fn do_reveal(id: RoundId, agent: T::AccountId, key: Secret) -> DispatchResult {
        let (mut round, mut participant) = Self::check_reveal(id, &agent, &key)?;
        let sealed = Sealed::<T>::take(id, &agent).unwrap_or_default();
        let opened = Self::slot(id, &agent)
            .open(&key, &sealed)
            .ok()
            .and_then(|response| BoundedVec::try_from(response).ok());
        let valid = opened.is_some();
        if let Some(response) = opened {
            Responses::<T>::insert(id, &agent, response);
            participant.response = Response::Valid {
                key,
                position: 0,
                rating: 0,
                weight: 0,
            };
            round.counts.valid = round.counts.valid.saturating_add(1);
        } else {
            participant.response = Response::Spoiled;
            round.counts.spoiled_responses = round.counts.spoiled_responses.saturating_add(1);
        }
        Participants::<T>::insert(id, &agent, participant);
        Self::deposit_event(Event::Revealed {
            round: id,
            agent,
            valid,
        });
        Self::store(id, round);
        Ok(())
    }

    pub(crate) fn do_commit_scores(
        id: RoundId,
        agent: T::AccountId,
        seed: H256,
        commitment: H256,
    ) -> DispatchResult {
        let (mut round, mut participant) = Self::check_commit_scores(id, &agent, seed)?;
        participant.ranking = Ranking::Committed(commitment);
        round.counts.score_commits = round.counts.score_commits.saturating_add(1);
        Participants::<T>::insert(id, &agent, participant);
        Self::deposit_event(Event::ScoresCommitted { round: id, agent });
        Self::store(id, round);
        Ok(())
    }

    pub(crate) fn do_disclose(
        id: RoundId,
        agent: T::AccountId,
        scores: ScoresOf<T>,
        salt: Salt,
    ) -> DispatchResult {
        let (mut round, mut participant) = Self::check_disclose(id, &agent, &scores, &salt)?;
        let valid = Self::add_scores(id, &round, &participant, &scores);
        if valid {
            participant.ranking = Ranking::Disclosed(scores);
            round.counts.disclosures = round.counts.disclosures.saturating_add(1);
        } else {
            participant.ranking = Ranking::Spoiled;
            round.counts.spoiled_scores = round.counts.spoiled_scores.saturating_add(1);
        }
        Participants::<T>::insert(id, &agent, participant);
        Self::deposit_event(Event::Disclosed {
            round: id,
            agent,
            valid,
        });
        Self::store(id, round);
        Ok(())
    }

    pub(crate) fn check_commit(
        id: RoundId,
        agent: &T::AccountId,
        sealed: &[u8],
    ) -> Result<Admission<T>, Error<T>> {
        let round = Self::round_in(id, Phase::Committing)?;
        ensure!(!sealed.is_empty(), Error::ResponseEmpty);
        ensure!(
            sealed.len() <= MaxSealed::<T>::get() as usize,
            Error::ResponseTooLong
        );
        let longest = Self::max_bytes_of(&round).saturating_add(sealing::OVERHEAD);
        ensure!(sealed.len() <= longest as usize, Error::MoreThanMaxTokens);
        ensure!(*agent != round.requester, Error::OwnRequest);
        ensure!(!Self::is_heard(id, agent), Error::AlreadySent);
        ensure!(T::Agents::inference_key(agent).is_some(), Error::NotAgent);
        ensure!(T::Agents::is_active(agent), Error::NotActive);
        ensure!(
            T::Agents::can_reserve(agent, round.terms.slash),
            Error::BondNotFree
        );
        ensure!(
            T::Tickets::can_spend(agent, round.terms.ticket),
            Error::NoTicket
        );
        // A draw follows from the randomness after a block, so it does not exist in that block.
        let draw = Self::draw_of(id, &round, agent).ok_or(Error::TooEarly)?;
        // The complement, so that the highest draw is the first key.
        let draw = U256::MAX.saturating_sub(draw).to_big_endian();
        let mut displaced = None;
        if round.counts.commits >= round.terms.max_responses {
            let highest = Draws::<T>::iter_key_prefix(id).next();
            let is_lower = |highest: &([u8; 32], T::AccountId)| draw > highest.0;
            displaced = Some(highest.filter(is_lower).ok_or(Error::RoundFull)?);
        }
        Ok(Admission {
            round,
            draw,
            displaced,
        })
    }

    pub(crate) fn check_pass(id: RoundId, agent: &T::AccountId) -> Result<RoundOf<T>, Error<T>> {
        let round = Self::round_in(id, Phase::Committing)?;
        ensure!(!Self::is_heard(id, agent), Error::AlreadySent);
        ensure!(T::Agents::inference_key(agent).is_some(), Error::NotAgent);
        ensure!(Self::is_expected(id, &round, agent), Error::NotExpected);
        Ok(round)
    }

    pub(crate) fn check_reveal(
        id: RoundId,
        agent: &T::AccountId,
        key: &Secret,
    ) -> Result<(RoundOf<T>, ParticipantOf<T>), Error<T>> {
        let round = Self::round_in(id, Phase::Revealing)?;
        let participant = Participants::<T>::get(id, agent).ok_or(Error::NotParticipant)?;
        ensure!(participant.response == Response::Sealed, Error::AlreadySent);
        let commitment = Self::slot(id, agent).key_commitment(key);
        ensure!(commitment == participant.key_commitment, Error::KeyMismatch);
        Ok((round, participant))
    }

    pub(crate) fn check_commit_scores(
        id: RoundId,
        agent: &T::AccountId,
        seed: H256,
    ) -> Result<(RoundOf<T>, ParticipantOf<T>), Error<T>> {
        let round = Self::round_in(id, Phase::Ranking)?;
        let participant = Participants::<T>::get(id, agent).ok_or(Error::NotParticipant)?;
        ensure!(
            matches!(participant.response, Response::Valid { .. }),
            Error::NoResponse
        );
        ensure!(participant.ranking == Ranking::None, Error::AlreadySent);
        ensure!(round.seed == Some(seed), Error::WrongSeed);
        Ok((round, participant))
    }

    pub(crate) fn check_disclose(
        id: RoundId,
        agent: &T::AccountId,
        scores: &[(Position, Score)],
        salt: &Salt,
    ) -> Result<(RoundOf<T>, ParticipantOf<T>), Error<T>> {
        let round = Self::round_in(id, Phase::Disclosing)?;
        let participant = Participants::<T>::get(id, agent).ok_or(Error::NotParticipant)?;
        let committed = match participant.ranking {
            Ranking::Committed(committed) => committed,
            Ranking::None => return Err(Error::NoScoresCommitted),
            Ranking::Spoiled | Ranking::Disclosed(_) => return Err(Error::AlreadySent),
        };
        let seed = round.seed.ok_or(Error::WrongSeed)?;
        let commitment = Self::slot(id, agent).scores_commitment(seed, scores, salt);
        ensure!(commitment == committed, Error::ScoresMismatch);
        Ok((round, participant))
    }

    /// The requester's payment for the messages of `active` agents, by weight and by length.
    ///
    /// `max_responses` of them send full sets, and each of the others may pass. While a full round
    /// takes better draws, commits with worse ones leave it; they are paid for, too.
    pub fn request_fee(max_responses: u32, active: u32) -> Balance {
        let sealed = MaxSealed::<T>::get();
        let (response, rankings) = (T::MaxResponse::get(), T::MaxRankings::get());
        let commit = Self::price_of(
            T::WeightInfo::authorize_commit(sealed),
            T::WeightInfo::commit(sealed),
            sealed,
        );
        let reveal = Self::price_of(
            T::WeightInfo::authorize_reveal(),
            T::WeightInfo::reveal(response),
            0,
        );
        let commit_scores = Self::price_of(
            T::WeightInfo::authorize_commit_scores(),
            T::WeightInfo::commit_scores(),
            0,
        );
        let disclose = Self::price_of(
            T::WeightInfo::authorize_disclose(rankings),
            T::WeightInfo::disclose(rankings),
            rankings.saturating_mul(SCORE_LENGTH),
        );
        let pass = Self::price_of(T::WeightInfo::authorize_pass(), T::WeightInfo::pass(), 0);
        let set = commit
            .saturating_add(reveal)
            .saturating_add(commit_scores)
            .saturating_add(disclose);
        let passes = active.saturating_sub(max_responses);
        let displaced = draw::displaced(max_responses, active);
        set.saturating_mul(max_responses.into())
            .saturating_add(pass.saturating_mul(passes.into()))
            .saturating_add(commit.saturating_mul(displaced.into()))
    }

    /// The price of a message whose text or scores have this length.
    fn price_of(authorize: Weight, call: Weight, text: u32) -> Balance {
        let length = Weight::from_parts(MESSAGE_LENGTH.saturating_add(text).into(), 0);
        T::WeightToFee::weight_to_fee(&authorize.saturating_add(call))
            .saturating_add(T::LengthToFee::weight_to_fee(&length))
    }

    /// The requester's deposit while its round is stored.
    pub fn deposit_of(max_responses: u32) -> Balance {
        T::DepositPerResponse::get()
            .saturating_mul(max_responses.into())
            .saturating_add(T::DepositBase::get())
    }

    /// Maximum length of a response to this round, in bytes.
    pub(crate) fn max_bytes_of(round: &RoundOf<T>) -> u32 {
        sealing::max_bytes(round.terms.max_tokens, T::MaxResponse::get())
    }

    /// The loss of an agent that does not deliver in a round with this fee.
    pub(crate) fn slash_of(fee: Balance) -> Balance {
        let (least, most) = (T::MinSlash::get(), T::MaxSlash::get());
        rewards::slash(fee, T::SlashShare::get(), least, most)
    }

    /// The draw of an agent in a round; `None` in the block of the request.
    pub fn draw_of(id: RoundId, round: &RoundOf<T>, agent: &T::AccountId) -> Option<U256> {
        // The pool checks a message for the next block, before that block has begun.
        let value = round.request_randomness.or_else(|| {
            let next = round.requested_at.checked_add(1)?;
            (Self::now() == next).then(T::Randomness::value)
        })?;
        let bond = T::Agents::bond_at(agent, round.requested_at);
        let strength = quality::strength(bond, T::Ratings::quality(agent));
        Some(draw::draw(value, id, agent, strength))
    }

    /// Number of stored rounds, including open ones.
    pub(crate) fn stored_rounds() -> u64 {
        let open = Agenda::<T>::decode_len().unwrap_or_default();
        let ended = EndedQueue::<T>::get().len();
        let void = VoidQueue::<T>::get().len();
        ended.saturating_add(void).saturating_add(open as u64)
    }

    /// The round, if it is in this phase.
    pub(crate) fn round_in(id: RoundId, phase: Phase) -> Result<RoundOf<T>, Error<T>> {
        let round = Rounds::<T>::get(id).ok_or(Error::UnknownRound)?;
        ensure!(round.phase >= phase, Error::TooEarly);
        ensure!(round.phase <= phase, Error::TooLate);
        Ok(round)
    }

    /// Whether the agent has committed or passed.
    pub(crate) fn is_heard(id: RoundId, agent: &T::AccountId) -> bool {
        Participants::<T>::contains_key(id, agent) || Absent::<T>::contains_key(id, agent)
    }

    /// Whether the round waits for the agent: it has been active and not at rest ever since the
    /// request, and is not the requester's own.
    pub(crate) fn is_expected(id: RoundId, round: &RoundOf<T>, agent: &T::AccountId) -> bool {
        *agent != round.requester
            && T::Agents::activation(agent).is_some_and(|ordinal| ordinal < round.terms.activations)
            && !Self::rests(id, agent)
    }

    fn hear(id: RoundId, round: &mut RoundOf<T>, agent: &T::AccountId) {
        if Self::is_expected(id, round, agent) {
            round.counts.heard = round.counts.heard.saturating_add(1);
        }
    }

    /// Takes an agent out of a round, as if it had passed.
    fn displace(id: RoundId, round: &mut RoundOf<T>, draw: [u8; 32], agent: T::AccountId) {
        T::Tickets::give_back(&agent, round.terms.ticket);
        T::Agents::release(&agent, round.terms.slash);
        Participants::<T>::remove(id, &agent);
        Sealed::<T>::remove(id, &agent);
        Draws::<T>::remove(id, (draw, agent.clone()));
        Absent::<T>::insert(id, &agent, ());
        round.counts.commits = round.counts.commits.saturating_sub(1);
        Self::deposit_event(Event::Displaced { round: id, agent });
    }

    /// Adds the scores to the responses' tallies, if they are for exactly the assigned responses.
    fn add_scores(
        id: RoundId,
        round: &RoundOf<T>,
        participant: &ParticipantOf<T>,
        scores: &[(Position, Score)],
    ) -> bool {
        let (
            Some(seed),
            Response::Valid {
                position, weight, ..
            },
        ) = (round.seed, &participant.response)
        else {
            return false;
        };
        let assignment = Assignment::new(seed, round.counts.valid, round.rankings);
        let mut ranked: Vec<Position> = scores.iter().map(|(response, _)| *response).collect();
        ranked.sort_unstable();
        if ranked != assignment.responses(*position) {
            return false;
        }
        for (response, score) in scores {
            Entries::<T>::mutate(id, response, |entry| {
                if let Some(entry) = entry {
                    entry.tally.add(*weight, *score);
                }
            });
        }
        true
    }

    /// Stores a round after a message. Ends its phase with this block if no more messages can
    /// arrive.
    pub(crate) fn store(id: RoundId, round: RoundOf<T>) {
        if Self::is_complete(id, &round) {
            Self::hurry(id);
        }
        Rounds::<T>::insert(id, round);
    }
}
