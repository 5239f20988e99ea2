// SPDX-License-Identifier: Apache-2.0
//! Exhibits against the claims that bind them.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
#![cfg(feature = "std")]

use codec::Encode;
use sha2::{Digest as _, Sha256};
use starling_evidence::{
    Claim, Code, Evidence, Exhibit, Fault, Flaw, History, Peer, Signed, SignedOutput,
};

const WIDTH: usize = 2;
const POSITIONS: usize = 3;
const ROWS: usize = 2;

fn inputs() -> Vec<f32> {
    (0..(POSITIONS + ROWS) * WIDTH)
        .map(|at| at as f32 + 0.5)
        .collect()
}

fn answer(agent: u8, inputs: &[f32], output: &[u8]) -> SignedOutput {
    let mut history = History::default();
    history.push(inputs, WIDTH);
    SignedOutput {
        peer: Peer::new([agent]),
        claim: Signed {
            account: [agent; 32],
            key: [agent; 32],
            body: Claim {
                model: [1; 32],
                layers: (3, 9),
                wire: Code::F32,
                positions: POSITIONS as u32,
                rows: ROWS as u32,
                before: history.digest_at(POSITIONS).unwrap(),
                after: history.digest(),
                output: Sha256::digest(output).into(),
                time: 1,
            },
            signature: [0; 64],
        },
    }
}

fn case(inputs: &[f32]) -> (Evidence, Exhibit) {
    let (first, second) = (vec![1; 16], vec![2; 16]);
    let evidence = Evidence {
        first: answer(1, inputs, &first),
        second: answer(2, inputs, &second),
    };
    let exhibit = Exhibit {
        width: WIDTH as u32,
        inputs: inputs.iter().flat_map(|x| x.to_le_bytes()).collect(),
        first,
        second,
        tokens: (0..(POSITIONS + ROWS) as u32).collect(),
    };
    (evidence, exhibit)
}

#[test]
fn an_exhibit_of_the_claims_is_admitted_within_its_bound() {
    let (evidence, exhibit) = case(&inputs());
    let bytes = exhibit.encode().len();
    assert_eq!(evidence.contradicts(), Ok(()));
    assert_eq!(exhibit.admit(&evidence, bytes), Ok(()));
    assert_eq!(exhibit.admit(&evidence, bytes - 1), Err(Fault::TooLong));
}

#[test]
fn an_exhibit_that_the_claims_do_not_bind_is_refused_by_name() {
    let (evidence, exhibit) = case(&inputs());
    let admit = |change: &dyn Fn(&mut Exhibit)| {
        let mut changed = exhibit.clone();
        change(&mut changed);
        changed.admit(&evidence, usize::MAX)
    };
    assert_eq!(admit(&|_| ()), Ok(()));
    assert_eq!(admit(&|e| e.inputs[0] ^= 1), Err(Fault::Inputs));
    assert_eq!(admit(&|e| e.first[0] ^= 1), Err(Fault::Outputs));
    assert_eq!(admit(&|e| e.second.push(0)), Err(Fault::Outputs));
    assert_eq!(admit(&|e| e.inputs.truncate(8)), Err(Fault::Outside));
    assert_eq!(admit(&|e| e.width = 0), Err(Fault::Outside));
    assert_eq!(admit(&|e| e.width = u32::MAX), Err(Fault::Outside));
    assert_eq!(admit(&|e| e.tokens.push(0)), Err(Fault::Tokens));
    assert_eq!(admit(&|e| e.tokens.clear()), Err(Fault::Tokens));
}

#[test]
fn inputs_that_are_no_numbers_and_claims_beyond_all_positions_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut inputs = inputs();
        inputs[5] = bad;
        let (evidence, exhibit) = case(&inputs);
        assert_eq!(exhibit.admit(&evidence, usize::MAX), Err(Fault::NotFinite));
    }
    let (mut evidence, exhibit) = case(&inputs());
    for answer in [&mut evidence.first, &mut evidence.second] {
        answer.claim.body.positions = u32::MAX;
    }
    assert_eq!(exhibit.admit(&evidence, usize::MAX), Err(Fault::Outside));
    assert!(!evidence.first.claim.body.is_sound());
}

#[test]
fn claims_that_contradict_nothing_are_told_apart() {
    let (evidence, _) = case(&inputs());
    let flaw = |change: &dyn Fn(&mut Evidence)| {
        let mut changed = evidence.clone();
        change(&mut changed);
        changed.contradicts()
    };
    let same_agent = flaw(&|e| e.second.claim.account = e.first.claim.account);
    assert_eq!(same_agent, Err(Flaw::SameAgent));
    let other = flaw(&|e| e.second.claim.body.before[0] ^= 1);
    assert_eq!(other, Err(Flaw::OtherQuestion));
    let same = flaw(&|e| e.second.claim.body.output = e.first.claim.body.output);
    assert_eq!(same, Err(Flaw::SameOutput));
}
