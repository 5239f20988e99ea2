// SPDX-License-Identifier: Apache-2.0
//! A pipeline computes the same as the whole model.

use std::time::Duration;

use candle_core::quantized::GgmlDType;
use proptest::prelude::*;
use starling_engine::{
    backend::{Backend, DraftModel, LocalBackend},
    chat::Message,
    config::Architecture,
    generate::{Cancel, Finish, GenerateOptions, Generation},
    gguf::Gguf,
    prompt::Prompt,
    rank::{RankerKind, Task},
    sampling::Sampling,
    tokenizer::Tokenizer,
    Hidden, Input, LoadOptions, Model, Sequence, Step, Trunk,
};
use starling_shards::{wire::WireFormat, Pipeline, PipelineConfig, State};

use crate::{
    fixtures::{self, CONTEXT, LAYERS, VOCAB},
    swarm::{config, extend, greedy, smollm2, Swarm},
};

fn backend<T: Trunk>(trunk: T) -> LocalBackend<T> {
    let gguf = Gguf::open(&smollm2()).unwrap();
    let tokenizer = Tokenizer::from_gguf(gguf.metadata()).unwrap();
    LocalBackend::new("model".into(), trunk, tokenizer).unwrap()
}

fn answer<T: Trunk>(backend: &LocalBackend<T>) -> (Vec<u32>, String) {
    let options = GenerateOptions {
        max_tokens: 24,
        sampling: Sampling {
            temperature: 0.8,
            seed: 5,
            ..Sampling::default()
        },
        ..GenerateOptions::default()
    };
    let prompt = Prompt::data("The first thing that one sees in the harbour of the old town is");
    let done = backend
        .generate(&prompt, &options, &Cancel::new(), &mut |_| {})
        .unwrap();
    (done.tokens, done.text)
}

fn scores<T: Trunk>(backend: &LocalBackend<T>) -> Vec<Vec<f64>> {
    let messages = [Message::user("What is the capital of France?")];
    let responses = [
        "It is Paris.",
        "It is a kind of cheese.",
        "Paris, on the Seine.",
    ];
    let responses = responses.map(str::to_owned);
    let task = Task {
        messages: &messages,
        responses: &responses,
    };
    let rank = |kind: RankerKind| kind.ranker().rank(backend, task, &Cancel::new()).unwrap();
    RankerKind::ALL.into_iter().map(rank).collect()
}

#[test]
fn answers_and_scores_of_a_real_model_are_those_of_the_whole() {
    let path = smollm2();
    let whole = backend(Swarm::new(&path).whole());
    let (expected, expected_scores) = (answer(&whole), scores(&whole));
    for cuts in [
        vec![0, 30],
        vec![0, 13, 30],
        vec![0, 10, 20, 30],
        vec![0, 6, 12, 18, 24, 30],
    ] {
        let mut swarm = Swarm::new(&path);
        let servers: Vec<_> = cuts
            .windows(2)
            .map(|cut| swarm.server(cut[0]..cut[1]))
            .collect();
        let user = swarm.node();
        // The longer ones pass rows from server to server.
        let push_from = if cuts.len() > 3 {
            Duration::ZERO
        } else {
            Duration::MAX
        };
        let config = PipelineConfig {
            push_from,
            ..config()
        };
        let pipeline = backend(swarm.pipeline(&user, config));
        assert_eq!(answer(&pipeline), expected, "{cuts:?}");
        assert_eq!(scores(&pipeline), expected_scores, "{cuts:?}");
        assert_eq!(pipeline.trunk().route().len(), servers.len());
        assert!(servers
            .iter()
            .all(|s| s.service.metrics().served_rows.get() > 24.0));
        for (i, server) in servers.iter().enumerate() {
            let metrics = server.service.metrics();
            let taken = metrics.pushes.with_label_values(&["taken"]).get();
            assert_eq!(taken > 20.0, i > 0 && push_from.is_zero(), "{taken}");
        }
    }
}

