// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls, of their authorizations, and of the hooks.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use alloc::{vec, vec::Vec};

use frame_benchmarking::v2::*;
use frame_support::{
    pallet_prelude::TransactionSource,
    traits::{fungible::Balanced, tokens::Precision, Authorize, Get},
    BoundedVec,
};
use frame_system::RawOrigin;
use sp_application_crypto::RuntimeAppPublic;
use starling_primitives::{
    assignment::Assignment,
    choice::Form,
    messages::{payload, Message},
    sealing::{self, Format},
    traits::{AgentRegistry, Choice, Tickets},
    Balance, InferenceKey, Position, RoundId, Score, Secret, H256,
};

use super::*;

const KEY: Secret = [7; 32];
const SALT: Secret = [9; 32];

fn agent<T: Config>(index: u32) -> T::AccountId {
    account("agent", index, 0)
}

/// An active agent whose key is in the keystore.
fn enrol<T: Config>(index: u32, round: &RoundOf<T>, bonds: Balance) -> T::AccountId {
    let who = agent::<T>(index);
    let key = InferenceKey::generate_pair(None);
    let bond = round
        .terms
        .slash
        .saturating_add(T::MinFee::get())
        .saturating_mul(bonds);
    T::Agents::make_active(&who, key, bond);
    T::Tickets::endow(&who, round.terms.ticket);
    who
}

/// As many active agents as a request needs.
fn crowd<T: Config>() {
    for index in 0..T::MinResponses::get() {
        let who = account("crowd", index, 0);
        T::Agents::make_active(&who, InferenceKey::generate_pair(None), 0);
    }
}

fn sign<T: Config>(id: RoundId, who: &T::AccountId, message: &Message) -> Proof {
    let key = T::Agents::inference_key(who).expect("the agent is enrolled");
    let signed_at = Pallet::<T>::now();
    let signature = key
        .sign(&payload(&Pallet::<T>::slot(id, who), signed_at, message))
        .expect("its key is in the keystore");
    Proof {
        signed_at,
        signature,
    }
}

/// Gives an account what a request at this fee costs.
fn fund<T: Config>(requester: &T::AccountId, fee: Balance, max_responses: u32) {
    let costs = Pallet::<T>::request_fee(max_responses, T::Agents::active_count())
        .saturating_add(Pallet::<T>::deposit_of(max_responses))
        .saturating_add(fee)
        .saturating_mul(2);
    drop(T::Currency::deposit(requester, costs, Precision::Exact).expect("it can be funded"));
}

/// An account that may ask, with a fee and a number of responses that it can pay for.
pub(crate) fn requester<T: Config>() -> (T::AccountId, Balance, u32) {
    crowd::<T>();
    let requester = whitelisted_caller();
    let (fee, responses) = (T::MinFee::get(), T::MinResponses::get());
    fund::<T>(&requester, fee, responses);
    (requester, fee, responses)
}

/// A round of the most expensive kind, for at least `agents` commits.
fn open<T: Config>(agents: u32) -> RoundId {
    crowd::<T>();
    let id = NextRound::<T>::get();
    let requester: T::AccountId = account("requester", 0, 0);
    let fee = T::MinFee::get();
    let min_responses = T::MinResponses::get();
    let max_responses = agents.max(min_responses);
    fund::<T>(&requester, fee, max_responses);
    let prompt = vec![b'a'; T::MaxPrompt::get() as usize];
    let tokens = T::MaxTokens::get();
    Pallet::<T>::do_request(requester, prompt, fee, tokens, min_responses, max_responses)
        .expect("the request is good");
    Rounds::<T>::mutate_extant(id, |round| {
        // As if it had been asked after the agents bonded, so that their bonds draw.
        round.requested_at = round.requested_at.saturating_add(1);
        round.request_randomness = Some(H256::repeat_byte(1));
        round.commit_randomness = Some(H256::repeat_byte(2));
        round.terms.min_responses = 1;
        round.terms.active = u32::MAX;
    });
    id
}

