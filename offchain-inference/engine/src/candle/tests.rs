// SPDX-License-Identifier: Apache-2.0
//! The decoder over candle's tensors against plain arithmetic, the engine's own decoder, and itself
//! run in other ways; on candle's CPU device.

use candle_core::quantized::GgmlDType;
use proptest::prelude::*;

use super::*;
use crate::{
    fixtures::{Fixture, LAYERS, VOCAB},
    model::tests::{both, plain, tokens},
    ActivationBits, Model,
};

fn options() -> LoadOptions {
    LoadOptions {
        cache_bytes: 16 << 20,
        ..LoadOptions::default()
    }
}

fn load_with(fixture: &Fixture, options: &LoadOptions) -> CandleModel {
    CandleModel::load(&fixture.path, &Device::Cpu, options).unwrap()
}

fn load(fixture: &Fixture) -> CandleModel {
    load_with(fixture, &options())
}

fn extend(session: &mut CandleSession, tokens: &[u32]) -> Result<Vec<f32>> {
    let model = session.model.clone();
    let input = Input::Tokens(tokens);
    let outputs = model.forward(&mut [Step { session, input }])?;
    Ok(outputs.into_iter().flat_map(Hidden::into_vec).collect())
}

#[track_caller]
fn assert_close(got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < tolerance, "{got} for {expected}");
    }
}

/// Last bits may differ with the shapes of products.
const ROUNDING: f32 = 1e-4;

#[test]
fn logits_are_those_of_plain_arithmetic() {
    for fixture in both(GgmlDType::F32) {
        let tokens = tokens(70);
        let expected = plain::logits(&Gguf::open(&fixture.path).unwrap(), &tokens);
        let expected: Vec<f32> = expected.into_iter().flatten().map(|x| x as f32).collect();
        for bits in [ActivationBits::Eight, ActivationBits::Sixteen] {
            let model = load_with(
                &fixture,
                &LoadOptions {
                    activation_bits: bits,
                    ..options()
                },
            );
            let mut session = model.session();
            // The second call starts behind a window's length.
            let mut rows = extend(&mut session, &tokens[..41]).unwrap();
            rows.extend(extend(&mut session, &tokens[41..]).unwrap());
            let hidden = Hidden::new(model.config().width, rows).unwrap();
            assert_close(&model.logits(&hidden).unwrap(), &expected, 1e-3);
        }
    }
}

#[test]
fn packed_and_expanded_weights_are_those_of_the_other_decoder() {
    for dtype in [GgmlDType::Q8_0, GgmlDType::Q4_1] {
        for fixture in both(dtype) {
            let tokens = tokens(40);
            let model = Model::load(&fixture.path, &options()).unwrap();
            let hidden = model.session().extend(&tokens).unwrap();
            let expected = model.logits(&hidden).unwrap();
            for (bits, tolerance) in [
                (ActivationBits::Sixteen, 0.02),
                (ActivationBits::Eight, 0.25),
            ] {
                let model = load_with(
                    &fixture,
                    &LoadOptions {
                        activation_bits: bits,
                        ..options()
                    },
                );
                let rows = extend(&mut model.session(), &tokens).unwrap();
                let hidden = Hidden::new(model.config().width, rows).unwrap();
                assert_close(&model.logits(&hidden).unwrap(), &expected, tolerance);
            }
        }
    }
}

#[test]
fn normed_rows_are_those_of_the_other_decoder() {
    for fixture in both(GgmlDType::F32) {
        let other = Model::load(&fixture.path, &options()).unwrap();
        let hidden = other.session().extend(&tokens(40)).unwrap();
        let expected = other.normed(&hidden).unwrap();
        let normed = load(&fixture).normed(&hidden).unwrap();
        assert_close(normed.as_slice(), expected.as_slice(), ROUNDING);
    }
}

