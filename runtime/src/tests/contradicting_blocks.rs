// SPDX-License-Identifier: Apache-2.0
//! Validators that make two blocks in one slot.

use codec::{Decode, Encode};
use frame_support::{
    assert_err, assert_ok,
    dispatch::{DispatchResultWithPostInfo, GetDispatchInfo},
    traits::{Authorize, DisabledValidators, Hooks},
};
use pallet_authoring::{runtime_decl_for_authoring_api::AuthoringApiV1, Error};
use sp_consensus_aura::{sr25519::AuthorityId, AURA_ENGINE_ID};
use sp_consensus_slots::{EquivocationProof, Slot};
use sp_core::{
    offchain::{testing::TestTransactionPoolExt, TransactionPoolExt},
    sr25519, Pair, H256,
};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_keystore::{testing::MemoryKeystore, KeystoreExt};
use sp_runtime::{
    traits::{Convert, Header as _},
    transaction_validity::{InvalidTransaction, TransactionSource},
    Digest, DigestItem,
};
use sp_session::MembershipProof;
use starling_primitives::traits::AgentRegistry;

use super::{
    equivocations::{bob, bond, next_session, pair, report as report_votes, BOND},
    presets, state_of,
};
use crate::{
    configs::{RuntimeBlockWeights, SessionOfAuthors},
    Agents, Authoring, BlockNumber, Executive, Header, Runtime, RuntimeCall, RuntimeOrigin,
    Session, SessionKeys, System, UncheckedExtrinsic, MINUTES,
};

type Proof = EquivocationProof<Header, AuthorityId>;

const SLOT: u64 = 1_000;

fn key(of: Sr25519Keyring) -> sr25519::Pair {
    of.pair()
}

/// The height of the next block, which the authors of the present session make.
fn next_block() -> BlockNumber {
    System::block_number() + 1
}

/// A block of `key`; `fork` tells those of the same height from each other.
fn sealed(key: &sr25519::Pair, number: BlockNumber, slot: u64, fork: u8) -> Header {
    let slot = DigestItem::PreRuntime(AURA_ENGINE_ID, Slot::from(slot).encode());
    let digest = Digest { logs: vec![slot] };
    let root = H256::repeat_byte(fork);
    let mut header = Header::new(number, root, root, H256::repeat_byte(9), digest);
    let seal = key.sign(header.hash().as_bytes()).encode();
    header
        .digest_mut()
        .push(DigestItem::Seal(AURA_ENGINE_ID, seal));
    header
}

/// Two blocks of `key` in one slot.
fn contradicting(key: &sr25519::Pair, number: BlockNumber, slot: u64) -> Proof {
    EquivocationProof {
        offender: key.public().into(),
        slot: slot.into(),
        first_header: sealed(key, number, slot, 1),
        second_header: sealed(key, number, slot, 2),
    }
}

/// The proof that the runtime gives a node of the owner of `key`, in the present session.
fn ownership(key: &sr25519::Pair) -> MembershipProof {
    Runtime::generate_key_ownership_proof(key.public().into()).unwrap()
}

fn report_with(blocks: Proof, ownership: MembershipProof) -> DispatchResultWithPostInfo {
    let eve = RuntimeOrigin::signed(Sr25519Keyring::Eve.to_account_id());
    Authoring::report_equivocation(eve, Box::new(blocks), ownership)
}

/// Reports two blocks of the present session.
fn report(key: &sr25519::Pair, slot: u64) -> DispatchResultWithPostInfo {
    report_with(contradicting(key, next_block(), slot), ownership(key))
}

#[test]
fn an_author_of_two_blocks_in_a_slot_loses_a_hundredth_and_its_seat() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        let key = key(Sr25519Keyring::Bob);
        let seat = Session::validators().iter().position(|who| who == &bob());
        assert_ok!(report(&key, SLOT));
        assert_eq!(bond(Sr25519Keyring::Bob), BOND * 99 / 100);
        assert_eq!(bond(Sr25519Keyring::Charlie), BOND);
        assert!(!Agents::is_active(&bob()));
        assert!(Session::is_disabled(seat.unwrap() as u32));

        assert_err!(
            report(&key, SLOT).map_err(|failed| failed.error),
            Error::<Runtime>::AlreadyReported
        );
        // More slots of the same session cost no more.
        assert_ok!(report(&key, SLOT + 4));
        assert_eq!(bond(Sr25519Keyring::Bob), BOND * 99 / 100);

        next_session();
        next_session();
        assert!(!Session::validators().contains(&bob()));
    });
}

