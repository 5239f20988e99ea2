// SPDX-License-Identifier: Apache-2.0
//! Traces, their hashes, and the checks of an answer against one.

// A panic fails the test.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]

use codec::{Decode, Encode, MaxEncodedLen};
use proptest::prelude::*;
use starling_sketch::{
    check::{claims, computation, mean_gap, Claim, Fault, MeanGaps, Profile, Replay},
    distance::{Thresholds, Verdict, ONE},
    sketch::VALUES,
    trace::{request_hash, token_digest, Numerics, Parts, Place, Settings, Trace},
    Hash, Sketch,
};

const CONTEXT: [u32; 3] = [1, 2, 300];
const SAID: [u32; 1] = [49_151];
const MODEL: Hash = [9; 32];

fn hex(hash: Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sketch(value: i16) -> Sketch {
    Sketch::new([value; VALUES])
}

/// A trace of tokens and sketches of which each is 5 everywhere.
fn trace_of(tokens: &[u32], chunks: usize) -> Trace {
    Trace::of(&Parts {
        model: MODEL,
        numerics: Numerics::Narrow,
        settings: Settings {
            temperature: 700,
            top_k: 40,
            top_p: 950,
        },
        attempt: 4,
        context: &CONTEXT,
        tokens,
        sketches: &vec![sketch(5); chunks],
        salt: [8; 32],
    })
    .unwrap()
}

fn ids() -> Vec<u32> {
    [&CONTEXT[..], &SAID[..]].concat()
}

/// From Python, by the words of the README.
#[test]
fn golden_hashes() {
    let place = Place {
        genesis: [1; 32],
        round: 7,
        agent: [2; 32],
        request: [3; 32],
    };
    assert_eq!(
        hex(place.sampler_key(4)),
        "b61fa1cb9944781073e4985cad593f413522e91ca1fe3c89d4cfbf709fea75e7"
    );
    assert_eq!(
        hex(token_digest(&ids())),
        "7bbd385a4059c66b78b0f23f71f3173ba25f3bc327ed2173495fdb17c1601755"
    );
    assert_eq!(
        hex(request_hash(b"Why?", 64)),
        "4d7ab89d6dce1094966980f15bed1231f63b303aafc801a1812f93fd14a280ef"
    );
    let trace = trace_of(&SAID, 1);
    assert_eq!(
        hex(trace.hash()),
        "674cff82a1ef0c89b62898719d034f1b4f94cf58648d53532afb91ba3ad074ee"
    );
    assert_eq!(trace.encode().len(), 147);
    assert_eq!(Trace::max_encoded_len(), 147);
}

#[test]
fn keys_differ_by_every_part_of_the_place_and_by_the_attempt() {
    let place = Place {
        genesis: [1; 32],
        round: 7,
        agent: [2; 32],
        request: [3; 32],
    };
    let others = [
        Place {
            genesis: [0; 32],
            ..place
        },
        Place { round: 8, ..place },
        Place {
            agent: [0; 32],
            ..place
        },
        Place {
            request: [0; 32],
            ..place
        },
    ];
    let mut keys: Vec<Hash> = others.iter().map(|other| other.sampler_key(0)).collect();
    keys.extend([place.sampler_key(0), place.sampler_key(1)]);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 6);
}

fn claimed(trace: &Trace, claim: &Claim<'_>, ids: &[u32], context: &[u32]) -> Result<(), Fault> {
    let read = |said: &[u32]| format!(" {said:?}\n");
    claims(claim, trace, ids, || context.to_vec(), read)
}

fn claim(trace: &Trace) -> Claim<'static> {
    Claim {
        commitment: trace.hash(),
        model: MODEL,
        text: "[49151]",
    }
}

#[test]
fn each_claim_is_checked_and_the_first_fault_decides() {
    let trace = trace_of(&SAID, 1);
    let honest = claim(&trace);
    let check = |trace: &Trace, claim: &Claim<'_>| claimed(trace, claim, &ids(), &CONTEXT);
    assert_eq!(check(&trace, &honest), Ok(()));

    // A changed trace is never the committed one.
    let newer = Trace {
        version: 2,
        ..trace.clone()
    };
    assert_eq!(check(&newer, &honest), Err(Fault::Commitment));
    // Whoever commits to it is caught by what it says.
    assert_eq!(check(&newer, &claim(&newer)), Err(Fault::Version(2)));
    let ninth = Trace {
        attempt: 8,
        ..trace.clone()
    };
    assert_eq!(check(&ninth, &claim(&ninth)), Err(Fault::Attempt(8)));
    for top_p in [0, 1001] {
        let settings = Settings {
            top_p,
            ..trace.settings
        };
        let open = Trace {
            settings,
            ..trace.clone()
        };
        assert_eq!(check(&open, &claim(&open)), Err(Fault::Settings));
    }
    let other = Claim {
        model: [0; 32],
        text: "no",
        ..honest
    };
    assert_eq!(check(&trace, &other), Err(Fault::Model));
    let other = Claim {
        text: "no",
        ..honest
    };
    assert_eq!(check(&trace, &other), Err(Fault::Text));
    // Other tokens than those of the trace, and another number of them in the context.
    let ids = ids();
    for wrong in [&ids[1..], &[][..], &[1, 2, 300, 49_150][..]] {
        assert_eq!(
            claimed(&trace, &honest, wrong, &CONTEXT),
            Err(Fault::Ids),
            "{wrong:?}"
        );
    }
    for context in [2, 4, 5, u32::MAX] {
        let shifted = Trace {
            context,
            ..trace.clone()
        };
        let claim = claim(&shifted);
        assert_eq!(claimed(&shifted, &claim, &ids, &CONTEXT), Err(Fault::Ids));
    }
    for (context, at) in [
        (&[1, 2][..], 2),
        (&[1, 7, 300][..], 1),
        (&[1, 2, 300, 4][..], 3),
    ] {
        assert_eq!(
            claimed(&trace, &honest, &ids, context),
            Err(Fault::Context(at))
        );
    }
}

