// SPDX-License-Identifier: Apache-2.0
//! Random calls in random order. After each of them the invariants hold, and money is conserved.

use std::collections::BTreeSet;

use proptest::prelude::*;
use starling_lane_primitives::messages::{Ask, Message};
use starling_primitives::{Balance, H256};

use crate::{mock::*, Event, Now};

#[derive(Clone, Debug)]
enum Step {
    Open,
    TopUp(u8, u32),
    Close(u8),
    Reclaim(u8),
    Join(u8),
    Leave(u8),
    Settle {
        lane: u8,
        back: u8,
        block: u8,
        bitmap: u64,
        signers: u16,
    },
    Finalise(u8),
    Void(u8),
    Escalate {
        lane: u8,
        back: u8,
        seq: u8,
    },
    Show {
        lane: u8,
        back: u8,
        seq: u8,
    },
    Equivocate {
        lane: u8,
        member: u8,
        equal: bool,
    },
    Blocks(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => Just(Step::Open),
        1 => (0..4u8, 0..2_000u32).prop_map(|(lane, amount)| Step::TopUp(lane, amount)),
        1 => (0..4u8).prop_map(Step::Close),
        1 => (0..4u8).prop_map(Step::Reclaim),
        4 => (1..=AGENTS).prop_map(Step::Join),
        1 => (1..=AGENTS).prop_map(Step::Leave),
        8 => (0..4u8, 0..3u8, 0..3u8, 0..16u64, any::<u16>()).prop_map(
            |(lane, back, block, bitmap, signers)| Step::Settle {
                lane, back, block, bitmap, signers: signers | 7,
            }
        ),
        2 => (0..9u8).prop_map(Step::Finalise),
        1 => (0..9u8).prop_map(Step::Void),
        3 => (0..4u8, 0..3u8, 0..5u8)
            .prop_map(|(lane, back, seq)| Step::Escalate { lane, back, seq }),
        2 => (0..4u8, 0..3u8, 0..5u8).prop_map(|(lane, back, seq)| Step::Show { lane, back, seq }),
        1 => (0..4u8, 0..4u8, any::<bool>())
            .prop_map(|(lane, member, equal)| Step::Equivocate { lane, member, equal }),
        4 => (1..12u8).prop_map(Step::Blocks),
    ];
    prop::collection::vec(step, 1..60)
}

/// A refusal is fine.
fn ignore<T>(_: T) {}

fn old_ask(lane: u8, epoch: u32, seq: u8) -> Ask {
    Ask {
        expiry: Lanes::began(epoch).unwrap_or_default() + 1,
        ..ask(lane.into(), epoch, seq.into())
    }
}

/// Makes a step. Refusals are fine: they change nothing.
fn play(step: &Step) {
    let owner = || RuntimeOrigin::signed(requester());
    let epoch = Now::<Test>::get().epoch;
    let has_committee = |lane: u8, epoch: u32| Lanes::committee_view(lane.into(), epoch).is_some();
    match *step {
        Step::Open => ignore(Lanes::open(owner(), DEPOSIT, terms())),
        Step::TopUp(lane, amount) => {
            ignore(Lanes::top_up(owner(), lane.into(), amount.into()));
        },
        Step::Close(lane) => ignore(Lanes::close(owner(), lane.into())),
        Step::Reclaim(lane) => ignore(Lanes::reclaim(owner(), lane.into())),
        Step::Join(agent) => ignore(join(&account(agent), epoch + 3)),
        Step::Leave(agent) => ignore(leave(&account(agent), epoch + 3)),
        Step::Settle {
            lane,
            back,
            block,
            bitmap,
            signers,
        } => {
            let epoch = epoch.saturating_sub(back.into());
            if has_committee(lane, epoch) {
                let first = u32::from(block) * 64;
                let checkpoint = checkpoint(lane.into(), epoch, first, bitmap);
                let signers = (0..4u8).filter(|member| signers >> member & 1 == 1);
                ignore(send_settle(&checkpoint, certify(&checkpoint, signers)));
            }
        },
        Step::Finalise(id) => {
            ignore(Lanes::finalise(
                RuntimeOrigin::signed(account(101)),
                id.into(),
            ));
        },
        Step::Void(id) => ignore(Lanes::void(RuntimeOrigin::root(), id.into())),
        Step::Escalate { lane, back, seq } => {
            ignore(escalate(&old_ask(
                lane,
                epoch.saturating_sub(back.into()),
                seq,
            )));
        },
        Step::Show { lane, back, seq } => {
            let epoch = epoch.saturating_sub(back.into());
            if has_committee(lane, epoch) {
                let ask = old_ask(lane, epoch, seq);
                ignore(show(&ask, votes(&ask, H256::repeat_byte(5), 0..3)));
            }
        },
        Step::Equivocate {
            lane,
            member,
            equal,
        } => {
            if has_committee(lane, epoch) {
                let who = &members(lane.into(), epoch)[usize::from(member)];
                let before = bonded(who);
                let vote = |outcome| {
                    let slot = slot(lane.into(), epoch, 1);
                    signed(who, slot, Message::Vote([outcome; 32]))
                };
                let is_guilty = report(who, vote(1), vote(if equal { 1 } else { 2 })).is_ok();
                assert!(!(equal && is_guilty), "equal votes are no offence");
                assert!(is_guilty || bonded(who) == before);
            }
        },
        Step::Blocks(count) => to_block(now() + u32::from(count)),
    }
}

/// All that was burnt of deposits.
fn burnt() -> Balance {
    let burnt = |event: Event<Test>| match event {
        Event::Opened { burnt, .. } | Event::ToppedUp { burnt, .. } => burnt,
        _ => 0,
    };
    events().into_iter().map(burnt).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_request_is_paid_once_and_money_is_conserved(steps in steps()) {
        run(|| {
            let issued = issuance();
            served();
            for step in &steps {
                play(step);
                check();
                assert_eq!(issuance() + burnt(), issued, "after {step:?}");
            }
            to_block(now() + WINDOW + 2);
            let mut paid = BTreeSet::new();
            for event in events() {
                if let Event::Settled { lane, epoch, first, bitmap, .. } = event {
                    for bit in (0..64u32).filter(|bit| bitmap >> bit & 1 == 1) {
                        let seq = first + bit;
                        assert!(paid.insert((lane, epoch, seq)), "{lane} {epoch} {seq} twice");
                        // A mark was taken off before, if there was one.
                        assert_eq!(Lanes::escalated(lane, epoch, seq), None);
                    }
                }
            }
            assert!(Lanes::pending_view(0).is_empty());
        });
    }
}