fn get<T: Config>(id: RoundId) -> RoundOf<T> {
    Rounds::<T>::get(id).expect("the round is stored")
}

fn text<T: Config>(bytes: u32) -> alloc::string::String {
    core::iter::repeat_n('a', bytes.min(T::MaxResponse::get()).max(1) as usize).collect()
}

fn seal<T: Config>(id: RoundId, who: &T::AccountId, bytes: u32) -> Vec<u8> {
    let text = text::<T>(bytes);
    let longest = u32::try_from(text.len()).unwrap_or(u32::MAX);
    Pallet::<T>::slot(id, who)
        .seal(&KEY, &text, longest, Format::Padded)
        .expect("it seals")
}

/// `n` agents commit.
fn commit_all<T: Config>(id: RoundId, n: u32, bytes: u32) {
    for index in 0..n {
        let who = enrol::<T>(index, &get::<T>(id), 2);
        let commitment = Pallet::<T>::slot(id, &who).key_commitment(&KEY);
        let sealed = seal::<T>(id, &who, bytes);
        Pallet::<T>::do_commit(id, who, sealed, commitment).expect("it commits");
    }
}

/// A round with `n` agents in Revealing.
fn revealing<T: Config>(n: u32, bytes: u32) -> RoundId {
    let id = open::<T>(n);
    commit_all::<T>(id, n, bytes);
    Pallet::<T>::end_committing(id, get::<T>(id));
    id
}

/// A round with `n` agents, all of whom have revealed.
fn revealed<T: Config>(n: u32, bytes: u32) -> RoundId {
    let id = revealing::<T>(n, bytes);
    for index in 0..n {
        Pallet::<T>::do_reveal(id, agent::<T>(index), KEY).expect("it reveals");
    }
    id
}

/// A round with `n` agents in Ranking.
fn ranking<T: Config>(n: u32, bytes: u32) -> RoundId {
    let id = revealed::<T>(n, bytes);
    Pallet::<T>::end_revealing(id, get::<T>(id));
    id
}

/// Scores for all responses assigned to an agent.
fn scores<T: Config>(id: RoundId, who: &T::AccountId) -> Vec<(Position, Score)> {
    let round = get::<T>(id);
    let participant = Participants::<T>::get(id, who).expect("it is in the round");
    let Response::Valid { position, .. } = participant.response else {
        return Vec::new();
    };
    let score = |place: Position| Score(u16::MAX.saturating_sub(place.saturating_mul(100)));
    Assignment::new(
        round.seed.expect("assigned"),
        round.counts.valid,
        round.rankings,
    )
    .responses(position)
    .into_iter()
    .map(|place| (place, score(place)))
    .collect()
}

fn commit_scores<T: Config>(id: RoundId, who: &T::AccountId, scores: &[(Position, Score)]) -> H256 {
    let seed = get::<T>(id).seed.expect("assigned");
    let commitment = Pallet::<T>::slot(id, who).scores_commitment(seed, scores, &SALT);
    Pallet::<T>::do_commit_scores(id, who.clone(), seed, commitment).expect("it commits");
    commitment
}

/// A round with `n` agents in Disclosing.
fn disclosing<T: Config>(n: u32, bytes: u32) -> RoundId {
    let id = ranking::<T>(n, bytes);
    for index in 0..n {
        let who = agent::<T>(index);
        commit_scores::<T>(id, &who, &scores::<T>(id, &who));
    }
    Pallet::<T>::end_ranking(id, get::<T>(id));
    id
}

/// A round with `n` agents, all of whom have disclosed.
fn disclosed<T: Config>(n: u32, bytes: u32) -> RoundId {
    let id = disclosing::<T>(n, bytes);
    for index in 0..n {
        let who = agent::<T>(index);
        let scores = scores::<T>(id, &who).try_into().expect("k at most");
        Pallet::<T>::do_disclose(id, who, scores, SALT).expect("it discloses");
    }
    id
}

