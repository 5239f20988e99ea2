// SPDX-License-Identifier: Apache-2.0
//! Benchmarks of the calls, of their authorizations, and of the hooks.

#![allow(clippy::expect_used)] // A benchmark that cannot be set up must stop.

use alloc::{boxed::Box, vec, vec::Vec};
use codec::Encode;
use frame_benchmarking::v2::*;
use frame_support::{
    pallet_prelude::TransactionSource,
    traits::{Authorize, EnsureOrigin, Get, UnixTime},
    weights::Weight,
    BoundedVec,
};
use frame_system::RawOrigin;
use sp_application_crypto::{ByteArray, RuntimeAppPublic};
use sp_runtime::Permill;
use starling_evidence::{
    messages::{self, Accusation},
    peer::MAX_PEER,
    Claim, Code, Digest, Evidence, Exhibit, Finding, History, ModelId, Peer, Ruling, Side, Signed,
    SignedOutput, Sketch, Sketches,
};
use starling_primitives::{locks::LockId, traits::AgentRegistry, Balance, InferenceKey, H256};

use super::*;

const MODEL: ModelId = [7; 32];
const SALT: [u8; 32] = [5; 32];
const ROWS: u32 = 16;
/// The block in which a case is opened.
const OPENED: u32 = 1_000_000;

fn agent<T: Config>(index: u32) -> T::AccountId {
    account("agent", index, 0)
}

/// An active agent with the bond for anything, whose key is in the keystore.
fn enrol<T: Config>(index: u32) -> T::AccountId {
    let who = agent::<T>(index);
    let bond = doubled(T::MinSlash::get(), MAX_DOUBLINGS)
        .saturating_add(Pallet::<T>::bond_of_accusation(&who).saturating_mul(8));
    T::Agents::make_active(&who, InferenceKey::generate_pair(None), bond);
    who
}

fn key_of<T: Config>(who: &T::AccountId) -> InferenceKey {
    T::Agents::inference_key(who).expect("it is enrolled")
}

fn sign<T: Config>(who: &T::AccountId, payload: &[u8]) -> [u8; 64] {
    let signature = key_of::<T>(who).sign(&payload);
    let signature = signature.expect("its key is in the keystore");
    signature.encode().try_into().expect("it has 64 bytes")
}

/// A holder of the model since long.
fn holding<T: Config>(index: u32) -> T::AccountId {
    let who = enrol::<T>(index);
    let models = BoundedVec::truncate_from(vec![MODEL]);
    Held::<T>::insert(&who, Holding { models, at: 1 });
    Holders::<T>::insert(MODEL, &who, 1);
    HolderCount::<T>::mutate(MODEL, |count| *count = count.saturating_add(1));
    who
}

/// An exhibit with inputs of `width` elements.
fn exhibit(width: u32) -> Exhibit {
    let bytes = width.saturating_mul(ROWS).saturating_mul(4);
    Exhibit {
        width,
        inputs: vec![0; bytes as usize],
        first: vec![1],
        second: vec![2],
        tokens: (0..ROWS).collect(),
    }
}

fn answer<T: Config>(index: u32, exhibit: &Exhibit, output: Digest) -> SignedOutput {
    let who = enrol::<T>(index);
    let mut history = History::default();
    let row = exhibit.width.saturating_mul(4) as usize;
    for row in exhibit.inputs.chunks_exact(row.max(1)) {
        history.push_row(row);
    }
    let time = T::Time::now().as_millis();
    let mut answer = SignedOutput {
        peer: Peer::new(vec![1; MAX_PEER]),
        claim: Signed {
            account: who.clone().into(),
            key: ByteArray::to_raw_vec(&key_of::<T>(&who))
                .try_into()
                .expect("it has 32 bytes"),
            body: Claim {
                model: MODEL,
                layers: (3, 9),
                wire: Code::F32,
                positions: 0,
                rows: ROWS,
                before: [0; 32],
                after: history.digest(),
                output,
                time: u64::try_from(time).unwrap_or(u64::MAX),
            },
            signature: [0; 64],
        },
    };
    answer.claim.signature = sign::<T>(&who, &answer.message(&Pallet::<T>::genesis()));
    answer
}

