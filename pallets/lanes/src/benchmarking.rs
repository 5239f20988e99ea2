// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls, of their authorizations, and of the hooks.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use alloc::{boxed::Box, vec, vec::Vec};
use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::{
    pallet_prelude::TransactionSource,
    traits::{fungible::Balanced, tokens::Precision, Authorize, EnsureOrigin, Get},
    BoundedVec,
};
use frame_system::RawOrigin;
use sp_application_crypto::{ByteArray, RuntimeAppPublic};
use starling_lane_primitives::{
    checkpoint::Checkpoint,
    messages::{payload, Ask, Message, Named},
    seal::DecryptionKey,
    volunteer, Certificate, Form, Phase, Slot, Terms,
};
use starling_primitives::{
    choice::{Capabilities, Choice},
    locks::LockId,
    traits::{AgentRegistry, Requests},
    Balance, InferenceKey, H256,
};

use super::*;

const EPOCH: Epoch = 9;
const SEED: H256 = H256::repeat_byte(5);
const PEER: [u8; 32] = [9; 32];

fn now_is<T: Config>(epoch: Epoch) {
    Now::<T>::put(Present {
        epoch,
        began: 0,
        ends: u32::MAX / 2,
    });
}

fn fund<T: Config>(who: &T::AccountId, amount: Balance) {
    drop(T::Currency::deposit(who, amount, Precision::Exact).expect("it can be funded"));
}

fn agent<T: Config>(index: u32) -> T::AccountId {
    account("agent", index, 0)
}

/// An active agent whose key is in the keystore.
fn enrol<T: Config>(index: u32) -> T::AccountId {
    let who = agent::<T>(index);
    let bond = InForce::<T>::get().lane_bond.saturating_mul(8);
    T::Agents::make_active(&who, InferenceKey::generate_pair(None), bond);
    who
}

/// An agent that serves in [`EPOCH`].
fn serving<T: Config>(index: u32) -> T::AccountId {
    let who = enrol::<T>(index);
    let bond = InForce::<T>::get().lane_bond;
    T::Agents::lock(&who, LockId::Lanes, bond, u32::MAX).expect("its bond is free");
    let volunteer = Volunteer {
        key: T::Agents::inference_key(&who).expect("it is enrolled"),
        point: point(),
        peer: PEER,
        bond,
        rating: 0,
        known: Capabilities::default(),
        has_left: false,
    };
    Volunteers::<T>::insert(EPOCH, &who, volunteer);
    who
}

fn point() -> [u8; 32] {
    DecryptionKey::from_bytes(&[1; 64]).public()
}

fn sign<T: Config>(who: &T::AccountId, payload: &[u8; 32]) -> [u8; 64] {
    let key = T::Agents::inference_key(who).expect("it is enrolled");
    let signature = key.sign(payload).expect("its key is in the keystore");
    signature.encode().try_into().expect("it has 64 bytes")
}

fn terms<T: Config>() -> Terms {
    Terms {
        members: 16,
        max_fee: T::MinFee::get(),
        max_tokens: 1,
        answer_ms: MIN_WAIT_MS,
        rank_ms: MIN_WAIT_MS,
        key: [1; 32],
        peer: Some(PEER),
    }
}

/// A lane of `requester` that is served since epoch 3.
fn lane<T: Config>(requester: &T::AccountId) -> LaneId {
    now_is::<T>(0);
    let fees = T::MinFee::get().saturating_mul(100);
    let deposit = InForce::<T>::get().min_deposit.saturating_add(fees);
    fund::<T>(requester, deposit.saturating_mul(3));
    let id = NextLane::<T>::get();
    Pallet::<T>::do_open(requester.clone(), deposit, terms::<T>()).expect("the terms are good");
    now_is::<T>(EPOCH);
    let setting = Setting {
        seed: SEED,
        choice: Choice::default(),
    };
    Settings::<T>::insert(EPOCH, setting);
    id
}

/// A lane with the largest committee, on record.
fn seated<T: Config>(requester: &T::AccountId) -> (LaneId, Vec<T::AccountId>) {
    let id = lane::<T>(requester);
    let members: Vec<_> = (0..MAX_MEMBERS).map(serving::<T>).collect();
    Committees::<T>::insert(EPOCH, id, BoundedVec::truncate_from(members.clone()));
    (id, members)
}

