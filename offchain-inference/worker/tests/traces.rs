// SPDX-License-Identifier: Apache-2.0
//! Traced answers of a real model, checked by whoever knows the prompt and the model.

use std::sync::Arc;

use sp_core::H256;
use starling_engine::{backend::Backend, chat::Message, generate::said};
use starling_primitives::choice::Form;
use starling_sketch::{
    check::{claims, Claim},
    trace::Place,
};
use starling_worker::{
    agent::{Agent, Reply, Request, Signals},
    file::ModelFile,
    metrics::Metrics,
    problems::Problems,
};

use crate::engine::{self, SMOLLM2};

const QUESTION: &str = "Tell me a story about a bird.";

/// An agent with one module, to which the configuration adds these lines.
fn agent(more: &str) -> Agent {
    let config = format!("[[primary]]\nmodel = {SMOLLM2:?}\nmax_tokens = 12\n{more}");
    let metrics = Metrics::new(None).unwrap();
    let problems = Arc::new(Problems::default());
    let config = toml::from_str(&config).unwrap();
    Agent::new(config, None, None, metrics, problems).unwrap()
}

fn reply(agent: &Agent, round: u64) -> Reply {
    let request = Request {
        round,
        prompt: QUESTION.into(),
        max_tokens: 12,
        fee: 1,
        slash: 0,
        form: Form::Free,
        is_first: true,
        place: Some(Place {
            genesis: [1; 32],
            round,
            agent: [2; 32],
            request: [3; 32],
        }),
    };
    agent.respond(&request, &Signals::default()).unwrap()
}

#[test]
fn a_traced_answer_follows_from_the_chain_and_stands_the_checks() {
    engine::model(SMOLLM2);
    let agent = agent("");
    let first = reply(&agent, 1);
    assert_eq!(first, reply(&agent, 1));
    assert_ne!(first, reply(&agent, 2));
    let Reply::Traced(text, work) = first else {
        panic!("the answer has no trace");
    };
    let kept = work.trace(H256::zero(), H256::repeat_byte(4), [5; 32]);
    let kept = kept.unwrap();
    let file = ModelFile::Store {
        name: SMOLLM2.to_owned(),
        folder: None,
    };
    let claim = Claim {
        commitment: kept.trace.hash(),
        model: file.id().unwrap(),
        text: &text,
    };
    let backend = engine::backend(SMOLLM2);
    let stop = backend.chat().stop_strings().iter();
    let stop: Vec<String> = stop.map(|&text| text.to_owned()).collect();
    let context = || {
        let prompt = backend.chat().render(&[Message::user(QUESTION)], true);
        backend.tokenizer().encode_prompt(&prompt.unwrap())
    };
    let read = |tokens: &[u32]| said(backend.tokenizer(), tokens, &stop);
    assert_eq!(
        claims(&claim, &kept.trace, &kept.ids, context, read),
        Ok(())
    );
}

#[test]
fn what_others_cannot_compute_is_not_traced() {
    engine::model(SMOLLM2);
    for more in [
        "system = \"Rhyme.\"",
        "[[before]]\ntemplate = \"{{ text }}!\"",
        "[[after]]\ntemplate = \"{{ text }}!\"",
    ] {
        assert!(matches!(reply(&agent(more), 1), Reply::Text(_)), "{more}");
    }
}