#[test]
fn layers_of_its_own_leave_this_node_only_as_hidden_states_behind_them() {
    let path = smollm2();
    let whole = backend(Swarm::new(&path).whole());
    let (expected, expected_scores) = (answer(&whole), scores(&whole));
    for own in [1, 7, 29] {
        let mut swarm = Swarm::new(&path);
        let server = swarm.server(0..30);
        let user = swarm.node();
        let pipeline = user
            .service
            .pipeline(swarm.model, swarm.ends_with(own), config());
        let pipeline = backend(pipeline);
        assert_eq!(answer(&pipeline), expected, "{own} layers");
        assert_eq!(scores(&pipeline), expected_scores, "{own} layers");
        // Nobody else is asked for them.
        assert_eq!(pipeline.trunk().route(), [(own..30, server.peer.clone())]);
    }
}

#[test]
fn guesses_save_round_trips_and_change_no_text() {
    let path = smollm2();
    let whole = backend(Swarm::new(&path).whole());
    let options = GenerateOptions {
        max_tokens: 24,
        sampling: Sampling::greedy(),
        ..GenerateOptions::default()
    };
    let prompt = Prompt::data("1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2,");
    let expected = whole
        .generate(&prompt, &options, &Cancel::new(), &mut |_| {})
        .unwrap();
    let mut swarm = Swarm::new(&path);
    let servers = [swarm.server(0..15), swarm.server(15..30)];
    // Far longer than a row takes to compute.
    swarm.network.set_delay(Duration::from_millis(50));
    let user = swarm.node();
    let rows = || servers[0].service.metrics().served_rows.get();
    let mut passes = vec![];
    for guesses in [0, 16] {
        let config = PipelineConfig {
            guesses,
            remembered: 0,
            ..config()
        };
        let pipeline = backend(swarm.pipeline(&user, config));
        let before = rows();
        let done = pipeline
            .generate(&prompt, &options, &Cancel::new(), &mut |_| {})
            .unwrap();
        assert_eq!(done.tokens, expected.tokens);
        // Rows of wrong guesses are computed for nothing, and no others.
        let least = (done.prompt_tokens.unwrap() + done.tokens.len() - 1) as f64;
        assert!(rows() - before >= least);
        assert_eq!(guesses > 0, rows() - before > least || done.passes < 23);
        passes.push(done.passes);
    }
    assert_eq!(passes[0], 23);
    assert!(passes[1] <= 8, "{passes:?}");
}

/// The first `layers` layers of the real model as a draft model.
fn draft(layers: usize) -> DraftModel {
    let path = smollm2();
    let options = LoadOptions {
        layers: Some(0..layers),
        threads: 1,
        ..LoadOptions::default()
    };
    let model = Model::load(&path, &options).unwrap();
    let gguf = Gguf::open(&path).unwrap();
    let tokenizer = Tokenizer::from_gguf(gguf.metadata()).unwrap();
    DraftModel::new("draft".into(), model, tokenizer).unwrap()
}

/// A text of 24 tokens whose words do not repeat each other.
fn tell<T: Trunk>(backend: &LocalBackend<T>, temperature: f32, seed: u64) -> Generation {
    let options = GenerateOptions {
        max_tokens: 24,
        sampling: Sampling {
            temperature,
            seed,
            ..Sampling::default()
        },
        ..GenerateOptions::default()
    };
    let prompt = Prompt::data("The first thing that one sees in the harbour of the old town is");
    let done = backend.generate(&prompt, &options, &Cancel::new(), &mut |_| {});
    done.unwrap()
}

