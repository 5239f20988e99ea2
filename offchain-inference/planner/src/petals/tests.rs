// SPDX-License-Identifier: Apache-2.0

use super::*;
use proptest::prelude::*;

fn server(span: Range<usize>, rate: f64) -> Server {
    Server { span, rate }
}

/// Rates of all layers, weakest first: every move raises them.
fn sorted(layers: usize, servers: &[Server]) -> Vec<u64> {
    let mut rates = Load::of(layers, servers).0;
    rates.sort_unstable();
    rates
}

/// A model and servers somewhere in it.
fn swarms() -> impl Strategy<Value = (usize, Vec<Server>)> {
    (1usize..24).prop_flat_map(|layers| {
        let server = (1..=layers).prop_flat_map(move |length| {
            (0..=layers - length, 0.001f64..100.0)
                .prop_map(move |(start, rate)| server(start..start + length, rate))
        });
        (Just(layers), proptest::collection::vec(server, 1..10))
    })
}

proptest! {
    #[test]
    fn joining_covers_the_model(layers in 1usize..40, lengths in proptest::collection::vec((1usize..12, 0.001f64..50.0), 40)) {
        let mut servers = vec![];
        for (length, rate) in lengths {
            let before = Load::of(layers, &servers);
            let span = choose(layers, length, &servers).unwrap();
            prop_assert!(span.end <= layers && span.len() == length.min(layers));
            servers.push(server(span, rate));
            let after = Load::of(layers, &servers);
            // Every server covers a new layer for as long as one is uncovered.
            prop_assert!(before.uncovered() == 0 || after.uncovered() < before.uncovered());
            prop_assert!(after.weakest() >= before.weakest());
        }
        prop_assert!(weakest(layers, &servers) > 0.0);
    }

    #[test]
    fn no_other_place_is_better_to_join((layers, servers) in swarms(), length in 1usize..24, rate in 0.001f64..100.0) {
        let chosen = choose(layers, length, &servers).unwrap();
        let joined = |span| sorted(layers, &[servers.clone(), vec![server(span, rate)]].concat());
        let length = length.min(layers);
        let best = (0..=layers - length).map(|start| joined(start..start + length)).max();
        prop_assert_eq!(Some(joined(chosen)), best);
    }

    #[test]
    fn moving_ends_and_never_weakens_the_swarm((layers, mut servers) in swarms(), below in 0.1f64..1.0) {
        let mut moves = 0;
        loop {
            let mut moved = false;
            for i in 0..servers.len() {
                let mut others = servers.clone();
                let own = others.remove(i);
                if let Some(span) = relocate(layers, &own, &others, below) {
                    prop_assert_eq!(span.len(), own.span.len());
                    prop_assert!(span.end <= layers);
                    let before = sorted(layers, &servers);
                    servers[i].span = span;
                    prop_assert!(sorted(layers, &servers) > before);
                    moved = true;
                    moves += 1;
                }
            }
            prop_assert!(moves < 1_000, "no end of moving");
            if !moved {
                break;
            }
        }
    }

    #[test]
    fn the_last_server_of_a_block_stays((layers, servers) in swarms(), below in 0.1f64..1.0) {
        for i in 0..servers.len() {
            let mut others = servers.clone();
            let own = others.remove(i);
            if weakest(layers, &servers) > 0.0 && weakest(layers, &others) == 0.0 {
                prop_assert_eq!(relocate(layers, &own, &others, below), None);
            }
        }
    }

    #[test]
    fn nonsense_in_announcements_is_survived(
        layers in 0usize..6,
        spans in proptest::collection::vec((any::<usize>(), any::<usize>(), any::<f64>()), 0..6),
        own in (any::<usize>(), any::<usize>(), any::<f64>()),
        length in any::<usize>(),
    ) {
        let servers: Vec<_> = spans.into_iter().map(|(a, b, rate)| server(a..b, rate)).collect();
        let own = server(own.0..own.1, own.2);
        let place = choose(layers, length, &servers);
        prop_assert_eq!(place.is_some(), layers > 0 && length > 0);
        prop_assert!(place.is_none_or(|place| place.end <= layers));
        let place = relocate(layers, &own, &servers, MOVE_BELOW);
        prop_assert!(place.is_none_or(|place| place.end <= layers));
    }
}

