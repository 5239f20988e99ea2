// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeSet;

use proptest::prelude::*;
use sp_runtime::DispatchError;
use starling_lane_primitives::Terms;
use starling_primitives::{choice::Choice, H256};

use crate::{mock::*, Error, Lanes as LaneMap, Now, Setting, Settings, Volunteer, Volunteers};

/// Enters a volunteer without its lock.
fn volunteer(number: u8, epoch: u32, bond: u128) {
    let who = account(number);
    let entry = Volunteer {
        key: sp_core::Pair::public(&pair(&who)),
        point: point(&who),
        peer: [0; 32],
        bond,
        rating: 0,
        known: Default::default(),
        has_left: false,
    };
    Volunteers::<Test>::insert(epoch, who, entry);
}

fn setting(seed: H256) -> Setting {
    Setting {
        seed,
        choice: Choice::Paper,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_committee_holds_each_member_once_and_never_the_requester(
        seed in any::<[u8; 32]>(),
        bonds in prop::collection::vec(1_000..1_000_000u128, 4..40),
        members in prop::sample::select(vec![4u8, 7, 10, 13, 16]),
        asks in 1..40u8,
    ) {
        ext().execute_with(|| {
            let id = open(&requester(), Terms { members, ..terms() });
            change(id, |lane| lane.requester = account(asks));
            let epoch = Now::<Test>::get().epoch + 3;
            Settings::<Test>::insert(epoch, setting(H256(seed)));
            for (number, bond) in (1u8..).zip(&bonds) {
                volunteer(number, epoch, *bond);
            }
            let others = bonds.len() - usize::from(usize::from(asks) <= bonds.len());
            let lane = LaneMap::<Test>::get(id).unwrap();
            match Lanes::committee(id, &lane, epoch) {
                Ok(drawn) => {
                    let distinct: BTreeSet<_> = drawn.members.iter().collect();
                    prop_assert_eq!(distinct.len(), usize::from(members));
                    prop_assert_eq!(drawn.members.len(), usize::from(members));
                    prop_assert!(!distinct.contains(&account(asks)));
                },
                Err(error) => {
                    prop_assert_eq!(
                        DispatchError::from(error),
                        DispatchError::from(Error::<Test>::NoCommittee)
                    );
                    prop_assert!(others < usize::from(members));
                },
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_high_bond_is_drawn_more_often() {
    ext().execute_with(|| {
        let id = open(&requester(), terms());
        let epoch = Now::<Test>::get().epoch + 3;
        for number in 1..=20 {
            volunteer(number, epoch, if number == 1 { 10_000 } else { 1_000 });
        }
        let lane = LaneMap::<Test>::get(id).unwrap();
        let drawn = (0..200u64).filter(|seed| {
            Settings::<Test>::insert(epoch, setting(H256::from_low_u64_be(*seed)));
            let drawn = Lanes::draw(id, &lane, epoch).expect("a committee");
            drawn.members.contains(&account(1))
        });
        // Of equal bonds, a fifth.
        assert!(drawn.count() > 120);
    });
}

#[test]
fn a_lane_rests_without_volunteers_and_before_it_is_on_record() {
    run(|| {
        let (id, epoch) = served();
        assert!(Lanes::committee_view(id, epoch).is_some());
        assert_eq!(Lanes::committee_view(id, epoch + 1), None);
        assert_eq!(Lanes::committee_view(id, epoch - 1), None);
        for number in 1..=AGENTS {
            assert_eq!(join(&account(number), epoch + 3), Ok(()));
        }
        to_epoch(epoch + 1);
        let late = open(&requester(), terms());
        to_epoch(epoch + 3);
        assert!(Lanes::committee_view(id, epoch + 3).is_some());
        assert_eq!(Lanes::committee_view(late, epoch + 3), None);
    });
}

#[test]
fn seats_are_those_of_committees() {
    run(|| {
        let (id, epoch) = served();
        let members = members(id, epoch);
        for number in 1..=AGENTS {
            let who = account(number);
            let seats = Lanes::seats(&who, epoch);
            let place = members.iter().position(|member| *member == who);
            assert_eq!(seats.first().map(|seat| usize::from(seat.member)), place);
            let committee = seats.first().map(|seat| seat.committee.clone());
            assert_eq!(committee, place.and(Lanes::committee_view(id, epoch)));
        }
        assert!(
            Lanes::seats(&requester(), epoch).is_empty(),
            "it serves in no lane"
        );
    });
}
