// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeSet;

use frame_support::{assert_noop, assert_ok, inherent::ProvideInherent, traits::Hooks};
use sp_inherents::InherentData;
use sp_runtime::DispatchError;
use starling_primitives::beacon::{Output, EPOCH};

use crate::{mock::*, Call, Error, Seed, INHERENT_IDENTIFIER};

fn reveal(output: Output) -> Result<(), DispatchError> {
    Beacon::reveal(RuntimeOrigin::none(), output)
}

#[test]
fn each_block_changes_the_randomness_and_signing_it_again_does_not() {
    let values: Vec<_> = (0..2)
        .map(|_| chain().execute_with(|| (1..=9).map(|n| block(n, n + 20)).collect::<Vec<_>>()))
        .collect();
    // A proof is random, what it proves is not.
    assert_eq!(values[0], values[1]);
    assert_eq!(values[0].iter().collect::<BTreeSet<_>>().len(), 9);
}

#[test]
fn an_author_that_leaves_out_its_slot_changes_the_randomness_and_cannot_choose_it() {
    let value = |slots: &[u64]| {
        chain().execute_with(|| {
            let blocks = (1..).zip(slots).map(|(number, &slot)| block(number, slot));
            blocks.last()
        })
    };
    // Two values for whoever holds the last slot: one bit.
    assert_ne!(value(&[1, 2, 3]), value(&[1, 2]));
    assert_ne!(value(&[1, 2, 3]), value(&[1, 3]));
}

#[test]
fn only_the_output_of_the_slots_author_is_taken_and_only_once() {
    chain().execute_with(|| {
        begin(1, 7);
        for (what, wrong) in [
            ("another author's", output(author(8), 7)),
            ("another slot's", output(author(7), 8)),
            ("a stranger's", output(99, 7)),
            (
                "changed",
                Output {
                    proof: [7; 64],
                    ..output(author(7), 7)
                },
            ),
            (
                "no point",
                Output {
                    pre_output: [255; 32],
                    ..output(author(7), 7)
                },
            ),
        ] {
            assert_noop!(reveal(wrong), Error::<Test>::WrongOutput);
            assert!(Beacon::do_try_state().is_err(), "{what}");
        }
        let right = output(author(7), 7);
        let signed = RuntimeOrigin::signed(1);
        assert_noop!(
            Beacon::reveal(signed, right.clone()),
            DispatchError::BadOrigin
        );
        assert_ok!(reveal(right.clone()));
        assert_noop!(reveal(right), Error::<Test>::NotAwaited);
        Beacon::on_finalize(1);
        assert_ok!(Beacon::do_try_state());
    });
}

#[test]
#[should_panic(expected = "the block lacks the output of its author's VRF")]
fn a_block_without_its_authors_output_is_invalid() {
    chain().execute_with(|| {
        begin(1, 7);
        Beacon::on_finalize(1);
    });
}

#[test]
fn a_seed_holds_for_an_epoch_and_is_the_randomness_at_the_end_of_the_one_before() {
    chain().execute_with(|| {
        let epoch = u64::from(EPOCH);
        let mut last = None;
        for number in 1..=2 * epoch {
            let before = Seed::<Test>::get();
            let value = block(number, number);
            if (number + 1) % epoch == 0 {
                assert_eq!(Seed::<Test>::get(), value);
                last = Some(value);
            } else {
                assert_eq!(Seed::<Test>::get(), before);
                assert_eq!(Seed::<Test>::get(), last.unwrap_or_default());
            }
        }
    });
}

#[test]
fn the_inherent_is_what_the_node_gives() {
    chain().execute_with(|| {
        let mut data = InherentData::new();
        assert!(Beacon::create_inherent(&data).is_none());
        begin(1, 7);
        let right = output(author(7), 7);
        data.put_data(INHERENT_IDENTIFIER, &right)
            .expect("put once");
        let call = Beacon::create_inherent(&data).expect("there is one");
        assert!(Beacon::is_inherent(&call));
        assert_eq!(call, Call::reveal { output: right });
    });
}
