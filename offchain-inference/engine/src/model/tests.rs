// SPDX-License-Identifier: Apache-2.0
//! The decoder against plain arithmetic, and against itself run in other ways.

use candle_core::quantized::{gguf_file::Value, GgmlDType};
use proptest::prelude::*;

use super::*;
use crate::{
    config::{Activation, Architecture, RopePairs},
    fixtures::{self, Fixture, CONTEXT, FAMILIES, LAYERS, VOCAB},
};

pub(crate) fn options() -> LoadOptions {
    LoadOptions {
        threads: 2,
        cache_bytes: 16 << 20,
        ..LoadOptions::default()
    }
}

fn load(fixture: &Fixture) -> Model {
    Model::load(&fixture.path, &options()).unwrap()
}

pub(crate) fn both(dtype: GgmlDType) -> [Fixture; 2] {
    [Architecture::Llama, Architecture::Gemma3].map(|a| fixtures::model(a, dtype))
}

/// One model of every family.
pub(crate) fn all(dtype: GgmlDType) -> impl Iterator<Item = Fixture> {
    FAMILIES
        .into_iter()
        .map(move |family| fixtures::family(family, dtype))
}

pub(crate) fn tokens(n: usize) -> Vec<u32> {
    (0..n)
        .map(|i| ((i * i * 31 + i * 17 + 5) % VOCAB) as u32)
        .collect()
}

fn bits(hidden: &Hidden) -> Vec<u32> {
    hidden.data.iter().map(|x| x.to_bits()).collect()
}

/// One decoder in f64 with nothing but loops, from the file's own weights.
pub(crate) mod plain {
    use super::*;

