// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

use std::collections::BTreeMap;

use starling_primitives::{Balance, Score};

/// All funds before the round, and the changes by the round.
struct Ledger {
    wealth: BTreeMap<AccountId, Balance>,
    treasury: Balance,
    issued: Balance,
}

impl Ledger {
    /// Opens the ledger before the request.
    fn open() -> Self {
        Self {
            wealth: AGENTS
                .chain([REQUESTER])
                .map(|who| (who, wealth(who)))
                .collect(),
            treasury: treasury(),
            issued: Balances::total_issuance(),
        }
    }

    #[track_caller]
    fn gained(&self, who: AccountId, amount: i128) {
        let gained = wealth(who) as i128 - self.wealth[&who] as i128;
        assert_eq!(gained, amount, "the gain of {who}");
    }

    #[track_caller]
    fn requester_paid(&self, amount: Balance) {
        self.gained(REQUESTER, -((amount + request_fee(8)) as i128));
    }

    #[track_caller]
    fn treasury_gained(&self, amount: Balance) {
        assert_eq!(
            treasury() - self.treasury,
            amount,
            "the gain of the treasury"
        );
    }

    #[track_caller]
    fn minted(&self, amount: Balance) {
        let burnt = request_fee(8);
        assert_eq!(
            Balances::total_issuance(),
            self.issued + amount - burnt,
            "the issuance"
        );
    }
}

const TICKET: Balance = 10_050;
const LOSER: Balance = 1_005;
const SLASH: Balance = 100_000;
const SUBSIDY: Balance = 5_000;

#[test]
fn a_winner_is_paid_and_everybody_delivered() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        play(id, 5, honest);
        assert_eq!(phase(id), Phase::Done);
        assert_eq!(round(id).winner, Some(1), "the best response");
        // Four losers leave 4020, of which a fifth is in the pot.
        let pot = FEE + SUBSIDY + 804;
        let (winner, rankers) = (pot * 7 / 10, pot * 2 / 10);
        let each = rankers / 5;
        assert_eq!(each * 5, rankers, "everybody agrees, and gets the same");
        ledger.gained(1, (winner + each) as i128);
        (2..=5).for_each(|who| ledger.gained(who, each as i128 - LOSER as i128));
        (6..=8).for_each(|who| ledger.gained(who, 0));
        ledger.requester_paid(FEE);
        ledger.treasury_gained(pot - winner - rankers + 4 * LOSER - 804);
        ledger.minted(SUBSIDY);
        let expected = Settlement {
            refunded: 0,
            forfeited: 4 * LOSER,
            slashed: 0,
            subsidy: SUBSIDY,
            winner,
            rankers,
            treasury: pot - winner - rankers + 4 * LOSER - 804,
            burnt: 0,
        };
        assert_eq!(settlement(id), expected);
        assert_eq!(on_hold(REQUESTER), round(id).terms.deposit);
    });
}

#[test]
fn who_does_not_reveal_or_spoils_loses_ticket_and_slash() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        next_block();
        (1..=5).for_each(|who| commit(id, who));
        commit_garbage(id, 6);
        commit(id, 7);
        send(pass_call(id, 8)).unwrap();
        next_block();
        (1..=6).for_each(|who| reveal(id, who));
        blocks(RevealWindow::get());
        let all = all_scores(id, 1..=5, honest);
        commit_all(id, &all);
        next_block();
        disclose_all(id, &all);
        next_block();
        assert_eq!(phase(id), Phase::Done);
        for who in [6, 7] {
            ledger.gained(who, -((TICKET + SLASH) as i128));
            assert_eq!(bond(who), BOND - SLASH);
        }
        let forfeits = 4 * LOSER + 2 * TICKET;
        let pot = FEE + SUBSIDY + forfeits / 5;
        let (winner, rankers) = (pot * 7 / 10, pot * 2 / 10);
        let each = rankers / 5;
        ledger.gained(1, (winner + each) as i128);
        (2..=5).for_each(|who| ledger.gained(who, each as i128 - LOSER as i128));
        ledger.requester_paid(FEE);
        let rest = FEE + SUBSIDY + forfeits - winner - each * 5;
        ledger.treasury_gained(rest + 2 * SLASH);
        ledger.minted(SUBSIDY);
        assert_eq!(settlement(id).slashed, 2 * SLASH);
    });
}