#[test]
fn contradicting_blocks_and_votes_of_a_session_count_together() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        // One offender, however it offends.
        assert_ok!(report_votes(&pair(Ed25519Keyring::Bob), 1));
        assert_ok!(report(&key(Sr25519Keyring::Bob), SLOT));
        assert_eq!(bond(Sr25519Keyring::Bob), BOND * 99 / 100);

        // Two of four.
        assert_ok!(report(&key(Sr25519Keyring::Charlie), SLOT + 1));
        assert_eq!(bond(Sr25519Keyring::Bob), 0);
        assert_eq!(bond(Sr25519Keyring::Charlie), 0);
        assert_eq!(bond(Sr25519Keyring::Alice), BOND);
        assert_eq!(Agents::do_try_state(), Ok(()));
    });
}

#[test]
fn new_session_keys_hide_no_blocks_of_the_old_ones() {
    let mut state = state_of(presets::LOCAL_TESTNET);
    state.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    state.execute_with(|| {
        next_session();
        let old = key(Sr25519Keyring::Bob);
        let new = SessionKeys::generate(&bob().encode(), None);
        let proof = new.proof.encode();
        assert_ok!(Session::set_keys(
            RuntimeOrigin::signed(bob()),
            new.keys.clone(),
            proof
        ));

        // The old key authors until this session and the next one end.
        assert_ok!(report(&old, SLOT));
        assert_eq!(bond(Sr25519Keyring::Bob), BOND * 99 / 100);
        next_session();
        let proof = ownership(&old);
        let blocks = contradicting(&old, next_block(), SLOT + 60);

        // Later, too, and only for the session in which it was his.
        next_session();
        assert_err!(
            report(&old, SLOT + 120).map_err(|failed| failed.error),
            Error::<Runtime>::NoAuthor
        );
        assert_ok!(report_with(blocks, proof));
        assert!(bond(Sr25519Keyring::Bob) < BOND * 99 / 100);
    });
}

#[test]
fn blocks_of_another_session_or_another_key_prove_nothing() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        next_session();
        let (bob, charlie) = (key(Sr25519Keyring::Bob), key(Sr25519Keyring::Charlie));
        // The present block was made by the authors of the session before.
        let early = contradicting(&bob, System::block_number(), SLOT);
        assert_err!(
            report_with(early, ownership(&bob)).map_err(|failed| failed.error),
            Error::<Runtime>::WrongSession
        );
        let blocks = contradicting(&bob, next_block(), SLOT);
        assert_err!(
            report_with(blocks, ownership(&charlie)).map_err(|failed| failed.error),
            Error::<Runtime>::NoAuthor
        );
        assert_err!(
            report(&key(Sr25519Keyring::Eve), SLOT).map_err(|failed| failed.error),
            Error::<Runtime>::NoAuthor
        );
        assert_eq!(bond(Sr25519Keyring::Bob), BOND);
    });
}

#[test]
fn the_authors_of_a_block_are_those_of_the_session_before_it() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        for number in 1..=3 * MINUTES + 1 {
            let before = Session::current_index();
            assert_eq!(SessionOfAuthors::convert(number), before, "block {number}");
            System::set_block_number(number);
            Session::on_initialize(number);
        }
        assert_eq!(Session::current_index(), 3);
    });
}

#[test]
fn a_node_puts_a_report_into_its_own_pool_without_a_fee() {
    let mut state = state_of(presets::LOCAL_TESTNET);
    let (pool, sent) = TestTransactionPoolExt::new();
    state.register_extension(TransactionPoolExt::new(pool));
    state.execute_with(|| {
        next_session();
        let key = key(Sr25519Keyring::Bob);
        let blocks = contradicting(&key, next_block(), SLOT);
        assert_eq!(
            Runtime::submit_report_equivocation(blocks, ownership(&key)),
            Some(())
        );
        let bytes = sent.write().transactions.pop().unwrap();
        let transaction = UncheckedExtrinsic::decode(&mut bytes.as_slice()).unwrap();
        let validate = |source| {
            let parent = System::block_hash(0);
            Executive::validate_transaction(source, transaction.clone(), parent)
        };
        assert!(validate(TransactionSource::Local).is_ok());
        assert_eq!(
            validate(TransactionSource::External),
            Err(InvalidTransaction::Call.into())
        );
    });
}

#[test]
fn a_report_of_blocks_fits_into_a_block() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        let key = key(Sr25519Keyring::Bob);
        let call = RuntimeCall::Authoring(pallet_authoring::Call::report_equivocation {
            proof: Box::new(contradicting(&key, next_block(), SLOT)),
            ownership: ownership(&key),
        });
        let weight = call
            .get_dispatch_info()
            .call_weight
            .saturating_add(call.weight_of_authorize());
        let quarter = RuntimeBlockWeights::get().max_block.ref_time() / 4;
        assert!(weight.ref_time() < quarter, "{weight:?}");
    });
}