    fn matrix(gguf: &Gguf, name: &str) -> Vec<Vec<f64>> {
        let entry = gguf.entry(name).unwrap();
        let mut bytes = vec![0; entry.rows * entry.row_bytes()];
        gguf.reader().unwrap().rows(&entry, 0, &mut bytes).unwrap();
        let floats: Vec<f64> = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()) as f64)
            .collect();
        floats
            .chunks_exact(entry.columns)
            .map(<[f64]>::to_vec)
            .collect()
    }

    fn times(x: &[f64], w: &[Vec<f64>]) -> Vec<f64> {
        w.iter()
            .map(|w| w.iter().zip(x).map(|(w, x)| w * x).sum())
            .collect()
    }

    fn norm(x: &[f64], w: &[Vec<f64>], epsilon: f32) -> Vec<f64> {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let scale = 1.0 / (mean + epsilon as f64).sqrt();
        x.iter().zip(&w[0]).map(|(x, w)| x * scale * w).collect()
    }

    /// Rows of hidden state behind the final norm, one after the other.
    pub fn normed(gguf: &Gguf, rows: &[f32]) -> Vec<f64> {
        let config = Config::from_gguf(gguf).unwrap();
        let weights = matrix(gguf, "output_norm.weight");
        rows.chunks_exact(config.width)
            .flat_map(|row| {
                let row: Vec<f64> = row.iter().map(|&x| x as f64).collect();
                norm(&row, &weights, config.norm_epsilon)
            })
            .collect()
    }

    /// Logits of every position.
    pub fn logits(gguf: &Gguf, tokens: &[u32]) -> Vec<Vec<f64>> {
        let c = Config::from_gguf(gguf).unwrap();
        let embedding = matrix(gguf, "token_embd.weight");
        let mut stream: Vec<Vec<f64>> = tokens
            .iter()
            .map(|&t| {
                embedding[t as usize]
                    .iter()
                    .map(|x| x * c.embedding_scale as f64)
                    .collect()
            })
            .collect();
        for layer in 0..c.layers {
            let get = |name: &str| matrix(gguf, &format!("blk.{layer}.{name}.weight"));
            let gemma = c.architecture == Architecture::Gemma3;
            let post = |x: Vec<f64>, name: &str| {
                if gemma {
                    norm(&x, &get(name), c.norm_epsilon)
                } else {
                    x
                }
            };
            let heads = |x: &[f64], position: usize, normed: &str| -> Vec<Vec<f64>> {
                x.chunks_exact(c.head_width)
                    .map(|head| {
                        let head = post(head.to_vec(), normed);
                        let mut out = head.clone();
                        let half = c.head_width / 2;
                        for i in 0..half {
                            let rope = c.rope_of(layer);
                            let angle = position as f64
                                * (rope.base as f64).powf(-2.0 * i as f64 / c.head_width as f64);
                            let (a, b) = match c.rope_pairs {
                                RopePairs::Adjacent => (2 * i, 2 * i + 1),
                                RopePairs::Halves => (i, i + half),
                            };
                            out[a] = head[a] * angle.cos() - head[b] * angle.sin();
                            out[b] = head[b] * angle.cos() + head[a] * angle.sin();
                        }
                        out
                    })
                    .collect()
            };
            let (q, k, v) = (get("attn_q"), get("attn_k"), get("attn_v"));
            let (o, gate, up, down) = (
                get("attn_output"),
                get("ffn_gate"),
                get("ffn_up"),
                get("ffn_down"),
            );
            let (mut keys, mut values) = (Vec::new(), Vec::new());
            for (position, x) in stream.iter_mut().enumerate() {
                let n = norm(x, &get("attn_norm"), c.norm_epsilon);
                keys.push(heads(&times(&n, &k), position, "attn_k_norm"));
                values.push(times(&n, &v));
                let mut attended = Vec::new();
                for (i, query) in heads(&times(&n, &q), position, "attn_q_norm")
                    .iter()
                    .enumerate()
                {
                    let kv = i / (c.heads / c.kv_heads);
                    let first = c
                        .window_of(layer)
                        .map_or(0, |w| (position + 1).saturating_sub(w));
                    let scores: Vec<f64> = (first..=position)
                        .map(|p| {
                            let dot: f64 = query.iter().zip(&keys[p][kv]).map(|(a, b)| a * b).sum();
                            (dot * c.attention_scale as f64).exp()
                        })
                        .collect();
                    let mass: f64 = scores.iter().sum();
                    for j in 0..c.head_width {
                        let value = |p: usize| values[p][kv * c.head_width + j];
                        let mixed = scores.iter().enumerate();
                        attended.push(mixed.map(|(n, s)| s / mass * value(first + n)).sum::<f64>());
                    }
                }
                for (x, y) in x
                    .iter_mut()
                    .zip(post(times(&attended, &o), "post_attention_norm"))
                {
                    *x += y;
                }
                let n = norm(x, &get("ffn_norm"), c.norm_epsilon);
                let gated: Vec<f64> = times(&n, &gate)
                    .into_iter()
                    .zip(times(&n, &up))
                    .map(|(g, u)| match c.activation {
                        Activation::Silu => g / (1.0 + (-g).exp()) * u,
                        Activation::GeluTanh => {
                            let t = (0.797_884_560_8 * (g + 0.044715 * g * g * g)).tanh();
                            0.5 * g * (1.0 + t) * u
                        },
                    })
                    .collect();
                for (x, y) in x
                    .iter_mut()
                    .zip(post(times(&gated, &down), "post_ffw_norm"))
                {
                    *x += y;
                }
            }
        }
        let final_norm = matrix(gguf, "output_norm.weight");
        stream
            .iter()
            .map(|x| times(&norm(x, &final_norm, c.norm_epsilon), &embedding))
            .collect()
    }
}

#[test]
fn logits_are_those_of_plain_arithmetic() {
    for fixture in both(GgmlDType::F32) {
        let tokens = tokens(70);
        let expected = plain::logits(&Gguf::open(&fixture.path).unwrap(), &tokens);
        let model = load(&fixture);
        let mut session = model.session();
        // The second call starts in the middle of a page, behind a window's length.
        let mut rows = session.extend(&tokens[..41]).unwrap().into_vec();
        rows.extend(session.extend(&tokens[41..]).unwrap().into_vec());
        let logits = model
            .logits(&Hidden::new(model.config().width, rows).unwrap())
            .unwrap();
        for (got, expected) in logits.chunks_exact(VOCAB).zip(&expected) {
            for (got, expected) in got.iter().zip(expected) {
                // The cache holds f16.
                assert!(
                    (*got as f64 - expected).abs() < 0.02,
                    "{got} for {expected}"
                );
            }
        }
    }
}

#[test]
fn normed_rows_are_those_of_plain_arithmetic() {
    for fixture in both(GgmlDType::F32) {
        let model = load(&fixture);
        let rows = model.session().extend(&tokens(40)).unwrap();
        // More rows than one pass of the head takes.
        let many = Hidden::new(rows.width, rows.data.repeat(MAX_ROWS / 40 + 1)).unwrap();
        let normed = model.normed(&many).unwrap();
        assert_eq!((normed.rows(), normed.width), (many.rows(), many.width));
        let expected = plain::normed(&Gguf::open(&fixture.path).unwrap(), &many.data);
        for (got, expected) in normed.data.iter().zip(expected) {
            let error = (*got as f64 - expected).abs();
            assert!(
                error < 1e-4 * (1.0 + expected.abs()),
                "{got} for {expected}"
            );
        }
    }
}