/// A checkpoint that pays all members, the treasury and the requester.
fn checkpoint<T: Config>(requester: &T::AccountId) -> (Checkpoint, Certificate) {
    let (id, members) = seated::<T>(requester);
    fund::<T>(&T::TreasuryAccount::get(), T::MinFee::get());
    let fees = T::MinFee::get().saturating_mul(u32::BITS.into());
    let mut accounts: Vec<[u8; 32]> = members.iter().cloned().map(Into::into).collect();
    accounts.push(requester.clone().into());
    accounts.sort_unstable();
    let each = fees.checked_div(100).unwrap_or(1).max(1);
    let rest = fees.saturating_sub(each.saturating_mul(17));
    let mut payouts: Vec<_> = accounts.into_iter().map(|to| (to, each)).collect();
    payouts.push((T::TreasuryAccount::get().into(), rest));
    payouts.sort_unstable();
    let checkpoint = Checkpoint {
        lane: id,
        epoch: EPOCH,
        first: 0,
        bitmap: u32::MAX.into(),
        fees,
        payouts,
        transcripts: [3; 32],
    };
    let hash = checkpoint.hash(&Pallet::<T>::genesis());
    // A quorum of them is checked, after a look at the bonds of all.
    let signed = (0u8..16)
        .zip(&members)
        .map(|(place, who)| (place, sign::<T>(who, &hash)));
    let certificate = Certificate::new(signed);
    (checkpoint, certificate)
}

fn slot<T: Config>(id: LaneId) -> Slot {
    Slot {
        genesis: Pallet::<T>::genesis(),
        lane: id,
        epoch: EPOCH,
        seq: 0,
        phase: Phase::Scores,
    }
}

/// A request that has expired.
fn ask<T: Config>(id: LaneId, p: u32) -> Ask {
    let block = ESCALATION_DELAY.saturating_add(2);
    frame_system::Pallet::<T>::set_block_number(block.into());
    Ask {
        genesis: Pallet::<T>::genesis(),
        lane: id,
        epoch: EPOCH,
        seq: 0,
        prompt: vec![b'a'; p as usize],
        max_tokens: 1,
        form: Form::Short,
        fee: T::MinFee::get(),
        expiry: 1,
    }
}

/// The signature of an ask, by a key that its lane gets.
fn sign_ask<T: Config>(ask: &Ask) -> [u8; 64] {
    let key = InferenceKey::generate_pair(None);
    let signature = key.sign(&ask.hash()).expect("it is in the keystore");
    Lanes::<T>::mutate(ask.lane, |lane| {
        let lane = lane.as_mut().expect("the lane is open");
        lane.terms.key = ByteArray::to_raw_vec(&key)
            .try_into()
            .expect("it has 32 bytes");
    });
    signature.encode().try_into().expect("it has 64 bytes")
}

