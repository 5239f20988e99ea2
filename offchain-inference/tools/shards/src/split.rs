// SPDX-License-Identifier: Apache-2.0
//! A model whose hidden states are coded between spans, as on the way between nodes, with all spans
//! in this process. It shows the effect of wire formats without a network.

use starling_engine::{Error, Hidden, Input, Model, Result, Sequence, Session, Step, Trunk};
use starling_shards::wire::WireFormat;
use std::ops::Range;

/// A whole model, run span by span.
pub(super) struct Split {
    model: Model,
    spans: Vec<Range<usize>>,
    wire: WireFormat,
}

/// One session for each span.
pub(super) struct SplitSession(Vec<Session>);

impl Split {
    pub fn new(model: Model, spans: Vec<Range<usize>>, wire: WireFormat) -> Self {
        Self { model, spans, wire }
    }

    /// Codes states for the next node, and decodes them into floats.
    fn carry(&self, states: Vec<Hidden>) -> Result<Vec<Hidden>> {
        states
            .into_iter()
            .map(|state| carry(self.wire, &state))
            .collect()
    }

    fn run(&self, batch: &mut [Step<'_, SplitSession>]) -> Result<Vec<Hidden>> {
        let embedded = batch.iter().map(|step| match step.input {
            Input::Tokens(tokens) => self.model.embed(tokens),
            Input::Hidden(hidden) => Ok(hidden.clone()),
        });
        let mut states = self.carry(embedded.collect::<Result<_>>()?)?;
        for (i, span) in self.spans.iter().enumerate() {
            let mut steps: Vec<_> = batch
                .iter_mut()
                .zip(&states)
                .filter_map(|(step, state)| {
                    Some(Step {
                        session: step.session.0.get_mut(i)?,
                        input: Input::Hidden(state),
                    })
                })
                .collect();
            let outputs = self.model.forward_layers(span.clone(), &mut steps)?;
            states = self.carry(outputs)?;
        }
        Ok(states)
    }
}

/// A hidden state after its way in `wire`.
pub(super) fn carry(wire: WireFormat, state: &Hidden) -> Result<Hidden> {
    let width = state.width();
    let bytes = wire.encode(state.as_slice(), width);
    let values = wire
        .decode(&bytes, state.rows(), width)
        .map_err(|error| Error::Shape(error.to_string()))?;
    Hidden::new(width, values)
}

impl Trunk for Split {
    type Session = SplitSession;
    type Ends = Model;

    fn ends(&self) -> &Model {
        &self.model
    }

    fn session(&self) -> SplitSession {
        SplitSession(self.spans.iter().map(|_| self.model.session()).collect())
    }

    fn session_with_prefix(&self, _tokens: &[u32]) -> SplitSession {
        self.session()
    }

    fn forward(&self, batch: &mut [Step<'_, SplitSession>]) -> Result<Vec<Hidden>> {
        let lengths: Vec<_> = batch.iter().map(|step| step.session.len()).collect();
        let outputs = self.run(batch);
        if outputs.is_err() {
            for (step, len) in batch.iter_mut().zip(lengths) {
                step.session.truncate(len);
            }
        }
        outputs
    }
}

impl Sequence for SplitSession {
    fn len(&self) -> usize {
        // After a failure within a pass the first spans are ahead.
        self.0.iter().map(Session::len).min().unwrap_or(0)
    }

    fn fork(&self) -> Self {
        Self(self.0.iter().map(Session::fork).collect())
    }

    fn truncate(&mut self, len: usize) {
        for session in &mut self.0 {
            session.truncate(len);
        }
    }
}