#[test]
fn spans_in_a_row_equal_the_whole_model() {
    for fixture in all(GgmlDType::Q8_0) {
        let tokens = tokens(45);
        let whole = load(&fixture);
        let expected = whole.session().extend(&tokens).unwrap();
        for cut in 0..=LAYERS {
            let span = |layers, ends| {
                let options = LoadOptions {
                    layers: Some(layers),
                    ends,
                    ..options()
                };
                Model::load(&fixture.path, &options).unwrap()
            };
            let mut state = whole.embed(&tokens).unwrap();
            for layers in [0..cut, cut..LAYERS] {
                if !layers.is_empty() {
                    let span = span(layers, false);
                    // In two calls, as a server sees a prompt and then its continuation.
                    let mut session = span.session();
                    let (head, tail) = state.data.split_at(40 * state.width);
                    let part = |data: &[f32]| Hidden::new(state.width, data.to_vec()).unwrap();
                    let mut rows = session.extend_hidden(&part(head)).unwrap().into_vec();
                    rows.extend(session.extend_hidden(&part(tail)).unwrap().into_vec());
                    state = Hidden::new(state.width, rows).unwrap();
                }
            }
            assert_eq!(bits(&state), bits(&expected), "cut at {cut}");
            // The asking side holds the ends alone.
            let ends = span(0..0, true);
            assert_eq!(
                ends.logits(&state).unwrap(),
                whole.logits(&expected).unwrap()
            );
        }
    }
}

/// Ensures that `run` gives the same with every number of threads and every instruction set.
pub(crate) fn assert_same_everywhere<T: PartialEq>(
    what: &str,
    run: impl Fn(usize, InstructionSet) -> T,
) {
    let expected = run(1, InstructionSet::Scalar);
    for set in InstructionSet::ALL
        .into_iter()
        .filter(|set| set.is_available())
    {
        for threads in [1, 2, 3, 7] {
            assert!(
                run(threads, set) == expected,
                "{what}, {set}, {threads} threads"
            );
        }
    }
}

#[test]
fn threads_and_instruction_sets_do_not_change_a_bit() {
    let formats = [GgmlDType::Q4_1, GgmlDType::F16].map(|dtype| (dtype, both(dtype)));
    let formats = formats.map(|(dtype, fixtures)| (dtype, fixtures.into_iter().collect()));
    let families = (GgmlDType::Q8_0, all(GgmlDType::Q8_0).collect::<Vec<_>>());
    for (dtype, fixtures) in formats.into_iter().chain([families]) {
        for fixture in fixtures {
            let tokens = tokens(50);
            let run = |threads, set| {
                let options = LoadOptions {
                    threads,
                    instruction_set: Some(set),
                    ..options()
                };
                let model = Model::load(&fixture.path, &options).unwrap();
                let hidden = model.session().extend(&tokens).unwrap();
                let logits = model.logits(&hidden).unwrap();
                let targets: Vec<_> = (0..50).map(|row| (row, tokens[row])).collect();
                let logprobs = model.logprobs(&hidden, &targets).unwrap();
                [
                    bits(&hidden),
                    logits
                        .iter()
                        .chain(&logprobs)
                        .map(|x| x.to_bits())
                        .collect(),
                ]
            };
            assert_same_everywhere(&format!("{dtype:?}"), run);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_a_sequence_is_cut_it_is_the_same(
        cuts in proptest::collection::vec(1usize..60, 1..6),
        family in proptest::sample::select(FAMILIES.as_slice()),
        companions in proptest::collection::vec(1usize..40, 0..4),
    ) {
        let fixture = fixtures::family(family, GgmlDType::Q4_1);
        let model = load(&fixture);
        let tokens = tokens(130);
        let expected = model.session().extend(&tokens).unwrap();
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
                if other.len() + n <= CONTEXT {
                    batch.push(Step { session: other, input: Input::Tokens(&tokens[..*n]) });
                }
            }
            rows.extend(model.forward(&mut batch).unwrap().swap_remove(0).into_vec());
        }
        prop_assert_eq!(bits(&Hidden::new(expected.width, rows).unwrap()), bits(&expected));
    }

    #[test]
    fn a_damaged_file_is_an_error_or_a_model_and_never_a_panic(
        at in 0usize..4000,
        value: u8,
        length in 0usize..200_000,
    ) {
        let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
        let mut bytes = std::fs::read(&fixture.path).unwrap();
        let whole = bytes.len();
        let at = at.min(whole - 1);
        bytes[at] = value;
        std::fs::write(&fixture.path, &bytes).unwrap();
        if let Ok(model) = Model::load(&fixture.path, &options()) {
            let _ = model.session().extend(&[1, 2, 3]);
        }
        bytes.truncate(length.min(whole - 1));
        std::fs::write(&fixture.path, &bytes).unwrap();
        prop_assert!(Model::load(&fixture.path, &options()).is_err());
    }
}

