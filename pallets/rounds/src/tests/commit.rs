// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_ok, traits::Get};
use sp_runtime::transaction_validity::{InvalidTransaction, UnknownTransaction};
use starling_primitives::sealing;

use crate::{mock::*, *};

fn sealed(id: u64, who: u64) -> Vec<u8> {
    seal(id, who, &answer(who))
}

fn call(id: u64, who: u64) -> Call<Test> {
    commit_call(id, who, sealed(id, who), &secret(id, who))
}

#[test]
fn a_commit_stakes_a_ticket_and_reserves_the_slash() {
    run(|| {
        let id = ask();
        next_block();
        let staked = pallet_tickets::Accounts::<Test>::get(1).staked;
        assert_ok!(send(call(id, 1)));
        let terms = round(id).terms;
        assert_eq!(
            pallet_tickets::Accounts::<Test>::get(1).staked,
            staked + terms.ticket
        );
        let agent = pallet_agents::Agents::<Test>::get(1).unwrap();
        assert_eq!((agent.open, agent.reserved), (1, terms.slash));
        assert_eq!(
            Sealed::<Test>::get(id, 1).unwrap().into_inner(),
            sealed(id, 1)
        );
        assert_eq!(round(id).counts.commits, 1);
        assert_eq!(round(id).counts.heard, 1);
        assert_eq!(
            events(),
            vec![Event::Committed {
                round: id,
                agent: 1
            }]
        );
    });
}

#[test]
fn no_commit_in_the_block_of_the_request() {
    run(|| {
        let id = ask();
        assert_refused(
            call(id, 1),
            UnknownTransaction::CannotLookup,
            Error::TooEarly,
        );
    });
}

#[test]
fn a_round_that_does_not_exist_yet_is_unknown() {
    run(|| {
        assert_refused(
            call(7, 1),
            UnknownTransaction::CannotLookup,
            Error::UnknownRound,
        );
    });
}

#[test]
fn after_the_phase_a_commit_is_too_late() {
    run(|| {
        let id = ask();
        to_revealing(id, 5);
        assert_refused(call(id, 6), InvalidTransaction::Stale, Error::TooLate);
    });
}

#[test]
fn one_commit_an_agent() {
    run(|| {
        let id = ask();
        next_block();
        commit(id, 1);
        assert_refused(call(id, 1), InvalidTransaction::Stale, Error::AlreadySent);
        send(pass_call(id, 2)).unwrap();
        assert_refused(call(id, 2), InvalidTransaction::Stale, Error::AlreadySent);
    });
}

#[test]
fn the_length_of_a_sealed_response_is_bounded() {
    run(|| {
        let id = ask();
        next_block();
        let most = MaxSealed::<Test>::get() as usize;
        let of = |len| commit_call(id, 1, vec![1; len], &[2; 32]);
        assert_refused(
            of(most + 1),
            custom(Error::ResponseTooLong),
            Error::ResponseTooLong,
        );
        assert_refused(of(0), custom(Error::ResponseEmpty), Error::ResponseEmpty);
        assert_ok!(send(of(most)));
    });
}

#[test]
fn a_response_of_more_tokens_than_asked_for_is_refused() {
    run(|| {
        MaxResponse::set(1_000);
        let origin = RuntimeOrigin::signed(REQUESTER);
        assert_ok!(Rounds_::request(origin, b"why?".to_vec(), FEE, 16, 4, 8));
        next_block();
        let of = |who, len: usize| commit_call(0, who, vec![1; len], &[2; 32]);
        let most = (16 * 8 + sealing::OVERHEAD) as usize;
        assert_refused(
            of(1, most + 1),
            custom(Error::MoreThanMaxTokens),
            Error::MoreThanMaxTokens,
        );
        assert_ok!(send(of(1, most)));
        let text = "a".repeat(16 * 8);
        let key = secret(0, 2);
        let sealed = slot(0, &2).seal(&key, &text, 16 * 8, sealing::Format::Padded);
        assert_ok!(send(commit_call(0, 2, sealed.unwrap(), &key)));
    });
}

#[test]
fn an_account_that_is_no_agent_cannot_commit() {
    run(|| {
        let id = ask();
        next_block();
        assert_refused(call(id, 9), custom(Error::NotAgent), Error::NotAgent);
    });
}

#[test]
fn a_chilled_agent_cannot_commit() {
    run(|| {
        let id = ask();
        next_block();
        assert_ok!(Agents::chill(RuntimeOrigin::signed(1)));
        assert_refused(call(id, 1), custom(Error::NotActive), Error::NotActive);
    });
}

#[test]
fn a_bond_that_is_not_free_cannot_be_reserved_again() {
    run(|| {
        register(9, 100_000).unwrap();
        let first = ask();
        let second = ask();
        next_block();
        assert_ok!(send(call(first, 9)));
        assert_refused(
            call(second, 9),
            custom(Error::BondNotFree),
            Error::BondNotFree,
        );
    });
}

#[test]
fn without_a_ticket_no_commit() {
    run(|| {
        let id = ask();
        next_block();
        let free = pallet_tickets::Accounts::<Test>::get(1).free;
        let rest = round(id).terms.ticket - 1;
        assert_ok!(Tickets::refund(RuntimeOrigin::signed(1), free - rest));
        assert_refused(call(id, 1), custom(Error::NoTicket), Error::NoTicket);
    });
}

#[test]
fn nobody_answers_itself() {
    run(|| {
        let origin = RuntimeOrigin::signed(1);
        assert_ok!(Rounds_::request(origin, b"why?".to_vec(), FEE, 16, 4, 8));
        next_block();
        assert_refused(call(0, 1), custom(Error::OwnRequest), Error::OwnRequest);
    });
}

#[test]
fn a_copied_ciphertext_opens_nothing() {
    run(|| {
        let id = ask();
        next_block();
        (1..=4).for_each(|who| commit(id, who));
        // Agent 5 copies ciphertext and key commitment of agent 1, with a proof of its own.
        let copied = sealed(id, 1);
        let key_commitment = slot(id, &1).key_commitment(&secret(id, 1));
        let message = starling_primitives::messages::Message::Commit {
            sealed: &copied,
            key_commitment,
        };
        let proof = sign(id, 5, &message);
        let copy = Call::commit {
            round: id,
            agent: 5,
            sealed: copied,
            key_commitment,
            proof,
        };
        assert_ok!(send(copy));
        (6..=8).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        next_block();
        reveal(id, 1);
        // Not even with the key that has become public.
        let call = reveal_call(id, 5, secret(id, 1));
        assert_refused(call, custom(Error::KeyMismatch), Error::KeyMismatch);
    });
}

#[test]
fn a_commit_of_another_round_is_worthless() {
    run(|| {
        let (first, second) = (ask(), ask());
        next_block();
        let Call::commit {
            sealed,
            key_commitment,
            proof,
            ..
        } = call(first, 1)
        else {
            unreachable!()
        };
        let copy = Call::commit {
            round: second,
            agent: 1,
            sealed,
            key_commitment,
            proof,
        };
        assert_eq!(validate(copy), Err(InvalidTransaction::BadProof.into()));
    });
}