#[test]
fn a_missing_or_spoiled_disclosure_is_slashed_and_the_response_keeps_its_earnings() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        to_ranking(id, 8);
        // 1, who will win, spoils; 2 commits nothing; 3 commits and does not disclose.
        let mut all = all_scores(id, 1..=8, honest);
        all.get_mut(&1).unwrap().pop();
        for who in [1, 3, 4, 5, 6, 7, 8] {
            commit_scores(id, who, &all[&who]);
        }
        blocks(RankWindow::get());
        for who in [1, 4, 5, 6, 7, 8] {
            disclose(id, who, &all[&who]);
        }
        blocks(DiscloseWindow::get());
        assert_eq!(phase(id), Phase::Done);
        let winner = round(id).winner.unwrap();
        for who in 1..=3 {
            assert_eq!(bond(who), BOND - SLASH, "{who} is slashed");
            let earned = if who == winner {
                settlement_winner(id) as i128
            } else {
                -(LOSER as i128)
            };
            ledger.gained(who, earned - SLASH as i128);
        }
        (4..=8).for_each(|who| assert_eq!(bond(who), BOND, "{who} is not"));
        // The gains of 4 to 8, besides the losers' part of their tickets, are the rankers'
        // payments.
        let paid = settlement(id);
        let gained = (4..=8).map(|who| {
            let response = if who == winner {
                settlement_winner(id) as i128
            } else {
                -(LOSER as i128)
            };
            let ranked = wealth(who) as i128 - ledger.wealth[&who] as i128 - response;
            assert!(ranked >= 0, "{who} delivered");
            ranked as Balance
        });
        assert_eq!(gained.sum::<Balance>(), paid.rankers);
        assert!(paid.rankers > 0);
        ledger.requester_paid(FEE);
        let rest = FEE + SUBSIDY + 7 * LOSER - settlement_winner(id) - paid.rankers;
        ledger.treasury_gained(rest + 3 * SLASH);
        ledger.minted(SUBSIDY);
        assert_eq!((paid.slashed, paid.forfeited), (3 * SLASH, 7 * LOSER));
    });
}

/// The winner's part of a pot with eight participants, one of which wins while all are valid.
fn settlement_winner(_: u64) -> Balance {
    (FEE + SUBSIDY + 7 * LOSER / 5) * 7 / 10
}

#[test]
fn with_too_few_commits_a_tenth_of_the_fee_goes_to_those_who_committed() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        next_block();
        (1..=3).for_each(|who| commit(id, who));
        (4..=8).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        next_block();
        assert_eq!(phase(id), Phase::Failed(Failure::TooFewCommits));
        let kept = FEE / 10;
        let each = kept / 3;
        AGENTS.for_each(|who| {
            ledger.gained(who, if who <= 3 { each as i128 } else { 0 });
            assert_eq!(pallet_tickets::Accounts::<Test>::get(who).staked, 0);
        });
        ledger.requester_paid(kept);
        ledger.treasury_gained(kept - 3 * each);
        ledger.minted(0);
        assert_eq!(
            settlement(id),
            Settlement {
                refunded: FEE - kept,
                rankers: 3 * each,
                treasury: kept - 3 * each,
                ..Default::default()
            }
        );
        assert_eq!(Responses::<Test>::iter().count(), 0, "nothing was public");
    });
}

#[test]
fn without_any_commit_the_treasury_gets_that_part() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        next_block();
        AGENTS.for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        next_block();
        assert_eq!(settlement(id).refunded, FEE - FEE / 10);
        ledger.requester_paid(FEE / 10);
        ledger.treasury_gained(FEE / 10);
        ledger.minted(0);
    });
}