#[test]
fn forks_share_what_they_have_in_common_and_nothing_else() {
    let [fixture, _] = both(GgmlDType::Q8_0);
    let model = load(&fixture);
    let tokens = tokens(100);
    let mut trunk = model.session();
    trunk.extend(&tokens[..40]).unwrap();
    let page = model.cache_used() / 2;
    let (mut left, mut right) = (trunk.fork(), trunk.fork());
    assert_eq!(model.cache_used(), 2 * page);
    let other = [7, 7, 7];
    let expected = {
        let mut alone = model.session();
        alone.extend(&tokens[..40]).unwrap();
        alone.extend(&other).unwrap()
    };
    left.extend(&tokens[40..60]).unwrap();
    assert_eq!(bits(&right.extend(&other).unwrap()), bits(&expected));
    assert_eq!(left.tokens(), &tokens[..60]);
    // Back to the fork, over what was written since.
    left.truncate(40);
    assert_eq!(bits(&left.extend(&other).unwrap()), bits(&expected));
    assert_eq!(bits(&trunk.extend(&other).unwrap()), bits(&expected));
}

#[test]
fn a_later_session_finds_the_prefix_and_gives_the_same_rows() {
    let [fixture, _] = both(GgmlDType::Q8_0);
    let model = load(&fixture);
    let tokens = tokens(100);
    let expected = model.session().extend(&tokens).unwrap();
    let mut session = model.session_with_prefix(&tokens);
    assert_eq!(session.len(), 96);
    let rows = session.extend(&tokens[96..]).unwrap();
    assert_eq!(bits(&rows), bits(&expected)[96 * expected.width()..]);
    // Never the last token: the caller needs its row.
    assert_eq!(model.session_with_prefix(&tokens[..64]).len(), 63);
    // A sequence that differs within a page has the positions before, and leaves the page to the
    // others.
    let mut other = tokens.clone();
    other[40] += 1;
    let expected = load(&fixture).session().extend(&other).unwrap();
    let mut session = model.session_with_prefix(&other);
    assert_eq!(session.len(), 40);
    let rows = session.extend(&other[40..]).unwrap();
    assert_eq!(bits(&rows), bits(&expected)[40 * expected.width()..]);
    assert_eq!(model.session_with_prefix(&tokens).len(), 96);
    assert_eq!(model.session_with_prefix(&other).len(), 96);
    assert!(model.session_with_prefix(&[]).is_empty());
}

#[test]
fn a_full_cache_is_an_error_that_changes_nothing_and_old_prefixes_give_way() {
    let [fixture, _] = both(GgmlDType::Q8_0);
    let page = {
        let model = load(&fixture);
        let mut session = model.session();
        session.extend(&[1]).unwrap();
        model.cache_used()
    };
    let options = LoadOptions {
        cache_bytes: 3 * page,
        ..options()
    };
    let model = Model::load(&fixture.path, &options).unwrap();
    let tokens = tokens(120);
    let mut session = model.session();
    session.extend(&tokens[..60]).unwrap();
    let error = session.extend(&tokens[60..]).unwrap_err();
    assert!(matches!(error, Error::CacheFull { .. }), "{error}");
    assert_eq!(session.len(), 60);
    assert_eq!(model.cache_used(), 2 * page);
    session.extend(&tokens[60..96]).unwrap();
    drop(session);
    // All three pages are remembered; a new sequence needs their room.
    assert_eq!(model.cache_used(), 3 * page);
    let mut other = model.session();
    other.extend(&[9; 96]).unwrap();
    assert_eq!(model.cache_used(), 3 * page);
    assert!(model.session_with_prefix(&tokens).is_empty());
}