/// SHA-256 of the bytes 1 and 2.
const OUTPUTS: [Digest; 2] = [
    [
        0x4b, 0xf5, 0x12, 0x2f, 0x34, 0x45, 0x54, 0xc5, 0x3b, 0xde, 0x2e, 0xbb, 0x8c, 0xd2, 0xb7,
        0xe3, 0xd1, 0x60, 0x0a, 0xd6, 0x31, 0xc3, 0x85, 0xa5, 0xd7, 0xcc, 0xe2, 0x3c, 0x77, 0x85,
        0x45, 0x9a,
    ],
    [
        0xdb, 0xc1, 0xb4, 0xc9, 0x00, 0xff, 0xe4, 0x8d, 0x57, 0x5b, 0x5d, 0xa5, 0xc6, 0x38, 0x04,
        0x01, 0x25, 0xf6, 0x5d, 0xb0, 0xfe, 0x3e, 0x24, 0x49, 0x4b, 0x76, 0xea, 0x98, 0x64, 0x57,
        0xd9, 0x86,
    ],
];

/// An accusation, on a chain where agents can be accused.
fn accusation<T: Config>(exhibit: &Exhibit) -> Accusation {
    InForce::<T>::mutate(|parameters| parameters.slash = Permill::from_percent(10));
    let [first, second] = OUTPUTS;
    Accusation {
        network: Pallet::<T>::genesis(),
        evidence: Evidence {
            first: answer::<T>(1, exhibit, first),
            second: answer::<T>(2, exhibit, second),
        },
        shown_by: Peer::new(vec![2; MAX_PEER]),
    }
}

/// A case about an exhibit, with its accuser.
fn opened<T: Config>(exhibit: &Exhibit) -> (CaseId, T::AccountId) {
    frame_system::Pallet::<T>::set_block_number(OPENED.into());
    let accuser = enrol::<T>(0);
    let id = NextCase::<T>::get();
    let accusation = accusation::<T>(exhibit);
    Pallet::<T>::do_accuse(accuser.clone(), accusation).expect("the evidence is good");
    (id, accuser)
}

/// A case before a committee of so many, in this phase.
fn before<T: Config>(members: u32, phase: Phase) -> (CaseId, Vec<T::AccountId>) {
    let (id, _) = opened::<T>(&exhibit(1));
    let members: Vec<_> = (10..members.saturating_add(10)).map(enrol::<T>).collect();
    Cases::<T>::mutate(id, |case| {
        let case = case.as_mut().expect("it was opened");
        case.phase = phase;
        case.committee = BoundedVec::truncate_from(members.clone());
        case.draw = H256::repeat_byte(3);
    });
    (id, members)
}

/// The largest finding.
fn finding() -> Finding {
    let sketch = || Sketch::new([3; 128]);
    Finding::Computed(Box::new(Sketches {
        own: sketch(),
        coarse: sketch(),
        coded: sketch(),
        elsewhere: sketch(),
        first: Some(sketch()),
        second: Some(sketch()),
    }))
}

fn commitment<T: Config>(id: CaseId, who: &T::AccountId) -> H256 {
    let draw = H256::repeat_byte(3);
    let genesis = Pallet::<T>::genesis();
    H256(finding().commitment(&genesis, who.as_ref(), id, &draw.0, &SALT))
}

/// Lets all members commit, and reveal if `reveals`.
fn work<T: Config>(id: CaseId, members: &[T::AccountId], reveals: bool) {
    for who in members {
        let work = Work {
            commitment: commitment::<T>(id, who),
            finding: reveals.then(finding),
        };
        Works::<T>::insert(id, who, work);
    }
    let count = members.len() as u32;
    Cases::<T>::mutate(id, |case| {
        let case = case.as_mut().expect("it was opened");
        case.committed = count;
        case.revealed = if reveals { count } else { 0 };
    });
}

fn authorize<T: Config>(call: Call<T>) -> Result<(), BenchmarkError> {
    let authorized = call.authorize(TransactionSource::External);
    let authorized = authorized.ok_or(BenchmarkError::Stop("the call is not feeless"))?;
    authorized.map_err(|_| BenchmarkError::Stop("the call was refused"))?;
    Ok(())
}

