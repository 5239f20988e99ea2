// SPDX-License-Identifier: Apache-2.0
//! Random calls in random order. After each of them the invariants hold, and money is conserved.

use proptest::prelude::*;
use starling_evidence::{Finding, Ruling};

use crate::{mock::*, CaseId, Cases, Event, Phase};

#[derive(Clone, Debug)]
enum Step {
    Hold(u8, bool),
    Accuse(u8, u8),
    Commit(u8, u8, u8),
    Reveal(u8, u8, u8),
    Publish(u8),
    Appeal(u8, u8),
    Unbond(u8, u32),
    Leave(u8),
    Chill(u8),
    Work(u8, u8),
    Blocks(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let agent = || 1..=AGENTS;
    let step = prop_oneof![
        2 => (agent(), any::<bool>()).prop_map(|(who, holds)| Step::Hold(who, holds)),
        4 => (agent(), 0..6u8).prop_map(|(who, number)| Step::Accuse(who, number)),
        3 => (0..6u8, 0..7u8, 0..5u8).prop_map(|(id, place, kind)| Step::Commit(id, place, kind)),
        3 => (0..6u8, 0..7u8, 0..5u8).prop_map(|(id, place, kind)| Step::Reveal(id, place, kind)),
        1 => (0..6u8).prop_map(Step::Publish),
        3 => (0..6u8, 1..6u8).prop_map(|(id, who)| Step::Appeal(id, who)),
        1 => (agent(), 0..20_000u32).prop_map(|(who, amount)| Step::Unbond(who, amount)),
        1 => agent().prop_map(Step::Leave),
        1 => agent().prop_map(Step::Chill),
        6 => (0..6u8, 0..5u8).prop_map(|(id, kind)| Step::Work(id, kind)),
        4 => (1..12u8).prop_map(Step::Blocks),
    ];
    prop::collection::vec(step, 1..50)
}

/// A refusal is fine.
fn ignore<T>(_: T) {}

/// The finding of an executor of this kind.
fn finding(kind: u8) -> Finding {
    match kind {
        0 => Finding::Unavailable,
        1 => Finding::Unnatural,
        2 => computed(2, 4),
        3 => computed(300, 2),
        _ => second_lied(0),
    }
}

fn member(id: CaseId, place: usize) -> Option<AccountId> {
    Cases::<Test>::get(id)?.committee.get(place).cloned()
}

/// Makes a step. Refusals are fine: they change nothing.
fn play(step: &Step) {
    let signed = |who: u8| RuntimeOrigin::signed(account(who));
    match *step {
        Step::Hold(who, holds) => {
            let models = if holds { vec![MODEL] } else { vec![] };
            ignore(hold(&account(who), &models));
        },
        Step::Accuse(who, number) => ignore(accuse(&account(who), &accusation(number))),
        Step::Commit(id, place, kind) => {
            if let Some(who) = member(id.into(), place.into()) {
                ignore(commit(id.into(), &who, &finding(kind)));
            }
        },
        Step::Reveal(id, place, kind) => {
            if let Some(who) = member(id.into(), place.into()) {
                ignore(reveal(id.into(), &who, &finding(kind)));
            }
        },
        Step::Publish(number) => {
            for (id, case) in Cases::<Test>::iter().collect::<Vec<_>>() {
                let accuser = RuntimeOrigin::signed(case.accuser);
                ignore(Disputes::publish(accuser, id, exhibit(number)));
            }
        },
        Step::Appeal(id, who) => ignore(appeal(id.into(), &account(who))),
        Step::Unbond(who, amount) => ignore(Agents::unbond(signed(who), amount.into())),
        Step::Leave(who) => ignore(Agents::deregister(signed(who))),
        Step::Chill(who) => ignore(Agents::chill(signed(who))),
        Step::Work(id, kind) => work(id.into(), kind),
        Step::Blocks(count) => to_block(now() + u32::from(count)),
    }
}

/// Lets all members of a committee do what is due.
fn work(id: CaseId, kind: u8) {
    let Some(case) = Cases::<Test>::get(id) else {
        return;
    };
    for who in &case.committee {
        match case.phase {
            Phase::Committing => ignore(commit(id, who, &finding(kind))),
            Phase::Revealing => {
                // It has committed to one of them.
                for kind in 0..5 {
                    ignore(reveal(id, who, &finding(kind)));
                }
            },
            _ => {},
        }
    }
    to_block(now() + 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bonds_are_where_they_belong_and_only_the_guilty_lose(steps in steps()) {
        run_with(12, || {
            let issued = issuance();
            for step in &steps {
                play(step);
                check();
                assert_eq!(issuance(), issued, "after {step:?}");
            }
            // All cases end by themselves, and leave nothing.
            to_block(now() + 4 * PARAMETERS.longest());
            check();
            assert_eq!(Cases::<Test>::iter().count(), 0);
            for event in events() {
                if let Event::Convicted { case, .. } = event {
                    let is_ruling = |it: &Event<Test>| matches!(
                        it,
                        Event::Closed { case: closed, ruling: Ruling::Decided { .. }, .. }
                            if *closed == case
                    );
                    assert!(events().iter().any(is_ruling), "case {case}");
                }
            }
        });
    }
}