#[test]
fn bad_input_is_refused_and_the_engine_goes_on() {
    let [fixture, gemma] = both(GgmlDType::Q8_0);
    let model = load(&fixture);
    let mut session = model.session();
    assert!(matches!(session.extend(&[]), Err(Error::EmptyInput)));
    let unknown = VOCAB as u32;
    assert!(matches!(
        session.extend(&[unknown]),
        Err(Error::InvalidToken { .. })
    ));
    let long = vec![1; CONTEXT + 1];
    assert!(matches!(
        session.extend(&long),
        Err(Error::ContextFull { .. })
    ));
    let narrow = Hidden::new(32, vec![0.0; 32]).unwrap();
    assert!(matches!(
        session.extend_hidden(&narrow),
        Err(Error::Shape(_))
    ));
    let broken = Hidden::new(96, vec![f32::NAN; 96]).unwrap();
    assert!(matches!(
        session.extend_hidden(&broken),
        Err(Error::Shape(_))
    ));
    assert!(matches!(model.logits(&narrow), Err(Error::Shape(_))));
    assert!(Hidden::new(32, vec![0.0; 33]).is_err());
    let mut foreign = load(&gemma).session();
    let step = Step {
        session: &mut foreign,
        input: Input::Tokens(&[1]),
    };
    assert!(matches!(model.forward(&mut [step]), Err(Error::Shape(_))));
    assert!(session.is_empty());
    let hidden = session.extend(&[1, 2]).unwrap();
    assert!(matches!(
        model.logprobs(&hidden, &[(2, 1)]),
        Err(Error::Shape(_))
    ));
    assert!(matches!(
        model.logits_of(&hidden, 0, &[unknown]),
        Err(Error::InvalidToken { .. })
    ));
    let span = LoadOptions {
        layers: Some(1..2),
        ends: false,
        ..options()
    };
    let span = Model::load(&fixture.path, &span).unwrap();
    assert!(matches!(
        span.session().extend(&[1]),
        Err(Error::NotInSpan { .. })
    ));
    assert!(matches!(span.logits(&hidden), Err(Error::NotInSpan { .. })));
    #[allow(clippy::reversed_empty_ranges)]
    for layers in [3..2, 0..LAYERS + 1] {
        let options = LoadOptions {
            layers: Some(layers),
            ..options()
        };
        assert!(matches!(
            Model::load(&fixture.path, &options),
            Err(Error::Shape(_))
        ));
    }
}

#[test]
fn all_ways_to_the_head_agree() {
    for fixture in all(GgmlDType::Q8_0) {
        let model = load(&fixture);
        let hidden = model.session().extend(&tokens(20)).unwrap();
        let logits = model.logits(&hidden).unwrap();
        let row = 13;
        let of_row = &logits[row * VOCAB..][..VOCAB];
        let some = [0, 99, 17, 17];
        let expected: Vec<_> = some.iter().map(|&t| of_row[t as usize]).collect();
        assert_eq!(model.logits_of(&hidden, row, &some).unwrap(), expected);
        let targets: Vec<_> = [(row, 99), (2, 4), (row, 0), (19, 63)].to_vec();
        for ((row, token), got) in targets
            .iter()
            .zip(model.logprobs(&hidden, &targets).unwrap())
        {
            let logits = &logits[row * VOCAB..][..VOCAB];
            let mass: f64 = logits.iter().map(|l| (*l as f64).exp()).sum();
            assert!((got as f64 - (logits[*token as usize] as f64 - mass.ln())).abs() < 1e-4);
        }
    }
}

#[test]
fn a_file_that_changes_later_does_not_touch_a_loaded_model() {
    let [fixture, other] = both(GgmlDType::Q8_0);
    let model = load(&fixture);
    let expected = model.session().extend(&tokens(10)).unwrap();
    std::fs::copy(&other.path, &fixture.path).unwrap();
    assert_eq!(
        bits(&model.session().extend(&tokens(10)).unwrap()),
        bits(&expected)
    );
    std::fs::write(&fixture.path, b"").unwrap();
    assert_eq!(
        bits(&model.session().extend(&tokens(10)).unwrap()),
        bits(&expected)
    );
}

#[test]
fn a_window_of_zero_is_no_window() {
    let with = |window| {
        let source = fixtures::model(Architecture::Gemma3, GgmlDType::F32);
        let gguf = Gguf::open(&source.path).unwrap();
        let mut metadata = gguf.metadata().clone();
        metadata.insert("gemma3.attention.sliding_window".into(), Value::U32(window));
        let metadata: Vec<_> = metadata.into_iter().collect();
        let embedding = ("token_embd.weight".to_owned(), VOCAB, 64, GgmlDType::F32);
        let target = fixtures::write(&metadata, &[embedding], 1);
        Config::from_gguf(&Gguf::open(&target.path).unwrap()).unwrap()
    };
    assert_eq!(with(7).window_of(0), Some(7));
    assert_eq!(with(0).window_of(0), None);
}