/// A round of this requester that has ended with `n` responses of maximum length.
pub(crate) fn conclude<T: Config>(requester: &T::AccountId, prompt: Vec<u8>, n: u32) -> RoundId {
    let id = disclosed::<T>(n, T::MaxResponse::get());
    Pallet::<T>::end_disclosing(id, get::<T>(id));
    Rounds::<T>::mutate_extant(id, |round| round.requester = requester.clone());
    Prompts::<T>::insert(id, BoundedVec::truncate_from(prompt));
    id
}

/// Number of agents that a round needs so that each ranks `k` others; at least the smallest round.
fn agents_for<T: Config>(k: u32) -> u32 {
    let most = T::MaxResponses::get();
    (2..=most)
        .find(|n| {
            let (least, bound) = (T::MinRankings::get(), T::MaxRankings::get());
            starling_primitives::assignment::rankings(*n, least, bound) >= k
        })
        .unwrap_or(most)
}

/// A full round, and an agent that displaces its highest draw.
fn full<T: Config>(bytes: u32) -> (RoundId, T::AccountId, Vec<u8>, H256) {
    let id = open::<T>(T::MinResponses::get());
    commit_all::<T>(id, T::MinResponses::get(), bytes);
    let who = enrol::<T>(10_000, &get::<T>(id), 1_000_000);
    let sealed = seal::<T>(id, &who, bytes);
    let commitment = Pallet::<T>::slot(id, &who).key_commitment(&KEY);
    (id, who, sealed, commitment)
}

fn authorize<T: Config>(call: Call<T>) -> Result<(), BenchmarkError>
where
    <T as frame_system::Config>::RuntimeCall: From<Call<T>>,
{
    let call: <T as frame_system::Config>::RuntimeCall = call.into();
    call.authorize(TransactionSource::InBlock)
        .ok_or("the call has no authorization")?
        .map_err(|_| "the call is refused")?;
    Ok(())
}

#[benchmarks(where <T as frame_system::Config>::RuntimeCall: From<Call<T>>)]
mod benchmarks {
    use super::*;

    /// The most expensive request takes the slot of another one.
    #[benchmark]
    fn request(p: Linear<1, { T::MaxPrompt::get() }>) {
        let first = open::<T>(T::MaxResponses::get());
        let (round, due) = (get::<T>(first), Agenda::<T>::get().first().cloned());
        let due = due.expect("it is on the agenda");
        for id in 1..u64::from(T::MaxOpenRounds::get()) {
            let requester = account("requester", u32::try_from(id).unwrap_or(0), 0);
            let round = round.clone();
            Rounds::<T>::insert(id, RoundOf::<T> { requester, ..round });
            Pallet::<T>::schedule(Due {
                round: id,
                ..due.clone()
            })
            .expect("there is room");
            CommittingRounds::<T>::try_append(id).expect("there is room");
        }
        // The lowest offer is the one that has funds on hold.
        Rounds::<T>::mutate_extant(first, |round| round.terms.fee = T::MinFee::get());
        for id in 1..u64::from(T::MaxOpenRounds::get()) {
            Rounds::<T>::mutate_extant(id, |round| {
                round.terms.fee = round.terms.fee.saturating_add(1);
            });
        }
        let next = u64::from(T::MaxOpenRounds::get());
        NextRound::<T>::put(next);
        let requester: T::AccountId = whitelisted_caller();
        let n = T::MaxResponses::get();
        let fee = T::MinFee::get()
            .saturating_add(1)
            .max(Pallet::<T>::slot_price());
        let costs = Pallet::<T>::request_fee(n, T::Agents::active_count())
            .saturating_add(Pallet::<T>::slot_price())
            .saturating_mul(2)
            .saturating_add(Pallet::<T>::deposit_of(n))
            .saturating_add(fee)
            .saturating_mul(2);
        drop(T::Currency::deposit(&requester, costs, Precision::Exact).expect("it can be funded"));

        #[extrinsic_call]
        _(
            RawOrigin::Signed(requester),
            vec![b'a'; p as usize],
            fee,
            1,
            T::MinResponses::get(),
            n,
        );

        assert_eq!(NextRound::<T>::get(), next.saturating_add(1));
        assert_eq!(get::<T>(first).phase, Phase::Failed(Failure::Outbid));
    }

