// SPDX-License-Identifier: Apache-2.0

//! The agent, as far as lanes need it.

use std::sync::Arc;

use parking_lot::RwLock;
use starling_primitives::{choice::Form, Balance, Score};

use crate::{agent::Signals, executor::Executor, queue::Queue};

/// A job for a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Answer.
    Respond {
        /// The number of the request.
        seq: u32,
        /// The prompt.
        prompt: String,
        /// Longest response, in tokens.
        max_tokens: u32,
        /// The fee.
        fee: Balance,
        /// The form of the answer.
        form: Form,
    },
    /// Score responses.
    Rank {
        /// The prompt.
        prompt: String,
        /// The own response.
        own: String,
        /// The responses.
        texts: Vec<String>,
        /// Longest response, in tokens.
        max_tokens: u32,
    },
}

/// The end of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// A response; `None` if the agent passes.
    Response(Option<String>),
    /// Scores, in the order of the responses.
    Scores(Vec<Score>),
    /// There is no result, and the reason.
    Failed(String),
}

/// Takes the end of a job.
pub type Tell = Box<dyn FnOnce(Done) + Send>;

/// Does the jobs of lanes.
pub trait Desk: Send + Sync + 'static {
    /// Whether the agents of this node volunteer.
    fn is_willing(&self) -> bool;

    /// Begins a job. Returns false if there are too many, and drops `tell`.
    fn begin(&self, work: Work, signals: Signals, tell: Tell) -> bool;
}

/// The desk of a worker. Its jobs go before those of rounds.
pub struct Front {
    queue: Arc<RwLock<Queue>>,
    executor: Arc<Executor>,
}

impl Front {
    pub(crate) fn new(queue: Arc<RwLock<Queue>>, executor: Arc<Executor>) -> Self {
        Self { queue, executor }
    }
}

impl Desk for Front {
    fn is_willing(&self) -> bool {
        self.executor.agent().config().lanes
    }

    fn begin(&self, work: Work, signals: Signals, tell: Tell) -> bool {
        let executor = self.executor.clone();
        let job = Box::new(move || tell(executor.work(&work, &signals)));
        self.queue.read().push_first(job)
    }
}

/// The desk of a node without an agent.
pub struct Nobody;

impl Desk for Nobody {
    fn is_willing(&self) -> bool {
        false
    }

    fn begin(&self, _: Work, _: Signals, _: Tell) -> bool {
        false
    }
}