#[test]
fn spans_in_a_row_equal_the_whole_model() {
    for fixture in both(GgmlDType::Q8_0) {
        let tokens = tokens(45);
        let whole = load(&fixture);
        let expected = extend(&mut whole.session(), &tokens).unwrap();
        for cut in 0..=LAYERS {
            let span = |layers, ends| {
                let options = LoadOptions {
                    layers: Some(layers),
                    ends,
                    ..options()
                };
                load_with(&fixture, &options)
            };
            let ends = span(0..0, true);
            let mut state = ends.embed(&tokens).unwrap();
            for layers in [0..cut, cut..LAYERS] {
                if !layers.is_empty() {
                    let span = span(layers, false);
                    let mut session = span.session();
                    // In two calls, as a server sees a prompt and then its continuation.
                    let (head, tail) = state.as_slice().split_at(40 * state.width());
                    let mut rows = Vec::new();
                    for part in [head, tail] {
                        let part = Hidden::new(state.width(), part.to_vec()).unwrap();
                        let mut batch = [Step {
                            session: &mut session,
                            input: Input::Hidden(&part),
                        }];
                        rows.extend(span.forward(&mut batch).unwrap().remove(0).into_vec());
                    }
                    state = Hidden::new(state.width(), rows).unwrap();
                }
            }
            assert_close(state.as_slice(), &expected, ROUNDING);
            assert_close(
                &ends.logits(&state).unwrap(),
                &whole.logits(&state).unwrap(),
                ROUNDING,
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_a_sequence_is_cut_it_is_the_same(
        cuts in proptest::collection::vec(1usize..60, 1..6),
        gemma: bool,
        companions in proptest::collection::vec(1usize..40, 0..4),
    ) {
        let model = load(&both(GgmlDType::F32)[usize::from(gemma)]);
        let tokens = tokens(130);
        let expected = extend(&mut model.session(), &tokens).unwrap();
        let mut session = model.session();
        let mut others: Vec<_> = companions.iter().map(|_| model.session()).collect();
        let mut rows = Vec::new();
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let start = session.len();
            let end = start.saturating_add(cut).min(tokens.len());
            if start == end {
                break;
            }
            let mut batch =
                vec![Step { session: &mut session, input: Input::Tokens(&tokens[start..end]) }];
            for (other, n) in others.iter_mut().zip(&companions) {
                if other.len() + n <= model.config().context {
                    batch.push(Step { session: other, input: Input::Tokens(&tokens[..*n]) });
                }
            }
            rows.extend(model.forward(&mut batch).unwrap().swap_remove(0).into_vec());
        }
        assert_close(&rows, &expected, ROUNDING);
    }
}

#[test]
fn forks_share_what_they_have_in_common_and_nothing_else() {
    for fixture in both(GgmlDType::F32) {
        let model = load(&fixture);
        let tokens = tokens(100);
        let mut trunk = model.session();
        extend(&mut trunk, &tokens[..40]).unwrap();
        let used = model.cache_used();
        let (mut left, mut right) = (trunk.fork(), trunk.fork());
        assert_eq!(model.cache_used(), used);
        let other = [7, 7, 7];
        let expected = {
            let alone = load(&fixture);
            let mut alone = alone.session();
            extend(&mut alone, &tokens[..40]).unwrap();
            extend(&mut alone, &other).unwrap()
        };
        extend(&mut left, &tokens[40..60]).unwrap();
        assert_close(&extend(&mut right, &other).unwrap(), &expected, ROUNDING);
        assert_eq!((left.len(), right.len(), trunk.len()), (60, 43, 40));
        // Back to the fork, over what was written since.
        left.truncate(40);
        assert_close(&extend(&mut left, &other).unwrap(), &expected, ROUNDING);
        // The runs are the trunk's alone again, or not: the result must be the same.
        drop(left);
        assert_close(&extend(&mut trunk, &other).unwrap(), &expected, ROUNDING);
        trunk.truncate(30);
        extend(&mut trunk, &tokens[30..40]).unwrap();
        assert_close(&extend(&mut trunk, &other).unwrap(), &expected, ROUNDING);
    }
}

#[test]
fn a_later_session_finds_what_an_ended_one_computed() {
    let [fixture, _] = both(GgmlDType::F32);
    let model = load(&fixture);
    let tokens = tokens(100);
    let mut first = model.session();
    let expected = extend(&mut first, &tokens).unwrap();
    drop(first);
    // Never the last token: the caller needs its row.
    let mut session = model.session_with_prefix(&tokens);
    assert_eq!(session.len(), 99);
    let width = model.config().width;
    let row = extend(&mut session, &tokens[99..]).unwrap();
    assert_close(&row, &expected[99 * width..], ROUNDING);

    let mut other = tokens.clone();
    other[50] = (other[50] + 1) % VOCAB as u32;
    let mut session = model.session_with_prefix(&other);
    assert_eq!(session.len(), 50);
    let rows = extend(&mut session, &other[50..]).unwrap();
    let alone = extend(&mut load(&fixture).session(), &other).unwrap();
    assert_close(&rows, &alone[50 * width..], ROUNDING);

    assert_eq!(model.session_with_prefix(&[]).len(), 0);
    assert_eq!(model.session_with_prefix(&other[1..]).len(), 0);
}

#[test]
fn what_is_remembered_makes_room_and_a_full_cache_is_an_error_that_changes_nothing() {
    let [fixture, _] = both(GgmlDType::F32);
    let used_by = |tokens: &[u32]| {
        let model = load(&fixture);
        let mut session = model.session();
        extend(&mut session, tokens).unwrap();
        model.cache_used()
    };
    let tokens = tokens(150);
    let options = LoadOptions {
        cache_bytes: used_by(&tokens[..96]),
        ..options()
    };
    let model = load_with(&fixture, &options);
    for start in 0..4 {
        extend(&mut model.session(), &tokens[start..start + 96]).unwrap();
        assert_eq!(model.cache_used(), options.cache_bytes);
    }
    let mut session = model.session();
    extend(&mut session, &tokens[..64]).unwrap();
    let expected = extend(&mut session.fork(), &tokens[64..70]).unwrap();
    let error = extend(&mut session, &tokens[64..128]).unwrap_err();
    assert!(matches!(error, Error::CacheFull { .. }), "{error}");
    assert_eq!(session.len(), 64);
    let rows = extend(&mut session, &tokens[64..70]).unwrap();
    assert_close(&rows, &expected, ROUNDING);
}

#[test]
fn log_probabilities_are_those_of_the_logits() {
    for fixture in both(GgmlDType::F32) {
        let model = load(&fixture);
        let tokens = tokens(2 * HEAD_ROWS + 3);
        let rows = extend(&mut model.session(), &tokens).unwrap();
        let hidden = Hidden::new(model.config().width, rows).unwrap();
        let logits = model.logits(&hidden).unwrap();
        let targets: Vec<_> = [(0, 3), (HEAD_ROWS + 1, 99), (1, 0), (HEAD_ROWS + 1, 5)].into();
        let expected: Vec<f32> = targets
            .iter()
            .map(|&(row, token)| {
                let row = &logits[row * VOCAB..][..VOCAB];
                let total: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
                (f64::from(row[token as usize]) - total.ln()) as f32
            })
            .collect();
        assert_close(&model.logprobs(&hidden, &targets).unwrap(), &expected, 1e-4);
        let some = model.logits_of(&hidden, 40, &[9, 1]).unwrap();
        assert_close(
            &some,
            &[logits[40 * VOCAB + 9], logits[40 * VOCAB + 1]],
            ROUNDING,
        );
    }
}

#[test]
fn bad_input_is_an_error_and_changes_nothing() {
    let [fixture, other] = both(GgmlDType::F32);
    let (model, foreign) = (load(&fixture), load(&other));
    let mut session = model.session();
    extend(&mut session, &tokens(5)).unwrap();
    assert!(matches!(extend(&mut session, &[]), Err(Error::EmptyInput)));
    let error = extend(&mut session, &[1, VOCAB as u32]).unwrap_err();
    assert!(matches!(error, Error::InvalidToken { .. }), "{error}");
    let error = extend(&mut session, &tokens(1000)).unwrap_err();
    assert!(matches!(error, Error::ContextFull { .. }), "{error}");
    let narrow = Hidden::new(8, vec![0.0; 8]).unwrap();
    let nan = Hidden::new(96, vec![f32::NAN; 96]).unwrap();
    for hidden in [&narrow, &nan] {
        let input = Input::Hidden(hidden);
        let mut batch = [Step {
            session: &mut session,
            input,
        }];
        assert!(matches!(model.forward(&mut batch), Err(Error::Shape(_))));
    }
    let input = Input::Tokens(&[1]);
    let mut batch = [Step {
        session: &mut session,
        input,
    }];
    assert!(matches!(foreign.forward(&mut batch), Err(Error::Shape(_))));
    assert_eq!(session.len(), 5);
    let hidden = Hidden::new(96, vec![0.5; 96]).unwrap();
    assert!(matches!(model.logits(&narrow), Err(Error::Shape(_))));
    assert!(matches!(
        model.logprobs(&hidden, &[(1, 0)]),
        Err(Error::Shape(_))
    ));
    let unknown = model.logits_of(&hidden, 0, &[VOCAB as u32]);
    assert!(matches!(unknown, Err(Error::InvalidToken { .. })));
    let span = LoadOptions {
        layers: Some(1..2),
        ends: false,
        ..options()
    };
    let span = load_with(&fixture, &span);
    let error = extend(&mut span.session(), &[1]).unwrap_err();
    assert!(matches!(error, Error::NotInSpan { .. }), "{error}");
}
