// SPDX-License-Identifier: Apache-2.0

use codec::Encode;
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};
use sp_runtime::DispatchError;
use starling_evidence::{Evidence, Exhibit};

use crate::{mock::*, Error, Event, Exhibits, Phase};

fn publish(id: crate::CaseId, exhibit: Exhibit) -> DispatchResult {
    Disputes::publish(RuntimeOrigin::signed(accuser()), id, exhibit)
}

fn error(error: Error<Test>) -> DispatchError {
    error.into()
}

#[test]
fn the_accuser_publishes_its_exhibit() {
    run_with(10, || {
        let id = opened(1);
        // The tokens are anybody's word.
        let false_tokens = Exhibit {
            tokens: vec![0; 16],
            ..exhibit(1)
        };
        let [_, liar] = accused();
        assert_noop!(
            Disputes::publish(RuntimeOrigin::signed(liar), id, false_tokens),
            Error::<Test>::NotTheAgent
        );
        assert_ok!(publish(id, exhibit(1)));
        assert_eq!(events().last(), Some(&Event::Published { case: id }));
        assert_eq!(Disputes::exhibit_of(id), Some(exhibit(1).encode()));
        assert_noop!(publish(id, exhibit(1)), Error::<Test>::AlreadyPublished);
        assert_noop!(publish(id + 1, exhibit(1)), Error::<Test>::UnknownCase);
        find(id, second_lied);
        to_phase(id, Phase::Closed);
        to_block(now() + PARAMETERS.retention);
        assert_eq!(Exhibits::<Test>::iter().count(), 0);
    });
}

#[test]
fn an_exhibit_that_no_committee_can_judge_by_is_refused_by_name() {
    run_with(10, || {
        let id = opened(1);
        let refused = |change: &dyn Fn(&mut Exhibit)| {
            let mut changed = exhibit(1);
            change(&mut changed);
            publish(id, changed).expect_err("it was changed")
        };
        let long = refused(&|it| it.tokens = vec![0; 70_000]);
        assert_eq!(long, error(Error::ExhibitTooLong));
        let few = refused(&|it| it.tokens.truncate(15));
        assert_eq!(few, error(Error::IndexOutside));
        let narrow = refused(&|it| it.width = 1);
        assert_eq!(narrow, error(Error::IndexOutside));
        let other = refused(&|it| it.inputs[0] ^= 1);
        assert_eq!(other, error(Error::Mismatch));
        let output = refused(&|it| it.second[0] ^= 1);
        assert_eq!(output, error(Error::Mismatch));
        let no_number = refused(&|it| {
            it.inputs.splice(0..4, f32::NAN.to_le_bytes());
        });
        assert_eq!(no_number, error(Error::NotFinite));
        assert_eq!(Exhibits::<Test>::iter().count(), 0);
    });
}

#[test]
fn a_sequence_longer_than_the_exhibit_is_outside_of_it() {
    run_with(10, || {
        let exhibit = exhibit(1);
        let mut accusation = accusation(1);
        let [one, other] = accused();
        let longer = |output: &[u8]| {
            let mut claim = claim(&exhibit, output);
            claim.positions = 1;
            claim
        };
        accusation.evidence = Evidence {
            first: answer(&Signer::of(&one), longer(&exhibit.first)),
            second: answer(&Signer::of(&other), longer(&exhibit.second)),
        };
        assert_eq!(accuse(&accuser(), &accusation), Ok(()));
        assert_noop!(publish(0, exhibit), Error::<Test>::IndexOutside);
    });
}

#[test]
fn rows_of_one_element_weigh_as_much_as_they_take_to_hash() {
    let exhibit = |width: u32, rows: u32| Exhibit {
        width,
        inputs: vec![0; (width * rows * 4) as usize],
        tokens: vec![0; rows as usize],
        ..exhibit(1)
    };
    let (wide, narrow) = (exhibit(1_000, 16), exhibit(1, 8_000));
    assert!(wide.encoded_size().abs_diff(narrow.encoded_size()) < 200);
    // A block of SHA-256 for each row.
    assert!(crate::hashed(&narrow) > 8_000 * 64);
    assert!(crate::hashed(&wide) < 70_000);
}

#[test]
fn nobody_publishes_once_findings_are_revealed() {
    run_with(10, || {
        let id = opened(1);
        to_phase(id, Phase::Revealing);
        assert_noop!(publish(id, exhibit(1)), Error::<Test>::WrongPhase);
    });
}
