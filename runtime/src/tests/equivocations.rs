// SPDX-License-Identifier: Apache-2.0
//! Validators that sign contradicting votes on finality.

use codec::{Decode, Encode};
use frame_support::{
    assert_err, assert_ok,
    dispatch::{DispatchResultWithPostInfo, GetDispatchInfo},
    traits::{DisabledValidators, Hooks, KeyOwnerProofSystem},
};
use pallet_grandpa::Error;
use sp_consensus_grandpa::{
    runtime_decl_for_grandpa_api::GrandpaApiV3, AuthorityId, EquivocationProof, KEY_TYPE,
};
use sp_core::{ed25519, Pair, H256};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_keystore::{testing::MemoryKeystore, KeystoreExt};
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionSource};
use sp_session::MembershipProof;
use starling_primitives::traits::AgentRegistry;

use super::{presets, state_of};
use crate::{
    configs::{KeyOwnership, RuntimeBlockWeights},
    AccountId, Agents, Balance, Grandpa, Historical, Runtime, RuntimeCall, RuntimeOrigin, Session,
    SessionKeys, System, MINUTES, UNIT,
};

/// Bond of each of the four validators.
pub(super) const BOND: Balance = 1_000 * UNIT;

pub(super) fn bob() -> AccountId {
    Sr25519Keyring::Bob.to_account_id()
}

pub(super) fn pair(of: Ed25519Keyring) -> ed25519::Pair {
    of.pair()
}

/// Goes to the first block of the next session.
pub(super) fn next_session() {
    let now = (System::block_number() / MINUTES + 1) * MINUTES;
    System::set_block_number(now);
    Session::on_initialize(now);
    Grandpa::on_finalize(now);
}

/// Two prevotes of `key` in one round of GRANDPA's set `set`.
fn contradicting(key: &ed25519::Pair, set: u64, round: u64) -> EquivocationProof<H256, u32> {
    const PREVOTE: u8 = 0;
    let votes = [1, 2].map(|block| {
        let vote = (H256::repeat_byte(block), 7u32);
        let signature = key.sign(&(PREVOTE, vote, round, set).encode());
        (vote, signature)
    });
    let bytes = (set, PREVOTE, round, key.public(), votes).encode();
    EquivocationProof::decode(&mut bytes.as_slice()).unwrap()
}

/// The proof that the runtime gives a node of its owner of `key`, in the present session.
fn ownership(key: &ed25519::Pair) -> MembershipProof {
    let set = Grandpa::current_set_id();
    Runtime::generate_key_ownership_proof(set, AuthorityId::from(key.public()))
        .and_then(|proof| proof.decode())
        .unwrap()
}

fn owner(key: &ed25519::Pair, proof: MembershipProof) -> Option<AccountId> {
    KeyOwnership::check_proof((KEY_TYPE, AuthorityId::from(key.public())), proof)
        .map(|(owner, _)| owner)
}

fn report_with(
    votes: EquivocationProof<H256, u32>,
    ownership: MembershipProof,
) -> DispatchResultWithPostInfo {
    let eve = RuntimeOrigin::signed(Sr25519Keyring::Eve.to_account_id());
    Grandpa::report_equivocation(eve, Box::new(votes), ownership)
}

/// Reports votes of the present session.
pub(super) fn report(key: &ed25519::Pair, round: u64) -> DispatchResultWithPostInfo {
    let votes = contradicting(key, Grandpa::current_set_id(), round);
    report_with(votes, ownership(key))
}

pub(super) fn bond(of: Sr25519Keyring) -> Balance {
    Agents::bond(&of.to_account_id())
}

#[test]
fn a_lone_offender_loses_a_hundredth_and_its_seat() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        let seat = Session::validators().iter().position(|who| who == &bob());
        assert_ok!(report(&pair(Ed25519Keyring::Bob), 1));
        assert_eq!(bond(Sr25519Keyring::Bob), BOND * 99 / 100);
        assert_eq!(bond(Sr25519Keyring::Charlie), BOND);
        assert!(!Agents::is_active(&bob()));
        assert!(Session::is_disabled(seat.unwrap() as u32));

        // Each change of validators enables all of them, but not an offender that is still there.
        next_session();
        assert!(Session::is_disabled(seat.unwrap() as u32));
        // To come back at once does not help.
        assert_ok!(Agents::unchill(RuntimeOrigin::signed(bob())));
        for _ in 0..3 {
            next_session();
            assert_eq!(Session::validators().len(), 3);
            assert!(!Session::validators().contains(&bob()));
        }
    });
}

#[test]
fn a_session_costs_a_lone_offender_its_hundredth_once() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        let key = pair(Ed25519Keyring::Bob);
        assert_ok!(report(&key, 1));
        assert_err!(
            report(&key, 1).map_err(|failed| failed.error),
            Error::<Runtime>::DuplicateOffenceReport
        );
        assert_ok!(report(&key, 2));
        assert_eq!(bond(Sr25519Keyring::Bob), BOND * 99 / 100);
    });
}

#[test]
fn offenders_that_are_more_than_a_third_lose_everything_whatever_the_round() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        assert_ok!(report(&pair(Ed25519Keyring::Bob), 1));
        assert_ok!(report(&pair(Ed25519Keyring::Charlie), 2));
        assert_eq!(bond(Sr25519Keyring::Bob), 0);
        assert_eq!(bond(Sr25519Keyring::Charlie), 0);
        assert_eq!(bond(Sr25519Keyring::Alice), BOND);
        assert_eq!(Agents::do_try_state(), Ok(()));
    });
}