#[test]
fn files_that_cannot_be_run_say_why() {
    let wrong = |metadata: &[(&str, Value)]| {
        let metadata: Vec<_> = metadata
            .iter()
            .map(|(k, v)| (k.to_string(), v.clone()))
            .collect();
        let tensors = [("token_embd.weight".to_owned(), 2, 32, GgmlDType::F32)];
        let fixture = fixtures::write(&metadata, &tensors, 1);
        Model::load(&fixture.path, &options())
            .unwrap_err()
            .to_string()
    };
    let text = |s: &str| Value::String(s.to_owned());
    assert!(wrong(&[]).contains("general.architecture is missing"));
    assert!(wrong(&[("general.architecture", text("mamba"))]).contains("architecture mamba"));
    assert!(wrong(&[("general.architecture", Value::U32(1))]).contains("not a string"));
    let llama = ("general.architecture", text("llama"));
    assert!(wrong(std::slice::from_ref(&llama)).contains("llama.embedding_length is missing"));
    let missing = Model::load(Path::new("/nowhere/model.gguf"), &options()).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/model.gguf"));
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text.gguf");
    std::fs::write(&text, "this is no model").unwrap();
    let error = Model::load(&text, &options()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[test]
fn a_requantised_model_means_the_same() {
    use crate::{requantise, WeightFormat};
    for fixture in all(GgmlDType::Q4_1) {
        let expected = load(&fixture).session().extend(&tokens(20)).unwrap();
        let source = Gguf::open(&fixture.path).unwrap();
        // A little noise may send a row to other experts.
        let routed = Config::from_gguf(&source).unwrap().experts.is_some();
        let formats = [(WeightFormat::F32, 0.01), (WeightFormat::Q8_0, 0.1)];
        for (format, tolerance) in formats.into_iter().take(if routed { 1 } else { 2 }) {
            let target = fixture.path.with_extension("new.gguf");
            requantise(&source, &target, format).unwrap();
            let got = Model::load(&target, &options())
                .unwrap()
                .session()
                .extend(&tokens(20))
                .unwrap();
            let scale = expected.data.iter().fold(0f32, |m, x| m.max(x.abs()));
            for (a, b) in got.data.iter().zip(&expected.data) {
                assert!(
                    (a - b).abs() <= tolerance * scale,
                    "{format:?}: {a} for {b}"
                );
            }
        }
    }
}

#[test]
fn parts_of_a_model_compute_what_the_whole_does() {
    use crate::cut;
    for fixture in all(GgmlDType::Q4_1) {
        let expected = load(&fixture).session().extend(&tokens(20)).unwrap();
        let source = Gguf::open(&fixture.path).unwrap();
        let part = |name: &str, layers: std::ops::Range<usize>, ends| {
            let target = fixture.path.with_extension(name);
            cut(&source, &target, layers.clone(), ends).unwrap();
            let again = fixture.path.with_extension("again.gguf");
            cut(&source, &again, layers.clone(), ends).unwrap();
            assert!(std::fs::read(&target).unwrap() == std::fs::read(&again).unwrap());
            let size = |path: &std::path::Path| std::fs::metadata(path).unwrap().len();
            assert!(size(&target) < size(&fixture.path));
            let options = LoadOptions {
                layers: Some(layers),
                ends,
                ..options()
            };
            assert!(Model::load(&target, &super::LoadOptions::default()).is_err());
            Model::load(&target, &options).unwrap()
        };
        let ends = part("ends.gguf", 0..0, true);
        let mut hidden = ends.embed(&tokens(20)).unwrap();
        for span in [
            part("a.gguf", 0..1, false),
            part("b.gguf", 1..LAYERS, false),
        ] {
            hidden = span.session().extend_hidden(&hidden).unwrap();
        }
        assert_eq!(hidden, expected);
        let logits = |model: &Model| model.logits(&hidden.last()).unwrap();
        assert_eq!(logits(&ends), logits(&load(&fixture)));

        let target = fixture.path.with_extension("none.gguf");
        for (layers, ends) in [(0..LAYERS + 1, true), (1..1, false)] {
            assert!(cut(&source, &target, layers, ends).is_err());
        }
        assert!(!target.exists());
    }
}