/// The part of the fee that agents get for their work in a round without a ranking.
const WORK: Balance = FEE / 5;

#[test]
fn with_too_few_valid_reveals_to_rank_the_requester_gets_no_more_than_was_lost() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        next_block();
        (1..=4).for_each(|who| commit(id, who));
        commit_garbage(id, 5);
        (6..=8).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        next_block();
        [1, 2, 3, 5].into_iter().for_each(|who| reveal(id, who));
        blocks(RevealWindow::get());
        assert_eq!(phase(id), Phase::Failed(Failure::TooFewReveals));
        let lost = 2 * (TICKET + SLASH);
        let each = (WORK + lost) / 3;
        (1..=3).for_each(|who| ledger.gained(who, each as i128));
        [4, 5]
            .into_iter()
            .for_each(|who| ledger.gained(who, -((TICKET + SLASH) as i128)));
        ledger.requester_paid(FEE - lost);
        ledger.treasury_gained(FEE - lost - WORK + (WORK + lost - 3 * each));
        ledger.minted(0);
    });
}

/// The requester owns the agent that keeps its key, asks for all agents' responses, and reads the
/// others'.
#[test]
fn a_withheld_key_does_not_make_an_answer_cheaper() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask_with(FEE, 8, 8).unwrap();
        next_block();
        AGENTS.for_each(|who| commit(id, who));
        next_block();
        (1..=7).for_each(|who| reveal(id, who));
        blocks(RevealWindow::get());
        assert_eq!(phase(id), Phase::Ranking, "it goes on without the eighth");
        let all = all_scores(id, 1..=7, honest);
        commit_all(id, &all);
        next_block();
        disclose_all(id, &all);
        next_block();
        assert_eq!((phase(id), round(id).winner), (Phase::Done, Some(1)));
        ledger.requester_paid(FEE);
        ledger.gained(8, -((TICKET + SLASH) as i128));
        assert_eq!(settlement(id).refunded, 0);
    });
}

#[test]
fn withholding_costs_at_least_what_it_brings_back_at_every_fee() {
    run(|| {
        for fee in [MinFee::get(), FEE, 40 * FEE] {
            let lost = Rounds_::slash_of(fee) + Rounds_::ticket_price(fee);
            for withheld in 0..=8 {
                let refund = Rounds_::refund_if_withheld(fee, withheld * lost);
                assert!(
                    refund <= withheld * lost && refund <= fee / 2,
                    "{fee}, {withheld}"
                );
            }
        }
    });
}

#[test]
fn as_many_commits_and_reveals_as_were_asked_for_are_enough() {
    run(|| {
        let id = ask();
        assert_eq!(round(id).terms.min_responses, 4);
        play(id, 4, honest);
        assert_eq!((phase(id), round(id).winner), (Phase::Done, Some(1)));
    });
}

#[test]
fn when_nobody_commits_scores_the_round_fails_at_once() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        to_ranking(id, 5);
        blocks(RankWindow::get());
        assert_eq!(phase(id), Phase::Failed(Failure::NoRankings));
        (1..=5).for_each(|who| ledger.gained(who, -(SLASH as i128)));
        ledger.requester_paid(FEE / 2);
        ledger.treasury_gained(FEE / 2 + 5 * SLASH);
        ledger.minted(0);
    });
}

#[test]
fn when_nobody_discloses_the_round_fails() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        to_disclosing(id, 5, honest);
        blocks(DiscloseWindow::get());
        assert_eq!(phase(id), Phase::Failed(Failure::NoRankings));
        (1..=5).for_each(|who| ledger.gained(who, -(SLASH as i128)));
        ledger.requester_paid(FEE / 2);
        ledger.treasury_gained(FEE / 2 + 5 * SLASH);
        ledger.minted(0);
    });
}

