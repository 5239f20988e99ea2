// SPDX-License-Identifier: Apache-2.0

use frame_support::{assert_noop, assert_ok, weights::Weight};
use starling_primitives::sealing;

use crate::{mock::*, *};

fn request(
    prompt: &[u8],
    fee: u128,
    tokens: u32,
    min: u32,
    max: u32,
) -> sp_runtime::DispatchResult {
    Rounds_::request(
        RuntimeOrigin::signed(REQUESTER),
        prompt.to_vec(),
        fee,
        tokens,
        min,
        max,
    )
}

#[test]
fn a_request_opens_a_round_and_holds_fee_and_deposit() {
    run(|| {
        let before = wealth(REQUESTER);
        let issued = Balances::total_issuance();
        assert_ok!(request(b"why?", FEE, 16, 4, 8));
        let it = round(0);
        let request_fee = request_fee(8);
        assert!(request_fee > 0);
        assert_eq!(it.phase, Phase::Committing);
        assert_eq!(it.requester, REQUESTER);
        assert_eq!(it.deadline, it.requested_at + CommitWindow::get());
        assert_eq!(it.terms.active, 8);
        assert_eq!(it.terms.ticket, 10_050, "1 % of the fee and the subsidy");
        assert_eq!(it.terms.slash, 100_000, "10 % of the fee");
        assert_eq!(it.terms.deposit, 5_000 + 8 * 700);
        assert_eq!(
            wealth(REQUESTER),
            before - request_fee,
            "the request fee is gone"
        );
        assert_eq!(
            Balances::total_issuance(),
            issued - request_fee,
            "and burnt"
        );
        assert_eq!(on_hold(REQUESTER), FEE + it.terms.deposit);
        assert_eq!(Prompts::<Test>::get(0).unwrap().into_inner(), b"why?");
        let expected = Event::Requested {
            round: 0,
            requester: REQUESTER,
            fee: FEE,
            request_fee,
        };
        assert_eq!(events(), vec![expected]);
    });
}

#[test]
fn a_low_fee_is_slashed_with_the_minimum() {
    run(|| {
        let id = ask_with(MinFee::get(), 4, 8).unwrap();
        assert_eq!(round(id).terms.slash, MinSlash::get());
    });
}

#[test]
fn the_request_fee_pays_for_the_messages_of_every_agent() {
    run(|| {
        let (response, rankings) = (MaxResponse::get(), MaxRankings::get());
        let sealed = response + sealing::OVERHEAD;
        let price = |weights: [Weight; 2], length: u32| -> u128 {
            let weights = weights.map(|weight| u128::from(weight.ref_time()));
            weights.into_iter().sum::<u128>() + u128::from(length)
        };
        let commit = price(
            [
                <() as WeightInfo>::authorize_commit(sealed),
                <() as WeightInfo>::commit(sealed),
            ],
            256 + sealed,
        );
        let set = commit
            + price(
                [
                    <() as WeightInfo>::authorize_reveal(),
                    <() as WeightInfo>::reveal(response),
                ],
                256,
            )
            + price(
                [
                    <() as WeightInfo>::authorize_commit_scores(),
                    <() as WeightInfo>::commit_scores(),
                ],
                256,
            )
            + price(
                [
                    <() as WeightInfo>::authorize_disclose(rankings),
                    <() as WeightInfo>::disclose(rankings),
                ],
                256 + 4 * rankings,
            );
        let pass = price(
            [
                <() as WeightInfo>::authorize_pass(),
                <() as WeightInfo>::pass(),
            ],
            256,
        );
        for (places, active, passes, displaced) in [
            (8, 3, 0, 0),
            (8, 8, 0, 0),
            (8, 9, 1, 8),
            (4, 1_000, 996, 4 * 8),
            (500, 1_000, 500, 500),
        ] {
            let fee = set * places + pass * passes + commit * displaced;
            let paid = Rounds_::request_fee(places.try_into().unwrap(), active);
            assert_eq!(paid, fee, "{places} places for {active} agents");
        }
    });
}

#[test]
fn no_message_is_longer_than_what_is_paid_for() {
    run(|| {
        let id = ask();
        to_ranking(id, 8);
        let scores = scores_by(id, 1, quality);
        let seed = round(id).seed.unwrap();
        let text = seal(id, 1, &answer(1));
        let (sealed, ranked) = (text.len(), 4 * scores.len());
        for (call, rest) in [
            (commit_call(id, 1, text, &secret(id, 1)), sealed),
            (reveal_call(id, 1, secret(id, 1)), 0),
            (pass_call(id, 1), 0),
            (commit_scores_call(id, 1, seed, &scores), 0),
            (disclose_call(id, 1, &scores), ranked),
        ] {
            // The extensions of a message take less than this.
            let length = codec::Encode::encoded_size(&call) + 64;
            assert!(length <= 256 + rest, "{call:?}: {length}");
        }
    });
}