#[test]
fn drafts_through_spans_change_no_text() {
    let path = smollm2();
    let whole = backend(Swarm::new(&path).whole());
    let mut swarm = Swarm::new(&path);
    let servers = [swarm.server(0..12), swarm.server(12..30)];
    let user = swarm.node();
    // Good drafts and bad ones, by client and from server to server.
    for (layers, push_from) in [
        (30, Duration::MAX),
        (30, Duration::ZERO),
        (6, Duration::MAX),
        (6, Duration::ZERO),
    ] {
        let config = PipelineConfig {
            push_from,
            ..config()
        };
        let pipeline = swarm.pipeline(&user, config);
        let drafted = backend(pipeline).with_draft(draft(layers).always(5));
        let drafted = drafted.unwrap();
        for (temperature, seed) in [(0.0, 0), (0.8, 5), (1.2, 9)] {
            let expected = tell(&whole, temperature, seed);
            let done = tell(&drafted, temperature, seed);
            assert_eq!((done.tokens, done.text), (expected.tokens, expected.text));
            assert!(done.guessed > 0);
        }
        // The servers' caches hold what was said: a text that goes on from it is the same, too.
        let prompt = Prompt::data("word ".repeat(40));
        let options = GenerateOptions {
            max_tokens: 12,
            sampling: Sampling::greedy(),
            ..GenerateOptions::default()
        };
        let say = |prompt: &Prompt| {
            let done = drafted.generate(prompt, &options, &Cancel::new(), &mut |_| {});
            done.unwrap()
        };
        let more = Prompt::data(format!("{}{}", "word ".repeat(40), say(&prompt).text));
        let next = say(&more);
        assert!(next.cached_tokens >= 32, "{}", next.cached_tokens);
        let fresh = whole.generate(&more, &options, &Cancel::new(), &mut |_| {});
        assert_eq!(next.tokens, fresh.unwrap().tokens);
        assert_eq!(scores(&drafted), scores(&whole));
    }
    drop(servers);
}

#[test]
fn a_draft_model_saves_round_trips_and_rests_where_there_are_none() {
    let path = smollm2();
    let expected = tell(&backend(Swarm::new(&path).whole()), 0.0, 0);
    let mut swarm = Swarm::new(&path);
    let servers = [swarm.server(0..15), swarm.server(15..30)];
    // Far longer than a row or a drafted token takes to compute.
    swarm.network.set_delay(Duration::from_millis(50));
    let user = swarm.node();
    let tell = |pipeline: Pipeline| {
        let backend = backend(pipeline).with_draft(draft(30)).unwrap();
        let done = tell(&backend, 0.0, 0);
        assert_eq!(done.tokens, expected.tokens);
        done
    };
    let pipeline = |guesses| {
        let config = PipelineConfig {
            guesses,
            remembered: 0,
            ..config()
        };
        swarm.pipeline(&user, config)
    };
    let done = tell(pipeline(16));
    assert!(done.guessed_right > 0);
    assert!(2 * done.passes < expected.passes, "{}", done.passes);
    // No row is free here: the draft model is not asked.
    let done = tell(pipeline(0));
    assert_eq!((done.guessed, done.passes), (0, expected.passes));
    drop(servers);
}

#[test]
fn a_drafted_text_is_cancelled_at_the_same_token() {
    let path = smollm2();
    let mut swarm = Swarm::new(&path);
    let servers = [swarm.server(0..15), swarm.server(15..30)];
    let user = swarm.node();
    let options = GenerateOptions {
        max_tokens: 24,
        sampling: Sampling::greedy(),
        ..GenerateOptions::default()
    };
    let prompt = Prompt::data("1, 2, 3, 4,");
    let whole = backend(Swarm::new(&path).whole());
    let all = whole
        .generate(&prompt, &options, &Cancel::new(), &mut |_| {})
        .unwrap();
    let drafted = backend(swarm.pipeline(&user, config()));
    let drafted = drafted.with_draft(draft(30).always(4)).unwrap();
    for at in [1, 4, 7] {
        let (cancel, mut pieces) = (Cancel::new(), 0);
        let done = drafted.generate(&prompt, &options, &cancel, &mut |_| {
            pieces += 1;
            if pieces == at {
                cancel.cancel();
            }
        });
        let done = done.unwrap();
        assert_eq!(done.finish, Finish::Cancelled);
        assert!(all.tokens.starts_with(&done.tokens) && all.text.starts_with(&done.text));
    }
    let done = drafted.generate(&prompt, &options, &Cancel::new(), &mut |_| {});
    assert_eq!(done.unwrap().tokens, all.tokens);
    drop(servers);
}

/// An operation on sequences.
#[derive(Clone, Debug)]
enum Act {
    /// Extend some sequences by this many tokens each, in one pass.
    Forward(Vec<(usize, usize)>),
    Fork(usize),
    Truncate(usize, usize),
    Drop(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => proptest::collection::vec((0usize..4, 1usize..40), 1..4).prop_map(Act::Forward),
        2 => (0usize..4).prop_map(Act::Fork),
        2 => (0usize..4, 0usize..CONTEXT).prop_map(|(s, len)| Act::Truncate(s, len)),
        1 => (0usize..4).prop_map(Act::Drop),
    ]
}