/// Distances of up to 0.1 are accepted, those beyond 0.5 rejected.
const PROFILE: Profile = Profile {
    answers: Thresholds {
        accept: ONE / 100,
        reject: ONE / 4,
    },
    tokens: MeanGaps {
        accept: 164,
        reject: 287,
    },
    distributions: Thresholds {
        accept: 0,
        reject: 0,
    },
};

#[test]
fn tokens_are_judged_before_sketches_and_each_of_these_counts() {
    let said = [7; 40];
    let trace = trace_of(&said, 2);
    let shown = [sketch(5), sketch(5)];
    let judge = |gap: u16, shown: &[Sketch], own: &[Sketch]| {
        let replay = Replay {
            gaps: &[gap; 40],
            sketches: own,
        };
        computation(&trace, shown, replay, &PROFILE)
    };
    let near = sketch(4);
    let far = sketch(-5);
    assert_eq!(judge(0, &shown, &shown), Ok(Verdict::Accept));
    assert_eq!(judge(164, &shown, &shown), Ok(Verdict::Accept));
    assert_eq!(judge(165, &shown, &shown), Ok(Verdict::Unclear));
    assert_eq!(
        judge(0, &shown, &[sketch(5), near.clone()]),
        Ok(Verdict::Unclear)
    );
    assert_eq!(judge(0, &shown, &[near, far.clone()]), Err(Fault::Chunk(1)));
    assert_eq!(
        judge(288, &shown, &[far.clone(), far.clone()]),
        Err(Fault::Tokens(288))
    );
    for shown in [vec![], vec![sketch(5)], vec![sketch(5), far]] {
        assert_eq!(judge(0, &shown, &shown), Err(Fault::Sketches));
    }
    assert_eq!(judge(0, &shown, &[sketch(5)]), Err(Fault::Shape));
}

#[test]
fn other_positions_than_those_of_the_answer_are_refused() {
    let trace = trace_of(&[7; 40], 2);
    let shown = [sketch(5), sketch(5)];
    for positions in [0, 39, 41] {
        let replay = Replay {
            gaps: &vec![0; positions],
            sketches: &shown,
        };
        let refused = computation(&trace, &shown, replay, &PROFILE);
        assert_eq!(refused, Err(Fault::Shape), "{positions}");
    }
    // Two sketches under a root are not enough for what has three chunks.
    let trace = trace_of(&[7; 70], 2);
    let replay = Replay {
        gaps: &[0; 70],
        sketches: &shown,
    };
    let refused = computation(&trace, &shown, replay, &PROFILE);
    assert_eq!(refused, Err(Fault::Sketches));
}

#[test]
fn an_answer_without_sketches_has_no_trace() {
    let parts = Parts {
        model: MODEL,
        numerics: Numerics::Wide,
        settings: trace_of(&SAID, 1).settings,
        attempt: 0,
        context: &CONTEXT,
        tokens: &[],
        sketches: &[],
        salt: [0; 32],
    };
    assert!(Trace::of(&parts).is_err());
}

#[test]
fn numerics_that_nobody_knows_do_not_decode() {
    let mut bytes = trace_of(&SAID, 1).encode();
    bytes[33] = 2;
    assert!(Trace::decode(&mut &bytes[..]).is_err());
}

proptest! {
    #[test]
    fn the_mean_of_gaps_is_between_them(gaps in proptest::collection::vec(any::<u16>(), 1..200)) {
        let mean = mean_gap(&gaps).unwrap();
        prop_assert!(gaps.iter().min().unwrap() <= &mean && &mean <= gaps.iter().max().unwrap());
    }

    #[test]
    fn no_trace_and_no_ids_make_the_checks_panic(
        context in any::<u32>(),
        tokens in 0u32..3000,
        chunks in any::<u16>(),
        ids in proptest::collection::vec(any::<u32>(), 0..20),
        gaps in proptest::collection::vec(any::<u16>(), 0..20),
        values in proptest::collection::vec(any::<i16>(), 0..4),
    ) {
        let trace = Trace {
            context,
            tokens,
            chunks,
            token_digest: token_digest(&ids),
            ..trace_of(&SAID, 1)
        };
        let _ = claimed(&trace, &claim(&trace), &ids, &CONTEXT);
        let own: Vec<Sketch> = values.into_iter().map(sketch).collect();
        let replay = Replay { gaps: &gaps, sketches: &own };
        let _ = computation(&trace, &own, replay, &PROFILE);
    }
}