#[test]
fn a_request_cannot_be_cancelled() {
    use frame_support::traits::GetCallName;
    let calls = [
        "request",
        "commit",
        "pass",
        "reveal",
        "commit_scores",
        "disclose",
        "report",
        "silence",
    ];
    assert_eq!(Call::<Test>::get_call_names(), calls);
}

#[test]
fn ids_are_never_reused() {
    run(|| {
        assert_eq!((ask(), ask(), ask()), (0, 1, 2));
    });
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    run(|| {
        let long = vec![b'a'; MaxPrompt::get() as usize + 1];
        assert_noop!(request(b"", FEE, 16, 4, 8), Error::<Test>::InvalidPrompt);
        assert_noop!(
            request(&[0xff], FEE, 16, 4, 8),
            Error::<Test>::InvalidPrompt
        );
        assert_noop!(request(&long, FEE, 16, 4, 8), Error::<Test>::PromptTooLong);
        assert_noop!(
            request(b"a", MinFee::get() - 1, 16, 4, 8),
            Error::<Test>::FeeTooLow
        );
        assert_noop!(request(b"a", FEE, 0, 4, 8), Error::<Test>::InvalidMaxTokens);
        assert_noop!(
            request(b"a", FEE, 257, 4, 8),
            Error::<Test>::InvalidMaxTokens
        );
        assert_noop!(
            request(b"a", FEE, 16, 3, 8),
            Error::<Test>::InvalidMinResponses
        );
        assert_noop!(
            request(b"a", FEE, 16, 6, 5),
            Error::<Test>::InvalidMinResponses
        );
        assert_noop!(
            request(b"a", FEE, 16, 4, 9),
            Error::<Test>::TooManyResponses
        );
        assert_ok!(request(&long[1..], MinFee::get(), 256, 4, 8));
    });
}

#[test]
fn an_account_that_cannot_pay_cannot_ask() {
    run(|| {
        let poor = 4242;
        let origin = RuntimeOrigin::signed(poor);
        assert!(Rounds_::request(origin, b"why?".to_vec(), FEE, 16, 4, 8).is_err());
        let origin = RuntimeOrigin::signed(REQUESTER);
        let all = wealth(REQUESTER);
        let before = (NextRound::<Test>::get(), Agenda::<Test>::get());
        let result = frame_support::storage::with_storage_layer(|| {
            Rounds_::request(origin, b"why?".to_vec(), all, 16, 4, 8)
        });
        assert!(result.is_err());
        assert_eq!((NextRound::<Test>::get(), Agenda::<Test>::get()), before);
    });
}

#[test]
fn too_many_open_rounds_are_refused() {
    run(|| {
        for _ in 0..MaxOpenRounds::get() {
            ask();
        }
        assert_noop!(
            request(b"why?", FEE, 16, 4, 8),
            Error::<Test>::TooManyRounds
        );
    });
}

#[test]
fn too_many_stored_rounds_are_refused() {
    run(|| {
        MaxStoredRounds::set(3);
        (0..3).for_each(|_| {
            ask();
        });
        assert_noop!(
            request(b"why?", FEE, 16, 4, 8),
            Error::<Test>::TooManyRounds
        );
    });
}

#[test]
fn more_responses_than_there_are_active_agents_are_refused() {
    run(|| {
        assert_ok!(Agents::chill(RuntimeOrigin::signed(8)));
        assert_noop!(request(b"why?", FEE, 16, 8, 8), Error::<Test>::TooFewAgents);
        assert_ok!(request(b"why?", FEE, 16, 7, 8));
        // An agent does not answer itself.
        let of_an_agent = |min| {
            let origin = RuntimeOrigin::signed(1);
            Rounds_::request(origin, b"why?".to_vec(), FEE, 16, min, 8)
        };
        assert_noop!(of_an_agent(7), Error::<Test>::TooFewAgents);
        assert_ok!(of_an_agent(6));
        AGENTS
            .take(7)
            .for_each(|who| Agents::chill(RuntimeOrigin::signed(who)).unwrap());
        assert_noop!(request(b"why?", FEE, 16, 4, 8), Error::<Test>::TooFewAgents);
    });
}

#[test]
fn a_high_fee_reserves_no_more_than_the_maximum_slash() {
    run(|| {
        MaxSlash::set(BOND / 10);
        AGENTS.for_each(|who| Tickets::buy(RuntimeOrigin::signed(who), 100_000).unwrap());
        let id = ask_with(9_500_000, 4, 8).unwrap();
        assert_eq!(round(id).terms.slash, BOND / 10);
        let other = ask();
        next_block();
        for who in AGENTS {
            commit(id, who);
            // With a tenth of its fee reserved, an agent had no bond left for another round.
            commit(other, who);
        }
    });
}