/// The hidden states that result from `acts`, as bits.
fn play<T: Trunk>(trunk: &T, acts: &[Act]) -> Vec<Vec<u32>> {
    let mut sessions = vec![trunk.session()];
    let mut results = vec![];
    for (n, act) in acts.iter().enumerate() {
        let index = |s: usize, len: usize| s % len;
        match act {
            Act::Forward(which) => {
                let mut inputs = vec![vec![]; sessions.len()];
                for (s, tokens) in which {
                    let s = index(*s, sessions.len());
                    let room = CONTEXT - sessions[s].len();
                    let tokens = (0..*tokens.min(&room)).map(|i| (i * 7 + n * 31 + s * 3) % VOCAB);
                    inputs[s] = tokens.map(|token| token as u32).collect();
                }
                let mut steps: Vec<_> = sessions
                    .iter_mut()
                    .zip(&inputs)
                    .filter(|(_, input)| !input.is_empty())
                    .map(|(session, input)| Step {
                        session,
                        input: Input::Tokens(input),
                    })
                    .collect();
                let hidden = trunk.forward(&mut steps).unwrap();
                let bits = |h: Hidden| h.into_vec().iter().map(|x| x.to_bits()).collect();
                results.extend(hidden.into_iter().map(bits));
            },
            Act::Fork(s) => {
                let fork = sessions[index(*s, sessions.len())].fork();
                sessions.push(fork);
            },
            Act::Truncate(s, len) => {
                let s = index(*s, sessions.len());
                sessions[s].truncate(*len);
            },
            Act::Drop(s) => {
                if sessions.len() > 1 {
                    sessions.remove(index(*s, sessions.len()));
                }
            },
        }
    }
    results
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_done_to_sequences_gives_the_same_bits(
        acts in proptest::collection::vec(act(), 1..12),
        cut in 1..LAYERS,
        own in 0..LAYERS,
        chunk_rows in 1usize..50,
        gemma in any::<bool>(),
        push in any::<bool>(),
    ) {
        let architecture = if gemma { Architecture::Gemma3 } else { Architecture::Llama };
        let fixture = fixtures::model(architecture, GgmlDType::Q8_0);
        let mut swarm = Swarm::new(&fixture.path);
        let servers = [swarm.server(0..cut), swarm.server(cut..LAYERS)];
        let user = swarm.node();
        let push_from = if push { Duration::ZERO } else { Duration::MAX };
        let config = PipelineConfig { chunk_rows, push_from, replan: false, ..config() };
        let pipeline = user.service.pipeline(swarm.model, swarm.ends_with(own), config);
        prop_assert_eq!(play(&pipeline, &acts), play(&swarm.whole(), &acts));
        prop_assert_eq!(user.service.metrics().replayed_rows.get(), 0.0);
        drop(servers);
    }
}

#[test]
fn a_sequence_that_begins_as_an_earlier_one_did_is_not_computed_again() {
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let mut swarm = Swarm::new(&fixture.path);
    let server = swarm.server(0..LAYERS);
    let user = swarm.node();
    let pipeline = swarm.pipeline(&user, config());
    let rows = || server.service.metrics().served_rows.get();
    let tokens: Vec<u32> = (0..90).collect();
    for other in [3, 70] {
        extend(&pipeline, &mut pipeline.session(), &[other; 40]).unwrap();
        extend(
            &pipeline,
            &mut pipeline.session_with_prefix(&tokens),
            &tokens[..50],
        )
        .unwrap();
    }
    let whole = swarm.whole();
    let expected = extend(&whole, &mut whole.session(), &tokens).unwrap();
    let before = rows();
    let mut session = pipeline.session_with_prefix(&tokens);
    assert_eq!(session.len(), 50);
    let hidden = extend(&pipeline, &mut session, &tokens[50..]).unwrap();
    assert_eq!(rows() - before, 40.0);
    assert_eq!(hidden.last(), expected.last());
    // The last token's row is always computed, and short prefixes are not kept.
    assert_eq!(pipeline.session_with_prefix(&tokens[..50]).len(), 49);
    assert_eq!(pipeline.session_with_prefix(&tokens[..31]).len(), 0);
    drop(session);
    assert_eq!(
        pipeline.session_with_prefix(&[70; 99]).len(),
        0,
        "two are kept"
    );
}