fn end_phase<T: Config>(id: CaseId) {
    Cases::<T>::mutate(id, |case| {
        let case = case.as_mut().expect("it was opened");
        case.due = 0;
    });
    Pallet::<T>::schedule(id, 0);
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn accuse() {
        frame_system::Pallet::<T>::set_block_number(OPENED.into());
        let accuser = enrol::<T>(0);
        let accusation = Box::new(accusation::<T>(&exhibit(1)));

        #[extrinsic_call]
        _(
            RawOrigin::Signed(accuser.clone()),
            accuser.clone(),
            accusation,
            None,
        );

        assert_eq!(OpenCases::<T>::get(), 1);
    }

    #[benchmark]
    fn authorize_accuse() -> Result<(), BenchmarkError> {
        frame_system::Pallet::<T>::set_block_number(OPENED.into());
        let agent = enrol::<T>(0);
        let accusation = accusation::<T>(&exhibit(1));
        let payload = messages::accuse(&Pallet::<T>::genesis(), agent.as_ref(), &accusation);
        let call = Call::accuse {
            signature: Some(sign::<T>(&agent, &payload)),
            agent,
            accusation: Box::new(accusation),
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    /// Eight models, of which the last one has `h` holders, one of them idle.
    #[benchmark]
    fn hold(h: Linear<1, 256>) {
        frame_system::Pallet::<T>::set_block_number(OPENED.into());
        for index in 0..h {
            holding::<T>(index.saturating_add(10));
        }
        T::Agents::punish(&agent::<T>(10));
        let who = enrol::<T>(0);
        let models: Vec<ModelId> = (0..8).map(|number| [number; 32]).collect();

        #[extrinsic_call]
        _(
            RawOrigin::Signed(who.clone()),
            who.clone(),
            models,
            OPENED,
            None,
        );

        assert_eq!(Held::<T>::get(&who).at, OPENED);
    }

    #[benchmark]
    fn authorize_hold(h: Linear<1, 256>) -> Result<(), BenchmarkError> {
        frame_system::Pallet::<T>::set_block_number(OPENED.into());
        for index in 0..h {
            holding::<T>(index.saturating_add(10));
        }
        T::Agents::punish(&agent::<T>(10));
        let agent = enrol::<T>(0);
        let models: Vec<ModelId> = (0..8).map(|number| [number; 32]).collect();
        let payload = messages::hold(&Pallet::<T>::genesis(), agent.as_ref(), &models, OPENED);
        let call = Call::hold {
            signature: Some(sign::<T>(&agent, &payload)),
            agent,
            models,
            at: OPENED,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    #[benchmark]
    fn commit() {
        let (id, members) = before::<T>(MAX_MEMBERS, Phase::Committing);
        let who = members.into_iter().next().expect("there are members");

        #[extrinsic_call]
        _(
            RawOrigin::Authorized,
            id,
            who.clone(),
            H256::zero(),
            [0; 64],
        );

        assert!(Works::<T>::contains_key(id, who));
    }

    #[benchmark]
    fn authorize_commit() -> Result<(), BenchmarkError> {
        let (case, members) = before::<T>(MAX_MEMBERS, Phase::Committing);
        let agent = members.into_iter().next().expect("there are members");
        let commitment = H256::zero();
        let seed = H256::repeat_byte(3);
        let genesis = Pallet::<T>::genesis();
        let payload = messages::commit(&genesis, agent.as_ref(), case, &seed.0, &commitment.0);
        let call = Call::commit {
            case,
            signature: sign::<T>(&agent, &payload),
            agent,
            commitment,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    #[benchmark]
    fn reveal() {
        let (id, members) = before::<T>(MAX_MEMBERS, Phase::Revealing);
        work::<T>(id, &members, false);
        let who = members.into_iter().next().expect("there are members");

        #[extrinsic_call]
        _(RawOrigin::Authorized, id, who.clone(), finding(), SALT);

        assert!(Works::<T>::get(id, who).is_some_and(|work| work.finding.is_some()));
    }

    #[benchmark]
    fn authorize_reveal() -> Result<(), BenchmarkError> {
        let (case, members) = before::<T>(MAX_MEMBERS, Phase::Revealing);
        work::<T>(case, &members, false);
        let agent = members.into_iter().next().expect("there are members");
        let call = Call::reveal {
            case,
            agent,
            finding: finding(),
            salt: SALT,
        };

        #[block]
        {
            authorize::<T>(call)?;
        }

        Ok(())
    }

    /// About `b` bytes of inputs: 64 bytes for each element of a row.
    #[benchmark]
    fn publish(b: Linear<64, 262_000>) {
        let exhibit = exhibit(b.checked_div(64).unwrap_or(1).saturating_sub(2).max(1));
        let (id, accuser) = opened::<T>(&exhibit);

        #[extrinsic_call]
        _(RawOrigin::Signed(accuser), id, exhibit);

        assert!(Exhibits::<T>::contains_key(id));
    }

    #[benchmark]
    fn appeal() {
        let (id, members) = before::<T>(MAX_MEMBERS, Phase::Judged);
        work::<T>(id, &members, true);
        let accuser = agent::<T>(0);

        #[extrinsic_call]
        _(RawOrigin::Signed(accuser), id);

        assert!(Cases::<T>::get(id).is_some_and(|case| case.appealed));
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
    fn end_phases() {
        opened::<T>(&exhibit(1));

        #[block]
        {
            Pallet::<T>::end_phases();
        }

        assert_eq!(OpenCases::<T>::get(), 1);
    }

    #[benchmark]
    fn draw(h: Linear<1, 256>) {
        for index in 0..h {
            holding::<T>(index.saturating_add(10));
        }
        let (id, _) = opened::<T>(&exhibit(1));
        let case = Cases::<T>::get(id).expect("it was opened");
        let drawn;

        #[block]
        {
            drawn = Pallet::<T>::draw(&case, H256::repeat_byte(4), MAX_MEMBERS);
        }

        assert_eq!(drawn.1, h);
    }

    #[benchmark]
    fn open_reveals() {
        let (id, members) = before::<T>(MAX_MEMBERS, Phase::Committing);
        work::<T>(id, &members, false);
        end_phase::<T>(id);

        #[block]
        {
            Pallet::<T>::end_phases();
        }

        assert!(Cases::<T>::get(id).is_some_and(|case| case.phase == Phase::Revealing));
    }

    /// Ends in an appeal window, or in the end of the case.
    #[benchmark]
    fn judge(m: Linear<1, 21>) {
        let (id, members) = before::<T>(m, Phase::Revealing);
        work::<T>(id, &members, true);
        end_phase::<T>(id);

        #[block]
        {
            Pallet::<T>::end_phases();
        }

        assert!(Cases::<T>::get(id).is_some_and(|case| case.ruling.is_some()));
    }

    /// Two guilty agents, an appeal, and both committees to pay.
    #[benchmark]
    fn close() {
        let (id, members) = before::<T>(MAX_MEMBERS, Phase::Judged);
        work::<T>(id, &members, true);
        let ruling = Ruling::Decided {
            first: Side::Guilty,
            second: Side::Guilty,
        };
        let appellant = agent::<T>(0);
        let bond: Balance = T::MinSlash::get();
        T::Agents::lock(&appellant, LockId::Appeal { case: id }, bond, u32::MAX)
            .expect("its bond is free");
        Cases::<T>::mutate(id, |case| {
            let case = case.as_mut().expect("it was opened");
            case.earners = BoundedVec::truncate_from([members.clone(), members].concat());
            case.ruling = Some(ruling);
            case.appellant = Some((appellant, bond));
        });
        end_phase::<T>(id);

        #[block]
        {
            Pallet::<T>::end_phases();
        }

        assert_eq!(OpenCases::<T>::get(), 0);
    }

    #[benchmark]
    fn forget() {
        let (id, members) = before::<T>(MAX_MEMBERS, Phase::Closed);
        work::<T>(id, &members, true);
        let bytes = vec![0; T::MaxExhibit::get() as usize];
        Exhibits::<T>::insert(id, BoundedVec::truncate_from(bytes));
        end_phase::<T>(id);

        #[block]
        {
            Pallet::<T>::end_phases();
        }

        assert!(!Cases::<T>::contains_key(id));
    }

    #[benchmark]
    fn forget_verdicts() {
        for place in 0..settlement::PAGE {
            let claim = H256::from_low_u64_be(place.into());
            Claims::<T>::insert(claim, Known::Judged);
            Verdicts::<T>::insert(u64::from(place), (claim, 0));
        }
        VerdictRange::<T>::put((0, u64::from(settlement::PAGE)));
        frame_system::Pallet::<T>::set_block_number((u32::MAX / 2).into());

        #[block]
        {
            Pallet::<T>::forget_verdicts(Weight::MAX);
        }

        assert_eq!(Verdicts::<T>::iter().count(), 0);
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::for_benchmarks(), crate::mock::Test);
}
