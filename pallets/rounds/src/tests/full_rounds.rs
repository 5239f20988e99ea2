// SPDX-License-Identifier: Apache-2.0

use crate::{mock::*, *};

use frame_support::assert_ok;
use starling_primitives::{fixed::ONE, quality::NEWCOMER, traits::AgentRegistry};

/// The agents by their draws, the lowest first.
fn by_draw(id: u64) -> Vec<AccountId> {
    let it = round(id);
    let mut agents: Vec<_> = AGENTS
        .map(|who| (Rounds_::draw_of(id, &it, &who).unwrap(), who))
        .collect();
    agents.sort();
    agents.into_iter().map(|(_, who)| who).collect()
}

fn call(id: u64, who: AccountId) -> Call<Test> {
    commit_call(id, who, seal(id, who, "text"), &secret(id, who))
}

fn inside(id: u64) -> Vec<AccountId> {
    let mut inside: Vec<_> = Participants::<Test>::iter_key_prefix(id).collect();
    inside.sort();
    inside
}

#[test]
fn the_lowest_draws_stay_in_whatever_order_they_come() {
    for reverse in [false, true] {
        run(|| {
            // Bonds of the request's own block do not count.
            next_block();
            let id = ask_with(FEE, 4, 4).unwrap();
            next_block();
            let order = by_draw(id);
            let mut comers = order.clone();
            if reverse {
                comers.reverse();
            }
            for who in comers {
                let _ = send(call(id, who));
            }
            let mut lowest = order[..4].to_vec();
            lowest.sort();
            assert_eq!(inside(id), lowest);
        });
    }
}

#[test]
fn a_displaced_agent_gets_everything_back_and_is_not_waited_for() {
    run(|| {
        next_block();
        let id = ask_with(FEE, 4, 4).unwrap();
        next_block();
        let order = by_draw(id);
        order[1..5].iter().for_each(|who| commit(id, *who));
        let out = order[4];
        assert_ok!(send(call(id, order[0])));
        assert!(events().contains(&Event::Displaced {
            round: id,
            agent: out
        }));
        assert_eq!(pallet_tickets::Accounts::<Test>::get(out).staked, 0);
        let agent = pallet_agents::Agents::<Test>::get(out).unwrap();
        assert_eq!((agent.open, agent.reserved), (0, 0));
        assert!(!Sealed::<Test>::contains_key(id, out));
        assert_eq!(round(id).counts.commits, 4);
        assert_eq!(round(id).counts.heard, 5);
        // It has had its turn.
        let again = call(id, out);
        assert_eq!(
            validate(again),
            Err(sp_runtime::transaction_validity::InvalidTransaction::Stale.into())
        );
        order[5..]
            .iter()
            .for_each(|who| drop(send(pass_call(id, *who)).unwrap()));
        next_block();
        assert_eq!(phase(id), Phase::Revealing);
    });
}

#[test]
fn a_higher_draw_does_not_get_in() {
    run(|| {
        next_block();
        let id = ask_with(FEE, 4, 4).unwrap();
        next_block();
        let order = by_draw(id);
        order[..4].iter().for_each(|who| commit(id, *who));
        for who in &order[4..] {
            assert_refused(call(id, *who), custom(Error::RoundFull), Error::RoundFull);
        }
    });
}

#[test]
fn sybils_that_come_first_do_not_keep_a_larger_bond_out() {
    // Eight slots' worth of bond: one agent with 100 times the bond of each of four others.
    let kept_out = (0..20)
        .filter(|round| {
            run(|| {
                (0..*round).for_each(|_| {
                    let _ = ask_with(FEE, 4, 4);
                });
                blocks(*round);
                register(9, 100 * BOND).unwrap();
                next_block();
                let id = match ask_with(FEE, 4, 4) {
                    Ok(id) => id,
                    Err(_) => return false,
                };
                next_block();
                (1..=8).for_each(|who| drop(send(call(id, who))));
                send(call(id, 9)).is_err()
            })
        })
        .count();
    assert!(kept_out <= 1, "kept out {kept_out} times of 20");
}

#[test]
fn the_draw_follows_from_the_randomness_after_the_request_s_block() {
    run(|| {
        let id = ask();
        let block = round(id).requested_at;
        assert_eq!(Rounds_::draw_of(id, &round(id), &1), None);
        next_block();
        assert_eq!(
            round(id).request_randomness,
            Some(System::block_hash(u64::from(block)))
        );
        let draw = Rounds_::draw_of(id, &round(id), &1).unwrap();
        blocks(2);
        assert_eq!(Rounds_::draw_of(id, &round(id), &1), Some(draw));
    });
}

#[test]
fn a_record_of_answers_moves_the_draw_within_bounds() {
    run(|| {
        next_block();
        let id = ask_with(FEE, 4, 4).unwrap();
        next_block();
        let three = sp_core::U256::from(3);
        for who in AGENTS {
            let with = |quality| {
                pallet_ratings::Qualities::<Test>::insert(who, quality);
                Rounds_::draw_of(id, &round(id), &who).unwrap()
            };
            let newcomer = Rounds_::draw_of(id, &round(id), &who).unwrap();
            let [worst, best] = [0, ONE].map(with);
            assert!(best < newcomer && newcomer < worst);
            assert_eq!(with(NEWCOMER), newcomer);
            // Three times as good, but for rounding.
            assert!(worst <= best * three + three);
        }
    });
}

#[test]
fn a_bond_that_grows_after_the_request_does_not_improve_the_draw() {
    run(|| {
        // The agents have registered an unbonding period ago, before any round that may still be
        // open.
        blocks(32);
        let id = ask_with(FEE, 4, 4).unwrap();
        // The author of the request's block knows its own output, and so the draws.
        assert_ok!(Agents::bond_extra(RuntimeOrigin::signed(1), 900 * BOND));
        let drawn = <Agents as AgentRegistry<_>>::bond_at(&1, round(id).requested_at);
        assert_eq!(drawn, BOND);
        next_block();
        let draws = |id| {
            AGENTS
                .map(|who| Rounds_::draw_of(id, &round(id), &who))
                .collect::<Vec<_>>()
        };
        let before = draws(id);
        let last = by_draw(id)[7];
        assert_ok!(Agents::bond_extra(RuntimeOrigin::signed(last), 900 * BOND));
        register(9, 1_000 * BOND).unwrap();
        assert_eq!(draws(id), before);
        let newcomer = Rounds_::draw_of(id, &round(id), &9).unwrap();
        assert!(before.iter().all(|draw| draw.unwrap() < newcomer));
        // It counts for the next request, and not even the part that stays after an unbonding did.
        assert_ok!(Agents::unbond(RuntimeOrigin::signed(last), 890 * BOND));
        assert_eq!(draws(id), before);
        next_block();
        let next = ask_with(FEE, 4, 4).unwrap();
        let drawn = <Agents as AgentRegistry<_>>::bond_at(&last, round(next).requested_at);
        assert_eq!(drawn, bond(last));
    });
}