#[test]
fn a_response_that_half_of_its_rankers_did_not_rank_cannot_win() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        let all = to_disclosing(id, 8, honest);
        // One of eight: every response has at most a third of its weight.
        disclose(id, 1, &all[&1]);
        blocks(DiscloseWindow::get());
        assert_eq!(phase(id), Phase::Failed(Failure::NoRankings));
        ledger.gained(1, (WORK + 7 * SLASH) as i128);
        (2..=8).for_each(|who| ledger.gained(who, -(SLASH as i128)));
        ledger.requester_paid(FEE / 2);
        ledger.treasury_gained(FEE / 2 - WORK);
        ledger.minted(0);
    });
}

/// Scores every response as no answer.
fn poor(_: AccountId, author: AccountId) -> Score {
    Score(u16::try_from(1_000 - author * 100).unwrap())
}

#[test]
fn below_the_threshold_nobody_wins_and_the_rankers_are_paid() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        play(id, 5, poor);
        assert_eq!(phase(id), Phase::Failed(Failure::BelowThreshold));
        assert_eq!(round(id).winner, None);
        let paid = settlement(id);
        assert_eq!((paid.refunded, paid.forfeited), (FEE / 2, 5 * LOSER));
        assert_eq!((paid.winner, paid.subsidy), (0, 0));
        // A fifth of the whole fee and of the forfeits in the pot, in five equal parts.
        let each = (FEE + LOSER) / 5 / 5;
        assert_eq!(paid.rankers, 5 * each);
        (1..=5).for_each(|who| ledger.gained(who, each as i128 - LOSER as i128));
        ledger.requester_paid(FEE / 2);
        ledger.treasury_gained(FEE / 2 + 5 * LOSER - paid.rankers);
        ledger.minted(0);
    });
}

#[test]
fn below_the_threshold_who_does_not_deliver_loses_as_in_any_round() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        next_block();
        (1..=6).for_each(|who| commit(id, who));
        (7..=8).for_each(|who| drop(send(pass_call(id, who)).unwrap()));
        next_block();
        (1..=5).for_each(|who| reveal(id, who));
        blocks(RevealWindow::get());
        // Everybody ranks; 5 does not disclose.
        let all = all_scores(id, 1..=5, poor);
        commit_all(id, &all);
        next_block();
        (1..=4).for_each(|who| disclose(id, who, &all[&who]));
        blocks(DiscloseWindow::get());
        assert_eq!(phase(id), Phase::Failed(Failure::BelowThreshold));
        let forfeits = 5 * LOSER + TICKET;
        let paid = settlement(id);
        assert_eq!((paid.forfeited, paid.slashed), (forfeits, 2 * SLASH));
        let each = (FEE + forfeits / 5) / 5 / 4;
        assert_eq!(paid.rankers, 4 * each);
        (1..=4).for_each(|who| ledger.gained(who, each as i128 - LOSER as i128));
        ledger.gained(5, -((LOSER + SLASH) as i128));
        ledger.gained(6, -((TICKET + SLASH) as i128));
        ledger.requester_paid(FEE / 2);
        ledger.treasury_gained(FEE / 2 + forfeits - 4 * each + 2 * SLASH);
        ledger.minted(0);
    });
}

#[test]
fn a_ranker_that_disagrees_with_the_others_earns_nothing() {
    run(|| {
        let ledger = Ledger::open();
        let id = ask();
        play(id, 5, all_honest_but(5));
        ledger.gained(5, -(LOSER as i128));
        let says_the_same = |_, _| Score(u16::MAX / 2);
        let ledger = Ledger::open();
        let id = ask();
        play(id, 5, says_the_same);
        assert_eq!(settlement(id).rankers, 0, "a silent ranker earns nothing");
        let winner = round(id).winner.unwrap();
        (1..=5)
            .filter(|who| *who != winner)
            .for_each(|who| ledger.gained(who, -(LOSER as i128)));
    });
}