#[test]
fn a_server_goes_where_it_is_much_needed_and_only_then() {
    // Three servers of 10 where one of 10 serves the second half.
    let others = [server(0..4, 10.0), server(0..4, 10.0), server(4..8, 10.0)];
    let own = server(0..4, 10.0);
    assert_eq!(relocate(8, &own, &others, MOVE_BELOW), Some(4..8));
    // 30 against 25: moving the 10 would help no one.
    let others = [server(0..4, 20.0), server(4..8, 25.0)];
    assert_eq!(relocate(8, &own, &others, MOVE_BELOW), None);
    // 22 against 20: moving the 2 would only turn it round.
    let others = [server(0..4, 20.0), server(4..8, 20.0)];
    assert_eq!(relocate(8, &server(0..4, 2.0), &others, MOVE_BELOW), None);
    // 28 against 20, and 24 against 24 afterwards: gains too little, unless any gain will do.
    let (own, others) = (server(0..4, 4.0), [server(0..4, 24.0), server(4..8, 20.0)]);
    assert_eq!(relocate(8, &own, &others, MOVE_BELOW), None);
    assert_eq!(relocate(8, &own, &others, 1.0), Some(4..8));
}

#[test]
fn what_holds_or_computes_nothing_has_no_place() {
    assert_eq!(choose(8, 0, &[]), None);
    assert_eq!(choose(0, 8, &[]), None);
    let pile = server(0..2, 10.0);
    let others = [
        pile.clone(),
        pile.clone(),
        pile.clone(),
        pile,
        server(2..4, 10.0),
        server(4..6, 10.0),
    ];
    let idle = server(0..2, 0.0);
    assert_eq!(relocate(6, &idle, &others, MOVE_BELOW), None);
}

#[test]
fn what_lies_outside_the_model_does_not_count() {
    // Two of six layers are held.
    let own = server(4..10, 5.0);
    assert_eq!(
        relocate(6, &own, &[server(4..6, 5.0)], MOVE_BELOW),
        Some(0..2)
    );
    // Servers outside the model do not follow.
    let nowhere = server(6..8, 10.0);
    let pile = server(0..2, 10.0);
    let mut others = [
        pile.clone(),
        pile.clone(),
        server(2..4, 10.0),
        server(4..6, 10.0),
        nowhere,
    ];
    assert_eq!(relocate(6, &pile, &others, MOVE_BELOW), None);
    others[4] = pile.clone();
    assert_eq!(relocate(6, &pile, &others, MOVE_BELOW), Some(2..4));
}

#[test]
fn boundless_rates_are_added_and_taken_away() {
    let own = server(0..4, f64::INFINITY);
    let others = [own.clone(), server(4..8, 1.0)];
    assert_eq!(relocate(8, &own, &others, MOVE_BELOW), Some(4..8));
}

#[test]
fn a_swarm_that_cannot_answer_spreads_out() {
    let own = server(0..10, 5.0);
    let others = [server(0..10, 5.0)];
    assert_eq!(relocate(30, &own, &others, MOVE_BELOW), Some(10..20));
    // Nothing is gained by going from one gap to another.
    assert_eq!(relocate(30, &own, &[server(10..20, 5.0)], MOVE_BELOW), None);
    // Nor where that one is weaker: two layers would be without a server before and after.
    let others = [server(2..3, 5.0), server(5..6, 3.0)];
    assert_eq!(relocate(6, &server(0..3, 1.0), &others, MOVE_BELOW), None);
}

#[test]
fn a_step_that_helps_only_with_the_others_steps_is_taken() {
    // Rates 40, 10, 10 by pairs of layers. One move gives 30, 20, 10, another 20, 20, 20.
    let pile = server(0..2, 10.0);
    let others = [
        pile.clone(),
        pile.clone(),
        pile.clone(),
        server(2..4, 10.0),
        server(4..6, 10.0),
    ];
    assert_eq!(relocate(6, &pile, &others, MOVE_BELOW), Some(2..4));
}

#[test]
fn the_others_are_imagined_to_move_more_than_once() {
    let own = server(3..6, 10.0);
    let others = [server(2..3, 10.0), server(5..7, 10.0), server(5..7, 10.0)];
    assert_eq!(relocate(8, &own, &others, MOVE_BELOW), Some(0..3));
}