/// A request that became a round, with the votes of a quorum.
fn escalated<T: Config>() -> (LaneId, Certificate) {
    let (requester, _, responses) = T::Requests::requester();
    let (id, members) = seated::<T>(&requester);
    let ask = ask::<T>(id, 1);
    let signature = sign_ask::<T>(&ask);
    Pallet::<T>::do_escalate(requester, ask, &signature, responses, responses)
        .expect("it has expired");
    let vote = Message::Vote(SEED.0);
    let signed = (0u8..11).zip(&members).map(|(place, who)| {
        let payload = payload(&slot::<T>(id), who.as_ref(), &vote);
        (place, sign::<T>(who, &payload))
    });
    (id, Certificate::new(signed))
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

    #[benchmark]
    fn open() {
        let requester: T::AccountId = whitelisted_caller();
        let deposit = InForce::<T>::get().min_deposit;
        fund::<T>(&requester, deposit.saturating_mul(2));

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), deposit, terms::<T>());

        assert_eq!(Lanes::<T>::count(), 1);
    }

    #[benchmark]
    fn top_up() {
        let requester: T::AccountId = whitelisted_caller();
        let id = lane::<T>(&requester);
        let before = Lanes::<T>::get(id).map_or(0, |lane| lane.deposited);

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), id, 100);

        assert!(Lanes::<T>::get(id).is_some_and(|lane| lane.deposited > before));
    }

    #[benchmark]
    fn close() {
        let requester: T::AccountId = whitelisted_caller();
        let id = lane::<T>(&requester);

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), id);

        assert!(Lanes::<T>::get(id).is_some_and(|lane| lane.closing.is_some()));
    }

    #[benchmark]
    fn reclaim() {
        let requester: T::AccountId = whitelisted_caller();
        let id = lane::<T>(&requester);
        let closed = Lanes::<T>::get(id).map(|lane| Lane {
            closing: Some(Closing {
                last_epoch: 0,
                reclaimable: 0,
            }),
            ..lane
        });
        Lanes::<T>::set(id, closed);

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), id);

        assert_eq!(Lanes::<T>::count(), 0);
    }

    #[benchmark]
    fn join() {
        now_is::<T>(EPOCH.saturating_sub(volunteer::AHEAD));
        let who = enrol::<T>(0);

        #[extrinsic_call]
        _(RawOrigin::Authorized, who, EPOCH, point(), PEER, [0; 64]);

        assert_eq!(VolunteerCount::<T>::get(EPOCH), 1);
    }

    #[benchmark]
    fn authorize_join() -> Result<(), BenchmarkError> {
        now_is::<T>(EPOCH.saturating_sub(volunteer::AHEAD));
        let agent = enrol::<T>(0);
        let genesis = Pallet::<T>::genesis();
        let payload = volunteer::join(&genesis, agent.as_ref(), EPOCH, &point(), &PEER);
        let signature = sign::<T>(&agent, &payload);
        let call = Call::join {
            agent,
            epoch: EPOCH,
            point: point(),
            peer: PEER,
            signature,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    #[benchmark]
    fn leave() {
        now_is::<T>(EPOCH.saturating_sub(volunteer::AHEAD));
        let who = serving::<T>(0);

        #[extrinsic_call]
        _(RawOrigin::Authorized, who.clone(), EPOCH, [0; 64]);

        assert!(!Pallet::<T>::has_joined(&who, EPOCH));
    }

    #[benchmark]
    fn authorize_leave() -> Result<(), BenchmarkError> {
        now_is::<T>(EPOCH.saturating_sub(volunteer::AHEAD));
        let agent = serving::<T>(0);
        let payload = volunteer::leave(&Pallet::<T>::genesis(), agent.as_ref(), EPOCH);
        let signature = sign::<T>(&agent, &payload);
        let call = Call::leave {
            agent,
            epoch: EPOCH,
            signature,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    /// The largest committee and all payments.
    #[benchmark]
    fn settle() {
        let requester: T::AccountId = whitelisted_caller();
        let (checkpoint, certificate) = checkpoint::<T>(&requester);

        #[extrinsic_call]
        _(RawOrigin::Authorized, checkpoint, certificate);

        assert_eq!(Settlements::<T>::count(), 1);
    }

    #[benchmark]
    fn authorize_settle() -> Result<(), BenchmarkError> {
        let requester: T::AccountId = whitelisted_caller();
        let (checkpoint, certificate) = checkpoint::<T>(&requester);
        let call = Call::settle {
            checkpoint,
            certificate,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    #[benchmark]
    fn draw(v: Linear<16, { T::MaxVolunteers::get() }>) -> Result<(), BenchmarkError> {
        let requester: T::AccountId = whitelisted_caller();
        let id = lane::<T>(&requester);
        for index in 0..v {
            serving::<T>(index);
        }
        let lane = Lanes::<T>::get(id).ok_or("the lane is open")?;

        #[block]
        {
            Pallet::<T>::draw(id, &lane, EPOCH).map_err(|_| "there are volunteers")?;
        }

        Ok(())
    }

    #[benchmark]
    fn finalise() -> Result<(), BenchmarkError> {
        let requester: T::AccountId = whitelisted_caller();
        let (checkpoint, certificate) = checkpoint::<T>(&requester);
        Pallet::<T>::do_settle(checkpoint, &certificate)?;
        let due = Settlements::<T>::get(0).map_or(0, |settlement| settlement.due);
        frame_system::Pallet::<T>::set_block_number(due.into());

        #[extrinsic_call]
        _(RawOrigin::Signed(requester), 0);

        assert_eq!(Settlements::<T>::count(), 0);
        Ok(())
    }

    /// Long messages of a member that has signed a settlement.
    #[benchmark]
    fn equivocation() -> Result<(), BenchmarkError> {
        let reporter: T::AccountId = whitelisted_caller();
        let (checkpoint, certificate) = checkpoint::<T>(&reporter);
        let id = checkpoint.lane;
        Pallet::<T>::do_settle(checkpoint, &certificate)?;
        let offender = agent::<T>(0);
        let evidence = |byte| {
            let named = Named {
                member: 0,
                seal: Some([byte; 32]),
            };
            let most = T::MaxEvidence::get().saturating_div(40) as usize;
            let message = Message::Echo {
                view: 0,
                named: vec![named; most],
                opened: None,
            };
            let slot = slot::<T>(id);
            let payload = payload(&slot, offender.as_ref(), &message);
            Box::new((slot, message, sign::<T>(&offender, &payload)))
        };
        let (a, b) = (evidence(1), evidence(2));

        #[extrinsic_call]
        _(RawOrigin::Signed(reporter), offender.clone(), a, b);

        assert!(Punished::<T>::contains_key(EPOCH, (id, &offender)));
        Ok(())
    }

    #[benchmark]
    fn escalate(p: Linear<1, 4_096>) {
        let (requester, _, responses) = T::Requests::requester();
        let id = lane::<T>(&requester);
        let ask = ask::<T>(id, p);
        let signature = sign_ask::<T>(&ask);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(requester),
            ask,
            signature,
            responses,
            responses,
        );

        assert_eq!(Escalations::<T>::iter().count(), 1);
    }

    #[benchmark]
    fn show_certificate() {
        let (id, certificate) = escalated::<T>();

        #[extrinsic_call]
        _(RawOrigin::Authorized, id, EPOCH, 0, SEED, certificate);

        assert_eq!(Escalations::<T>::iter().count(), 0);
    }

    #[benchmark]
    fn authorize_show_certificate() -> Result<(), BenchmarkError> {
        let (lane, certificate) = escalated::<T>();
        let call = Call::show_certificate {
            lane,
            epoch: EPOCH,
            seq: 0,
            outcome: SEED,
            certificate,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    #[benchmark]
    fn set_parameters() -> Result<(), BenchmarkError> {
        let origin = T::GovernanceOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("no origin may govern"))?;
        let parameters = T::DefaultParameters::get();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, parameters);

        assert_eq!(InForce::<T>::get(), parameters);
        Ok(())
    }

    #[benchmark]
    fn void() -> Result<(), BenchmarkError> {
        let origin = T::VoidOrigin::try_successful_origin()
            .map_err(|_| BenchmarkError::Stop("no origin may void"))?;
        let requester: T::AccountId = whitelisted_caller();
        let (checkpoint, certificate) = checkpoint::<T>(&requester);
        Pallet::<T>::do_settle(checkpoint, &certificate)?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, 0);

        assert_eq!(Settlements::<T>::count(), 0);
        Ok(())
    }

    #[benchmark]
    fn begin_epoch() {
        Now::<T>::kill();

        #[block]
        {
            Pallet::<T>::begin_epoch();
        }

        assert_eq!(Now::<T>::get().epoch, 1);
    }

    /// A full page of each map.
    #[benchmark]
    fn retire() {
        for index in 0..epochs::PAGE {
            let (who, lane) = (agent::<T>(index), LaneId::from(index));
            let volunteer = Volunteer {
                key: InferenceKey::generate_pair(None),
                point: point(),
                peer: PEER,
                bond: 0,
                rating: 0,
                known: Capabilities::default(),
                has_left: false,
            };
            Volunteers::<T>::insert(0, &who, volunteer);
            let members = vec![who.clone(); MAX_MEMBERS as usize];
            Committees::<T>::insert(0, lane, BoundedVec::truncate_from(members));
            Progress::<T>::insert(0, lane, 1);
            Marked::<T>::insert(0, (lane, 0), Marks::default());
            Escalations::<T>::insert(0, (lane, 0), 0);
            Punished::<T>::insert(0, (lane, &who), ());
        }
        Ended::<T>::insert(0, 0);
        now_is::<T>(2);
        frame_system::Pallet::<T>::set_block_number(InForce::<T>::get().kept().into());

        #[block]
        {
            Pallet::<T>::retire(frame_support::weights::Weight::MAX);
        }

        assert_eq!(Volunteers::<T>::iter_prefix(0).count(), 0);
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::for_benchmarks(), crate::mock::Test);
}