#[test]
fn rankers_are_paid_by_rating_and_agreement() {
    use starling_primitives::{
        agreement::{points, Agreement},
        rating::Deviations,
        traits::Ratings as _,
    };
    run(|| {
        // Five agents, each with three responses to rank. The record of 1 rates above a newcomer's,
        // and 5 has swapped two of its responses.
        let past = Deviations {
            squares: 1 << 64,
            count: 20,
        };
        Ratings::record(&1, past);
        let ledger = Ledger::open();
        let id = ask();
        to_ranking(id, 5);
        let ratings: Vec<_> = (1..=5).map(|who| Ratings::rating(&who)).collect();
        assert!(ratings[0] > ratings[1]);
        let mut all = all_scores(id, 1..=5, honest);
        let five = all.get_mut(&5).unwrap();
        five.sort_by_key(|(_, score)| *score);
        // Closely enough that the means of the others stay in order.
        let between = five[0].1 .0 + (five[1].1 .0 - five[0].1 .0) / 4;
        (five[0].1, five[1].1) = (Score(between + 1), Score(between));
        commit_all(id, &all);
        next_block();
        disclose_all(id, &all);
        next_block();
        let of = |who: usize, agreed| points(ratings[who - 1], Agreement { agreed, pairs: 3 });
        let all_points: Vec<_> = (1..=5)
            .map(|who| of(who, 3 - u32::from(who == 5)))
            .collect();
        let sum: u128 = all_points.iter().map(|points| u128::from(*points)).sum();
        let pot = FEE + SUBSIDY + 4 * LOSER / 5;
        for who in 2..=5u64 {
            let part = pot / 5 * u128::from(all_points[who as usize - 1]) / sum;
            ledger.gained(who, part as i128 - LOSER as i128);
        }
        let first = pot / 5 * u128::from(all_points[0]) / sum;
        ledger.gained(1, (pot * 7 / 10 + first) as i128);
    });
}

#[test]
fn rankers_without_weight_neither_earn_nor_rate() {
    use starling_primitives::{rating::Deviations, traits::Ratings as _};
    run(|| {
        // Two that are nearly always right, and three below the floor that say the opposite.
        let past = |squares, count| Deviations { squares, count };
        (1..=2).for_each(|who| Ratings::record(&who, past(1 << 60, 16)));
        (3..=5).for_each(|who| Ratings::record(&who, past(4 << 64, 16)));
        assert!(Ratings::weight(&1) > 0);
        assert_eq!(Ratings::weight(&3), 0);
        let before: Vec<_> = (1..=2).map(|who| Ratings::rating(&who)).collect();
        let ledger = Ledger::open();
        let id = ask();
        play(id, 5, |ranker, author| match honest(ranker, author) {
            score if ranker <= 2 => score,
            Score(score) => Score(u16::MAX - score),
        });
        assert_eq!(phase(id), Phase::Done);
        (3..=5).for_each(|who| ledger.gained(who, -(LOSER as i128)));
        while Agenda::<Test>::get().iter().any(|due| due.round == id) {
            next_block();
        }
        for who in 1..=2 {
            let (old, new) = (before[who as usize - 1], Ratings::rating(&who));
            assert!(new >= old, "{who}: {old} to {new}");
        }
        (3..=5).for_each(|who| assert_eq!(Ratings::weight(&who), 0, "{who}"));
    });
}

#[test]
fn the_paper_s_winner_takes_all() {
    run(|| {
        RewardRules::set(pallet_rewards::Parameters::paper());
        let ledger = Ledger::open();
        let id = ask();
        play(id, 5, honest);
        ledger.gained(1, FEE as i128);
        (2..=5).for_each(|who| ledger.gained(who, -(round(id).terms.ticket as i128)));
        ledger.requester_paid(FEE);
        ledger.treasury_gained(0);
        let lost = 4 * round(id).terms.ticket;
        let burnt = lost + request_fee(8);
        assert_eq!(Balances::total_issuance(), ledger.issued - burnt);
        assert_eq!(settlement(id).burnt, lost);
    });
}
