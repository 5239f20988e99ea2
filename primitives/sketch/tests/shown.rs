// SPDX-License-Identifier: Apache-2.0
//! Traces that their authors show.

// A panic fails the test.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use codec::Encode;
use starling_sketch::{
    shown::{read, Ask, Kept, Shown, MAX_ASK},
    sketch::VALUES,
    trace::{Numerics, Parts, Settings, Trace},
    Sketch,
};

const ASK: Ask = Ask {
    round: 7,
    agent: [2; 32],
};

fn kept() -> Kept {
    let sketches = vec![Sketch::new([5; VALUES])];
    let trace = Trace::of(&Parts {
        model: [9; 32],
        numerics: Numerics::Wide,
        settings: Settings {
            temperature: 0,
            top_k: 0,
            top_p: 1000,
        },
        attempt: 0,
        context: &[1, 2],
        tokens: &[3],
        sketches: &sketches,
        salt: [8; 32],
    });
    Kept {
        request: [3; 32],
        trace: trace.unwrap(),
        ids: vec![1, 2, 3],
        sketches,
    }
}

#[test]
fn ids_and_sketches_are_those_of_the_trace() {
    assert!(kept().is_whole());
    let changes: [fn(&mut Kept); 5] = [
        |kept| kept.ids[2] = 4,
        |kept| kept.ids.push(4),
        |kept| kept.sketches.clear(),
        |kept| kept.sketches[0] = Sketch::new([6; VALUES]),
        |kept| kept.trace.tokens = 2,
    ];
    for change in changes {
        let mut kept = kept();
        change(&mut kept);
        assert!(!kept.is_whole(), "{kept:?}");
    }
}

#[test]
fn a_statement_is_of_one_trace_one_place_and_one_chain() {
    let (genesis, other) = ([1; 32], [0; 32]);
    let mut changed = kept();
    changed.trace.salt = other;
    let mut foreign = kept();
    foreign.request = other;
    let mut statements = vec![
        kept().statement(&genesis, &ASK),
        kept().statement(&other, &ASK),
        kept().statement(&genesis, &Ask { round: 8, ..ASK }),
        kept().statement(
            &genesis,
            &Ask {
                agent: other,
                ..ASK
            },
        ),
        changed.statement(&genesis, &ASK),
        foreign.statement(&genesis, &ASK),
    ];
    statements.sort_unstable();
    statements.dedup();
    assert_eq!(statements.len(), 6);
}

#[test]
fn messages_are_read_whole_or_not_at_all() {
    let bytes = ASK.encode();
    assert_eq!(u64::try_from(bytes.len()), Ok(MAX_ASK));
    assert_eq!(read::<Ask>(&bytes), Some(ASK));
    assert_eq!(read::<Ask>(&bytes[1..]), None);
    let shown = Some(Shown {
        kept: kept(),
        key: [4; 32],
        signature: [5; 64],
    });
    let mut bytes = shown.encode();
    assert_eq!(read::<Option<Shown>>(&bytes), Some(shown));
    bytes.push(0);
    assert_eq!(read::<Option<Shown>>(&bytes), None);
}