    #[benchmark]
    fn commit(b: Linear<22, { MaxSealed::<T>::get() }>) {
        let (id, who, sealed, commitment) = full::<T>(b.saturating_sub(sealing::OVERHEAD));
        let message = Message::Commit {
            sealed: &sealed,
            key_commitment: commitment,
        };
        let proof = sign::<T>(id, &who, &message);

        #[extrinsic_call]
        _(
            RawOrigin::Authorized,
            id,
            who.clone(),
            sealed,
            commitment,
            proof,
        );

        assert!(Participants::<T>::contains_key(id, &who));
        assert_eq!(get::<T>(id).counts.commits, T::MinResponses::get());
    }

    #[benchmark]
    fn authorize_commit(b: Linear<22, { MaxSealed::<T>::get() }>) -> Result<(), BenchmarkError> {
        let (round, agent, sealed, key_commitment) = full::<T>(b.saturating_sub(sealing::OVERHEAD));
        let proof = sign::<T>(
            round,
            &agent,
            &Message::Commit {
                sealed: &sealed,
                key_commitment,
            },
        );
        let call = Call::commit {
            round,
            agent,
            sealed,
            key_commitment,
            proof,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    #[benchmark]
    fn pass() {
        let id = open::<T>(T::MaxResponses::get());
        let who = enrol::<T>(0, &get::<T>(id), 2);
        Rounds::<T>::mutate_extant(id, |round| round.terms.activations = u64::MAX);
        let proof = sign::<T>(id, &who, &Message::Pass);

        #[extrinsic_call]
        _(RawOrigin::Authorized, id, who.clone(), proof);

        assert!(Absent::<T>::contains_key(id, &who));
    }

    #[benchmark]
    fn authorize_pass() -> Result<(), BenchmarkError> {
        let round = open::<T>(T::MaxResponses::get());
        let agent = enrol::<T>(0, &get::<T>(round), 2);
        Rounds::<T>::mutate_extant(round, |round| round.terms.activations = u64::MAX);
        let proof = sign::<T>(round, &agent, &Message::Pass);
        let call = Call::pass {
            round,
            agent,
            proof,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    #[benchmark]
    fn report() {
        let id = open::<T>(T::MaxResponses::get());
        let who = enrol::<T>(0, &get::<T>(id), 2);
        Rounds::<T>::mutate_extant(id, |round| {
            round.terms.activations = u64::MAX;
            round.phase = Phase::Revealing;
        });
        let reporter: T::AccountId = whitelisted_caller();
        let funds = T::MinFee::get();
        drop(T::Currency::deposit(&reporter, funds, Precision::Exact).expect("it can be funded"));

        #[extrinsic_call]
        _(RawOrigin::Signed(reporter), id, who.clone());

        assert!(Absent::<T>::contains_key(id, &who));
    }

    #[benchmark]
    fn silence(n: Linear<0, { SILENT_PAGE }>) {
        let id = open::<T>(T::MaxResponses::get());
        let agents: Vec<_> = (0..n)
            .map(|index| enrol::<T>(index, &get::<T>(id), 2))
            .collect();
        Rounds::<T>::mutate_extant(id, |round| {
            round.terms.activations = u64::MAX;
            round.phase = Phase::Revealing;
        });
        Unheard::<T>::put(BoundedVec::truncate_from(vec![id]));

        #[extrinsic_call]
        _(RawOrigin::None, id, BoundedVec::truncate_from(agents));

        assert_eq!(Resting::<T>::count(), n);
    }

    #[benchmark]
    fn reveal(b: Linear<1, { T::MaxResponse::get() }>) {
        let id = revealing::<T>(2, b);
        let who = agent::<T>(0);
        let proof = Some(sign::<T>(id, &who, &Message::Reveal { key: &KEY }));

        #[extrinsic_call]
        _(RawOrigin::Authorized, id, who.clone(), KEY, proof);

        assert_eq!(
            Responses::<T>::get(id, &who).map(|text| text.len() as u32),
            Some(b)
        );
    }

    #[benchmark]
    fn authorize_reveal() -> Result<(), BenchmarkError> {
        let round = revealing::<T>(2, 64);
        let agent = agent::<T>(0);
        let proof = Some(sign::<T>(round, &agent, &Message::Reveal { key: &KEY }));
        let call = Call::reveal {
            round,
            agent,
            key: KEY,
            proof,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    #[benchmark]
    fn commit_scores() {
        let id = ranking::<T>(2, 64);
        let who = agent::<T>(0);
        let seed = get::<T>(id).seed.expect("assigned");
        let commitment = H256::repeat_byte(3);
        let proof = sign::<T>(id, &who, &Message::CommitScores { seed, commitment });

        #[extrinsic_call]
        _(RawOrigin::Authorized, id, who, seed, commitment, proof);

        assert_eq!(get::<T>(id).counts.score_commits, 1);
    }

    #[benchmark]
    fn authorize_commit_scores() -> Result<(), BenchmarkError> {
        let round = ranking::<T>(2, 64);
        let agent = agent::<T>(0);
        let seed = get::<T>(round).seed.expect("assigned");
        let commitment = H256::repeat_byte(3);
        let proof = sign::<T>(round, &agent, &Message::CommitScores { seed, commitment });
        let call = Call::commit_scores {
            round,
            agent,
            seed,
            commitment,
            proof,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    #[benchmark]
    fn disclose(k: Linear<1, { T::MaxRankings::get() }>) {
        let id = disclosing::<T>(agents_for::<T>(k), 64);
        let who = agent::<T>(0);
        let scores: ScoresOf<T> = scores::<T>(id, &who).try_into().expect("k at most");
        let message = Message::Disclose {
            scores: &scores,
            salt: &SALT,
        };
        let proof = Some(sign::<T>(id, &who, &message));

        #[extrinsic_call]
        _(RawOrigin::Authorized, id, who, scores, SALT, proof);

        assert_eq!(get::<T>(id).counts.disclosures, 1);
    }

    #[benchmark]
    fn authorize_disclose(k: Linear<1, { T::MaxRankings::get() }>) -> Result<(), BenchmarkError> {
        let round = disclosing::<T>(agents_for::<T>(k), 64);
        let agent = agent::<T>(0);
        let scores: ScoresOf<T> = scores::<T>(round, &agent).try_into().expect("k at most");
        let proof = Some(sign::<T>(
            round,
            &agent,
            &Message::Disclose {
                scores: &scores,
                salt: &SALT,
            },
        ));
        let call = Call::disclose {
            round,
            agent,
            scores,
            salt: SALT,
            proof,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    /// The work of a block besides transitions: hashes for the rounds that wait for one, an author,
    /// and the reading of an agenda on which everything is due and nothing may pass.
    #[benchmark]
    fn on_initialize(
        r: Linear<1, { T::MaxOpenRounds::get() }>,
        a: Linear<1, { T::MaxAuthorities::get() }>,
    ) {
        let id = open::<T>(T::MaxResponses::get());
        let now = Pallet::<T>::now();
        let (round, due) = (
            get::<T>(id),
            Agenda::<T>::take()
                .first()
                .cloned()
                .expect("it is on the agenda"),
        );
        for number in 0..u64::from(r) {
            Rounds::<T>::insert(number, round.clone());
            let due = Due {
                round: number,
                at: now,
                since: Some(now),
                ..due.clone()
            };
            Pallet::<T>::schedule(due).expect("there is room");
        }
        let waiting: Vec<RoundId> = (0..u64::from(r)).collect();
        Undrawn::<T>::put(BoundedVec::truncate_from(waiting));
        let authors = (0..a).map(|author| Authored {
            author: agent::<T>(author),
            at: now,
        });
        Authors::<T>::put(BoundedVec::truncate_from(authors.collect()));

        #[block]
        {
            Pallet::<T>::do_note_author(agent::<T>(10_000));
            Pallet::<T>::note_randomness();
            Pallet::<T>::reserve();
            Pallet::<T>::run_agenda();
        }

        assert!(Undrawn::<T>::get().is_empty());
    }

    /// The most expensive end of Committing: giving everything back.
    #[benchmark]
    fn begin_revealing(n: Linear<2, { T::MaxResponses::get() }>) {
        let id = open::<T>(n);
        commit_all::<T>(id, n, 64);
        Rounds::<T>::mutate_extant(id, |round| round.terms.min_responses = u32::MAX);
        let round = get::<T>(id);

        #[block]
        {
            Pallet::<T>::end_committing(id, round);
        }

        assert_eq!(get::<T>(id).phase, Phase::Failed(Failure::TooFewCommits));
    }

    #[benchmark]
    fn assign(n: Linear<2, { T::MaxResponses::get() }>) {
        let id = revealed::<T>(n, 64);
        let round = get::<T>(id);

        #[block]
        {
            Pallet::<T>::end_revealing(id, round);
        }

        assert_eq!(get::<T>(id).phase, Phase::Ranking);
    }

    #[benchmark]
    fn settle(n: Linear<2, { T::MaxResponses::get() }>) {
        let id = disclosed::<T>(n, 64);
        let round = get::<T>(id);

        #[block]
        {
            Pallet::<T>::end_disclosing(id, round);
        }

        assert_eq!(get::<T>(id).phase, Phase::Done);
    }

    /// Answers in a form that is counted, all of maximum length.
    #[benchmark]
    fn choose(n: Linear<2, { Pallet::<T>::most_counted().min(T::MaxResponses::get()) }>) {
        let id = disclosed::<T>(n, T::MaxResponse::get());
        T::Choice::declare(id, Form::Short);
        let round = get::<T>(id);

        #[block]
        {
            Pallet::<T>::end_disclosing(id, round);
        }

        assert_eq!(get::<T>(id).phase, Phase::Done);
    }

    /// The ratings of the last `p` agents of a round of maximum size.
    #[benchmark]
    fn rate(p: Linear<1, { T::RatingPage::get() }>) {
        let n = T::MaxResponses::get();
        let id = disclosed::<T>(n, 64);
        Pallet::<T>::end_disclosing(id, get::<T>(id));
        let mut round = get::<T>(id);
        round.rated = n.saturating_sub(p);

        #[block]
        {
            Pallet::<T>::rate(id, round);
        }

        assert!(Ended::<T>::iter().next().is_some());
    }

    /// The purge of `i` items and of the round that they belong to.
    #[benchmark]
    fn purge(i: Linear<0, { T::PurgePage::get() }>) {
        let id = open::<T>(T::MaxResponses::get());
        let now = Pallet::<T>::now();
        let mut round = get::<T>(id);
        Pallet::<T>::unschedule(id);
        CommittingRounds::<T>::kill();
        Undrawn::<T>::kill();
        round.phase = Phase::Done;
        round.deadline = now.saturating_sub(1);
        Rounds::<T>::insert(id, round);
        Ended::<T>::insert(0, id);
        EndedQueue::<T>::put(Queue { head: 0, tail: 1 });
        let text = BoundedVec::truncate_from(vec![b'a'; T::MaxResponse::get() as usize]);
        for index in 0..i {
            Responses::<T>::insert(id, agent::<T>(index), text.clone());
        }
        frame_system::Pallet::<T>::set_block_number(now.saturating_add(1).into());

        #[block]
        {
            Pallet::<T>::purge(i.saturating_add(1));
        }

        assert!(!Rounds::<T>::contains_key(id));
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::ext_with_keystore(), crate::mock::Test);
}