#[test]
fn parts_of_overlapping_spans_make_a_pipeline() {
    let fixture = fixtures::model(Architecture::Gemma3, GgmlDType::Q8_0);
    let mut swarm = Swarm::new(&fixture.path);
    let prompt = [5, 6, 7, 8];
    let expected = greedy(&swarm.whole(), &prompt, 20, |_| {}).unwrap();
    let _servers = [swarm.server(0..3), swarm.server(2..4)];
    let user = swarm.node();
    let pipeline = swarm.pipeline(&user, config());
    assert_eq!(greedy(&pipeline, &prompt, 20, |_| {}).unwrap(), expected);
    let covered: usize = pipeline
        .route()
        .iter()
        .map(|(layers, _)| layers.len())
        .sum();
    assert_eq!((pipeline.route().len(), covered), (2, LAYERS));
}

#[test]
fn a_node_uses_its_own_span_too() {
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let mut swarm = Swarm::new(&fixture.path);
    let expected = greedy(&swarm.whole(), &[1, 2, 3], 10, |_| {}).unwrap();
    let (user, other) = (swarm.server(0..2), swarm.server(2..4));
    let pipeline = swarm.pipeline(&user, config());
    assert_eq!(greedy(&pipeline, &[1, 2, 3], 10, |_| {}).unwrap(), expected);
    let route: Vec<_> = pipeline.route().into_iter().map(|(_, peer)| peer).collect();
    assert_eq!(route, [user.peer.clone(), other.peer.clone()]);
}

#[test]
fn a_node_sees_who_holds_the_layers_of_the_models_that_it_uses() {
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let mut swarm = Swarm::new(&fixture.path);
    let (low, high) = (swarm.server(0..2), swarm.server(2..4));
    let user = swarm.node();
    assert_eq!(user.service.shared(), []);
    let _pipeline = swarm.pipeline(&user, config());
    let all = [(0..2, low.peer.clone()), (2..4, high.peer.clone())];
    for node in [&user, &low] {
        let shared = node.service.shared();
        let [model] = &shared[..] else {
            panic!("one model, not {shared:?}")
        };
        assert_eq!((model.model, model.layers), (swarm.model, LAYERS));
        let seen = model.holders.iter();
        let seen = seen.map(|seen| (seen.holder.layers.clone(), seen.holder.peer.clone()));
        assert_eq!(seen.collect::<Vec<_>>(), all);
        assert!(model.holders.iter().all(|seen| seen.state == State::Free));
    }
    assert_eq!(low.service.local(), low.peer);
}

#[test]
fn coarser_wires_travel_in_fewer_bytes_and_stay_near() {
    let fixture = fixtures::model(Architecture::Llama, GgmlDType::Q8_0);
    let tokens: Vec<u32> = (0..100).collect();
    let mut results = vec![];
    for wire in [
        WireFormat::F32,
        WireFormat::F16,
        WireFormat::Linear8,
        WireFormat::Dynamic8,
    ] {
        // A swarm for each: a pipeline closes at its own time, and only its own bytes may count.
        let mut swarm = Swarm::new(&fixture.path);
        let server = swarm.server(0..LAYERS);
        let user = swarm.node();
        let config = PipelineConfig {
            wire,
            push_from: Duration::MAX,
            ..config()
        };
        let pipeline = swarm.pipeline(&user, config);
        let mut session = pipeline.session();
        let hidden = extend(&pipeline, &mut session, &tokens).unwrap().into_vec();
        let bytes = swarm.network.traffic(&user.peer, &server.peer).bytes;
        results.push((hidden, bytes));
    }
    let (exact, most) = results.remove(0);
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|x| x * x).sum::<f32>().sqrt();
    let mut before = most;
    for (hidden, bytes) in results {
        let error = norm(&mut hidden.iter().zip(&exact).map(|(a, b)| a - b));
        let error = error / norm(&mut exact.iter().copied());
        assert!(error > 0.0 && error < 0.1, "{error}");
        assert!(bytes <= before);
        before = bytes;
    }
    assert!(before < most / 3);
}
