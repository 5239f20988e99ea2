// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok};
use sp_runtime::transaction_validity::{InvalidTransaction, UnknownTransaction};

use crate::{mock::*, *};

#[test]
fn a_key_opens_the_response_and_deletes_the_ciphertext() {
    run(|| {
        let id = ask();
        to_revealing(id, 5);
        reveal(id, 1);
        assert_eq!(
            Responses::<Test>::get(id, 1).unwrap().into_inner(),
            answer(1).into_bytes()
        );
        assert!(!Sealed::<Test>::contains_key(id, 1));
        assert_eq!(round(id).counts.valid, 1);
        assert_eq!(
            events(),
            vec![Event::Revealed {
                round: id,
                agent: 1,
                valid: true
            }]
        );
    });
}

#[test]
fn a_key_that_opens_nothing_valid_counts_as_arrived() {
    run(|| {
        let id = ask();
        next_block();
        commit_garbage(id, 1);
        // Empty, and not text.
        for (who, text) in [(2, &b""[..]), (3, &[0xff, 0xfe][..])] {
            let sealed = seal_bytes(id, who, text);
            assert_ok!(send(commit_call(id, who, sealed, &secret(id, who))));
        }
        (4..=8).for_each(|who| commit(id, who));
        next_block();
        (1..=8).for_each(|who| reveal(id, who));
        for who in 1..=3 {
            assert_eq!(response_of(id, who), Response::Spoiled);
            assert!(!Responses::<Test>::contains_key(id, who));
        }
        assert_eq!(
            (round(id).counts.valid, round(id).counts.spoiled_responses),
            (5, 3)
        );
        next_block();
        assert_eq!(phase(id), Phase::Ranking, "all keys have arrived");
        assert_eq!(round(id).counts.valid, 5);
    });
}

#[test]
fn a_response_without_padding_opens_too_and_the_length_of_others_is_hidden() {
    run(|| {
        let id = ask();
        next_block();
        let plain = seal_bytes(id, 1, b"old");
        assert_ok!(send(commit_call(id, 1, plain, &secret(id, 1))));
        for (who, text) in [(2, "yes"), (3, "no")] {
            let sealed = seal(id, who, text);
            assert_ok!(send(commit_call(id, who, sealed, &secret(id, who))));
        }
        (4..=8).for_each(|who| commit(id, who));
        let length = |who: u64| Sealed::<Test>::get(id, who).unwrap().len();
        assert!((3..=8).all(|who| length(who) == length(2)));
        next_block();
        (1..=8).for_each(|who| reveal(id, who));
        let text = |who: u64| Responses::<Test>::get(id, who).unwrap().into_inner();
        assert_eq!([1, 2, 3].map(text), [&b"old"[..], b"yes", b"no"]);
    });
}

fn seal_bytes(id: u64, who: u64, bytes: &[u8]) -> Vec<u8> {
    use chacha20poly1305::{
        aead::{Aead, Payload},
        KeyInit, XChaCha20Poly1305,
    };
    let place = slot(id, &who);
    XChaCha20Poly1305::new(&secret(id, who).into())
        .encrypt(
            &place.nonce().into(),
            Payload {
                msg: bytes,
                aad: &place.associated_data(),
            },
        )
        .unwrap()
}

#[test]
fn a_wrong_key_is_refused() {
    run(|| {
        let id = ask();
        to_revealing(id, 5);
        for key in [secret(id, 2), secret(id + 1, 1), [0; 32]] {
            let call = reveal_call(id, 1, key);
            assert_refused(call, custom(Error::KeyMismatch), Error::KeyMismatch);
        }
    });
}

#[test]
fn one_reveal_a_participant() {
    run(|| {
        let id = ask();
        to_revealing(id, 5);
        reveal(id, 1);
        let again = reveal_call(id, 1, secret(id, 1));
        assert_refused(again, InvalidTransaction::Stale, Error::AlreadySent);
        let other = reveal_call(id, 6, secret(id, 6));
        assert_refused(other, custom(Error::NotParticipant), Error::NotParticipant);
    });
}

#[test]
fn a_reveal_belongs_into_its_phase() {
    run(|| {
        let id = ask();
        next_block();
        commit(id, 1);
        let call = reveal_call(id, 1, secret(id, 1));
        assert_refused(call, UnknownTransaction::CannotLookup, Error::TooEarly);
        (2..=8).for_each(|who| commit(id, who));
        next_block();
        (1..=8).for_each(|who| reveal(id, who));
        next_block();
        let call = reveal_call(id, 1, secret(id, 1));
        assert_refused(call, InvalidTransaction::Stale, Error::TooLate);
        let call = reveal_call(9, 1, secret(9, 1));
        assert_refused(call, UnknownTransaction::CannotLookup, Error::UnknownRound);
    });
}

#[test]
fn who_has_chilled_or_rotated_meanwhile_still_reveals() {
    use sp_core::Pair;
    use starling_primitives::messages::ownership_payload;
    run(|| {
        let id = ask();
        to_revealing(id, 5);
        assert_ok!(Agents::chill(RuntimeOrigin::signed(1)));
        let next = pair(77);
        let proof = next.sign(&ownership_payload(genesis_hash(), &1u64));
        assert_ok!(Agents::rotate_key(
            RuntimeOrigin::signed(1),
            next.public(),
            proof
        ));
        reveal(id, 1);
        assert_noop!(
            Agents::deregister(RuntimeOrigin::signed(1)),
            pallet_agents::Error::<Test>::OpenReservations
        );
        // It can also send later messages that it owes, whatever happened to its bond.
        assert_ok!(Agents::slash(RuntimeOrigin::root(), 1, 10 * BOND));
        (2..=5).for_each(|who| reveal(id, who));
        next_block();
        let all = all_scores(id, 1..=5, honest);
        commit_all(id, &all);
        next_block();
        disclose_all(id, &all);
        next_block();
        assert_eq!((phase(id), round(id).winner), (Phase::Done, Some(1)));
        assert_ok!(Agents::deregister(RuntimeOrigin::signed(1)));
    });
}