#[test]
fn a_bond_that_rounds_have_a_claim_on_is_taken_when_they_end() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        let claim = BOND * 999 / 1_000;
        assert_ok!(Agents::reserve(&bob(), claim));
        assert_ok!(report(&pair(Ed25519Keyring::Bob), 1));
        assert_eq!(bond(Sr25519Keyring::Bob), claim);
        next_session();
        assert_eq!(bond(Sr25519Keyring::Bob), claim);
        Agents::release(&bob(), claim);
        next_session();
        assert_eq!(bond(Sr25519Keyring::Bob), BOND * 99 / 100);
        next_session();
        assert_eq!(bond(Sr25519Keyring::Bob), BOND * 99 / 100);
    });
}

#[test]
fn new_session_keys_hide_no_offence_of_the_old_ones() {
    let mut state = state_of(presets::LOCAL_TESTNET);
    let keystore = MemoryKeystore::new();
    state.register_extension(KeystoreExt::new(keystore));
    state.execute_with(|| {
        next_session();
        let old = pair(Ed25519Keyring::Bob);
        let new = SessionKeys::generate(&bob().encode(), None);
        let proof = new.proof.encode();
        assert_ok!(Session::set_keys(
            RuntimeOrigin::signed(bob()),
            new.keys.clone(),
            proof
        ));

        // The old key votes until this session and the next one end.
        assert_eq!(owner(&old, ownership(&old)), Some(bob()));
        assert_ok!(report(&old, 1));
        assert_eq!(bond(Sr25519Keyring::Bob), BOND * 99 / 100);

        next_session();
        let proof = ownership(&old);
        let votes = contradicting(&old, Grandpa::current_set_id(), 1);
        assert_eq!(owner(&old, proof.clone()), Some(bob()));

        // Later, too, and only for the session in which it was his.
        next_session();
        assert_eq!(owner(&old, ownership(&old)), None);
        assert_ok!(report_with(votes, proof));
        assert!(bond(Sr25519Keyring::Bob) < BOND * 99 / 100);
    });
}

#[test]
fn votes_of_another_set_or_another_key_prove_nothing() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        next_session();
        let (bob, charlie) = (pair(Ed25519Keyring::Bob), pair(Ed25519Keyring::Charlie));
        let set = Grandpa::current_set_id();
        let early = contradicting(&bob, set - 1, 1);
        assert_err!(
            report_with(early, ownership(&bob)).map_err(|failed| failed.error),
            Error::<Runtime>::InvalidEquivocationProof
        );
        assert_err!(
            report_with(contradicting(&bob, set, 1), ownership(&charlie))
                .map_err(|failed| failed.error),
            Error::<Runtime>::InvalidKeyOwnershipProof
        );
        let stranger = pair(Ed25519Keyring::Eve);
        assert_err!(
            report(&stranger, 1).map_err(|failed| failed.error),
            Error::<Runtime>::InvalidKeyOwnershipProof
        );
        assert_eq!(bond(Sr25519Keyring::Bob), BOND);
    });
}

#[test]
fn a_node_reports_for_itself_alone_and_an_offence_once() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        let key = pair(Ed25519Keyring::Bob);
        let call = pallet_grandpa::Call::report_equivocation_unsigned {
            equivocation_proof: Box::new(contradicting(&key, Grandpa::current_set_id(), 1)),
            key_owner_proof: ownership(&key),
        };
        let validate = |source| Grandpa::validate_unsigned(source, &call);
        assert!(validate(TransactionSource::Local).is_ok());
        assert_eq!(
            validate(TransactionSource::External),
            Err(InvalidTransaction::Call.into())
        );
        assert_ok!(report(&key, 1));
        assert_eq!(
            validate(TransactionSource::Local),
            Err(InvalidTransaction::Stale.into())
        );
    });
}

#[test]
fn a_report_fits_into_a_block_whatever_its_sender_says() {
    let key = pair(Ed25519Keyring::Bob);
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        next_session();
        let mut key_owner_proof = ownership(&key);
        key_owner_proof.validator_count = u32::MAX;
        let call = RuntimeCall::Grandpa(pallet_grandpa::Call::report_equivocation {
            equivocation_proof: Box::new(contradicting(&key, Grandpa::current_set_id(), 1)),
            key_owner_proof,
        });
        let weight = call.get_dispatch_info().call_weight;
        let quarter = RuntimeBlockWeights::get().max_block.ref_time() / 4;
        assert!(weight.ref_time() < quarter, "{weight:?}");
    });
}

#[test]
fn the_history_is_kept_as_long_as_a_bond_can_be_slashed() {
    state_of(presets::LOCAL_TESTNET).execute_with(|| {
        // The presets' bonds unbond in ten sessions.
        for _ in 0..14 {
            next_session();
        }
        assert_eq!(Session::current_index(), 14);
        let known = |session| Historical::historical_root(session).is_some();
        assert!(known(4) && known(15));
        assert!(!known(2));
        // Session 4 has set 3, whose first session is the one after the last of set 2.
        assert!(pallet_grandpa::SetIdSession::<Runtime>::get(2).is_some());
        assert!(pallet_grandpa::SetIdSession::<Runtime>::get(1).is_none());
    });
}
