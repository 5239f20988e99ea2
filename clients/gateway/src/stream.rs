// SPDX-License-Identifier: Apache-2.0
//! A stream of server-sent events: progress first, then the answer at once.
//!
//! Before the end of a round no text is the answer. Every stream ends with an answer or an error,
//! and `[DONE]` after it: clients take a stream that is cut for a whole answer.

use std::{sync::Arc, time::Duration};

use serde_json::{json, Value};
use tokio::{
    sync::mpsc::Sender,
    time::{timeout_at, Instant},
};

use crate::{
    completion::{chunk, chunks, id, usage_chunk, Answer},
    desk::{Open, State},
    failure::Failure,
    gateway::{deadline, Asked},
    outcome::Outcome,
    place::Place,
    usage::{Tokenizers, Usage},
};

/// The time of silence after which a comment shows that the connection lives.
const SILENCE: Duration = Duration::from_secs(10);

/// The event of an object.
pub fn event(object: &Value) -> String {
    format!("data: {object}\n\n")
}

/// The events that end a stream early.
pub fn failed(failure: &Failure) -> String {
    format!("{}{DONE}", event(&failure.body()))
}

const DONE: &str = "data: [DONE]\n\n";

/// A comment, which clients ignore.
pub fn comment(place: Option<Place>) -> String {
    match place {
        Some(place) => format!(": {}\n\n", place.words()),
        None => ": waiting for a block\n\n".to_owned(),
    }
}

/// Fields of a request that its stream needs.
pub struct Story {
    /// The question.
    pub asked: Asked,
    /// The hash of the genesis block.
    pub genesis: Vec<u8>,
    /// The number of answers.
    pub n: usize,
    /// The texts that end an answer.
    pub stop: Vec<String>,
    /// Whether to tell the numbers of tokens.
    pub include_usage: bool,
    /// The tokenizers to count with.
    pub tokenizers: Arc<Tokenizers>,
}

impl Story {
    /// Tells the story to its end. Stops early if the caller leaves.
    pub async fn tell(self, to: Sender<String>) {
        if self.told(&to).await.is_none() {
            self.asked.job.caller_left();
        }
    }

    /// `None` if the caller has left.
    async fn told(&self, to: &Sender<String>) -> Option<()> {
        let mut states = self.asked.job.states();
        let mut told: Option<Open> = None;
        // All chunks of a stream have one id, also if a round answers in place of a lane.
        let mut first: Option<Place> = None;
        loop {
            let state = states.borrow_and_update().clone();
            match state {
                State::Waiting | State::Sent => {},
                State::Open(open) => {
                    if told.as_ref() != Some(&open) {
                        let place = *first.get_or_insert(open.place);
                        let delta = self.delta(told.is_none(), &open);
                        to.send(self.progress(place, &open, delta)).await.ok()?;
                    }
                    told = Some(open);
                },
                State::Over(outcome) => {
                    let events = self.end(first, &outcome);
                    return to.send(events).await.ok();
                },
                State::Failed(failure) => return to.send(failed(&failure)).await.ok(),
            }
            if Instant::now() >= self.asked.deadline {
                return to.send(failed(&self.asked.pending())).await.ok();
            }
            let pause = deadline(SILENCE).min(self.asked.deadline);
            if timeout_at(pause, states.changed()).await.is_err() {
                let place = told.as_ref().map(|open| open.place);
                to.send(comment(place)).await.ok()?;
            }
        }
    }

    fn answer(&self, place: Place, texts: Vec<String>, usage: Option<Usage>) -> Answer {
        let record = self.asked.job.record();
        Answer {
            id: id("chatcmpl", &self.genesis, place),
            created: record.asked,
            model: self.asked.terms.id.clone(),
            texts,
            usage,
        }
    }

    /// The delta of a progress chunk. Chat programs show reasoning as thinking.
    fn delta(&self, begins: bool, open: &Open) -> Value {
        let mut delta = match begins {
            true => json!({ "role": "assistant", "content": "" }),
            false => json!({}),
        };
        if let (true, Some(fields)) = (self.asked.terms.reasoning, delta.as_object_mut()) {
            let words = format!("{}\n", open.words);
            fields.insert("reasoning_content".to_owned(), words.into());
        }
        delta
    }

    fn progress(&self, place: Place, open: &Open, delta: Value) -> String {
        let answer = self.answer(place, vec![], None);
        event(&chunk(&answer, 0, delta, None, Some(details(open))))
    }

    /// The events of an answer. `first` is the place that was told first; `None` if nothing was
    /// told before, as for a repeat.
    fn end(&self, first: Option<Place>, outcome: &Arc<Outcome>) -> String {
        let texts = outcome.texts(self.n, &self.stop);
        let usage = self.tokenizers.count(outcome, &texts);
        let place = first.unwrap_or_else(|| outcome.place());
        let answer = self.answer(place, texts, usage);
        let mut events = String::new();
        if first.is_none() {
            let begin = json!({ "role": "assistant", "content": "" });
            events.push_str(&event(&chunk(&answer, 0, begin, None, None)));
        }
        for object in chunks(&answer, &self.asked.details(outcome)) {
            events.push_str(&event(&object));
        }
        let usage = usage_chunk(&answer).filter(|_| self.include_usage);
        if let Some(usage) = usage {
            events.push_str(&event(&usage));
        }
        events.push_str(DONE);
        events
    }
}

/// The field `starling` of an open question.
pub fn details(open: &Open) -> Value {
    json!({
        "round": open.place.round(),
        "lane": open.place.lane(),
        "block": open.block,
        "phase": open.phase,
        "arrived": open.arrived,
        "expected": open.expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_one_line_of_json_and_an_end_is_marked() {
        let text = event(&json!({ "text": "a\nb\r" }));
        assert_eq!(text, "data: {\"text\":\"a\\nb\\r\"}\n\n");
        let place = Some(Place::Round(7));
        let end = failed(&Failure::Pending { place });
        assert!(end.starts_with("data: {\"error\":"), "{end}");
        assert!(end.ends_with("\n\ndata: [DONE]\n\n"), "{end}");
        assert_eq!(comment(place), ": round 7\n\n");
    }
}
