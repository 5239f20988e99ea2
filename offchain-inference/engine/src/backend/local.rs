// SPDX-License-Identifier: Apache-2.0
//! A model whose ends are in this process. Its layers are here too, or on other nodes.

use super::{check_vocabulary, Ask, Backend, BackendError, Evaluation, PromptTree};
use crate::{
    candle::CandleModel,
    chat::ChatTemplate,
    draft::{DraftModel, Drafter, Guesser, Room},
    drawing::Drawing,
    generate::{Cancel, Computation, Finish, GenerateOptions, Generation, StopFilter},
    gguf::Gguf,
    prompt::Prompt,
    sampling::{Sampler, SamplingError},
    tokenizer::{TokenId, Tokenizer},
    Ends, Error, Hidden, Input, LoadOptions, Model, Sequence, Step, Trunk,
};
use std::{ops::Range, path::Path, time::Instant};

/// The most rows of hidden states in one forward pass of [`LocalBackend::evaluate`], unless a
/// single run has more. Enough to keep the matrix products busy, little enough memory.
const ROWS_PER_PASS: usize = 512;

/// Rows of logits that are held at a time.
const LOGIT_ROWS: usize = 8;

/// A model with its tokenizer and chat template.
pub struct LocalBackend<T: Trunk = Model> {
    name: String,
    trunk: T,
    tokenizer: Tokenizer,
    chat: ChatTemplate,
    drafter: Option<Drafter>,
}

/// A run under evaluation: the sequence up to its end, and the hidden state of its last token
/// (1 × width), from which the next token follows.
struct Evaluated<S> {
    session: S,
    last: Hidden,
}

impl LocalBackend {
    /// Loads the model file at `path`.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, BackendError> {
        Self::load_with(path, |gguf| Model::load_from(gguf, options))
    }
}

impl LocalBackend<CandleModel> {
    /// Loads the model file at `path` onto a device of candle's.
    pub fn load_on(
        device: &candle_core::Device,
        path: &Path,
        options: &LoadOptions,
    ) -> Result<Self, BackendError> {
        Self::load_with(path, |gguf| CandleModel::load_from(gguf, device, options))
    }
}

impl<T: Trunk> LocalBackend<T> {
    /// Loads the ends of the model file at `path`, with the layers that `options` names and else
    /// with none; `connect` turns them into a trunk that computes the other layers. An adapter is
    /// refused: it changes layers.
    pub fn load_ends(
        path: &Path,
        options: &LoadOptions,
        connect: impl FnOnce(Model) -> T,
    ) -> Result<Self, BackendError> {
        if options.adapter.is_some() {
            let reason = "an adapter for layers that other nodes compute".into();
            return Err(Error::Unsupported(reason).into());
        }
        let options = LoadOptions {
            layers: options.layers.clone().or(Some(0..0)),
            ends: true,
            ..options.clone()
        };
        Self::load_with(path, |gguf| Ok(connect(Model::load_from(gguf, &options)?)))
    }

    fn load_with(
        path: &Path,
        load: impl FnOnce(&Gguf) -> Result<T, Error>,
    ) -> Result<Self, BackendError> {
        let gguf = Gguf::open(path)?;
        let tokenizer = Tokenizer::from_gguf(gguf.metadata())?;
        let trunk = load(&gguf)?;
        Self::new(gguf.name()?, trunk, tokenizer)
    }

    /// From parts that are loaded already.
    pub fn new(name: String, trunk: T, tokenizer: Tokenizer) -> Result<Self, BackendError> {
        check_vocabulary(&tokenizer, trunk.ends().config())?;
        let text = |id: Option<TokenId>| id.and_then(|id| tokenizer.token_text(id));
        let chat = ChatTemplate::new(
            tokenizer.chat_template(),
            text(tokenizer.bos()),
            text(tokenizer.eos()),
        )?;
        Ok(Self {
            name,
            trunk,
            tokenizer,
            chat,
            drafter: None,
        })
    }

    /// With a draft model, which guesses tokens where that saves time. No text changes.
    ///
    /// # Errors
    /// [`BackendError::OtherTokenizer`] if its tokens are not those of this model.
    pub fn with_draft(self, draft: DraftModel) -> Result<Self, BackendError> {
        let drafter = Drafter::new(draft, &self.name, &self.tokenizer)?;
        Ok(Self {
            drafter: Some(drafter),
            ..self
        })
    }

    /// The model; if its layers are elsewhere, its ends.
    pub fn model(&self) -> &T::Ends {
        self.trunk.ends()
    }

    /// The model's layers.
    pub fn trunk(&self) -> &T {
        &self.trunk
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    fn first_token(&self, text: &str) -> Result<TokenId, BackendError> {
        let tokens = self.tokenizer.encode_continuation(&Prompt::data(text));
        tokens.first().copied().ok_or(BackendError::EmptyPrompt)
    }

    /// The first tokens of `texts`, all different.
    fn first_tokens(&self, texts: &[String]) -> Result<Vec<TokenId>, BackendError> {
        let mut tokens: Vec<TokenId> = Vec::with_capacity(texts.len());
        for text in texts {
            let token = self.first_token(text)?;
            if let Some((_, same)) = tokens.iter().zip(texts).find(|(&t, _)| t == token) {
                return Err(BackendError::SameToken(same.clone(), text.clone()));
            }
            tokens.push(token);
        }
        Ok(tokens)
    }

    /// The runs of a tree, and the numbers of those that begin a sequence.
    fn runs<'a>(&self, tree: &'a PromptTree) -> Result<(Vec<Run<'a>>, Vec<usize>), BackendError> {
        let mut children = vec![0usize; tree.nodes().len()];
        for parent in tree.nodes().iter().filter_map(|node| node.parent) {
            if let Some(children) = children.get_mut(parent.0) {
                *children += 1;
            }
        }
        let (mut runs, mut roots): (Vec<Run<'_>>, _) = (vec![], vec![]);
        // For each node, its run.
        let mut places: Vec<usize> = Vec::with_capacity(tree.nodes().len());
        for (index, node) in tree.nodes().iter().enumerate() {
            let tokens = match node.parent {
                Some(_) => self.tokenizer.encode_continuation(&node.text),
                None => self.tokenizer.encode_prompt(&node.text),
            };
            if tokens.is_empty() {
                return Err(BackendError::EmptyPrompt);
            }
            let above = node.parent.and_then(|parent| places.get(parent.0).copied());
            let siblings = node.parent.and_then(|parent| children.get(parent.0));
            let place = match above.filter(|_| siblings == Some(&1)) {
                Some(run) => run,
                None => {
                    let new = runs.len();
                    match above.and_then(|run| runs.get_mut(run)) {
                        Some(run) => run.children.push(new),
                        None => roots.push(new),
                    }
                    runs.push(Run::default());
                    new
                },
            };
            if let Some(run) = runs.get_mut(place) {
                run.push(index, &node.ask, &tokens);
            }
            places.push(place);
        }
        Ok((runs, roots))
    }

    /// A sequence for a run, up to the first hidden state that is asked about: its parent's, or for
    /// a root the remembered beginning.
    fn begin(
        &self,
        run: &Run<'_>,
        parent: Option<&Evaluated<T::Session>>,
    ) -> (T::Session, Range<usize>) {
        let (session, from) = match parent {
            Some(parent) => (parent.session.fork(), 0),
            None => {
                let known = run.tokens.get(..=run.first_row()).unwrap_or(&run.tokens);
                let session = self.trunk.session_with_prefix(known);
                let from = session.len();
                (session, from)
            },
        };
        // A leaf's last token predicts nothing that is asked for.
        let to = run.tokens.len() - usize::from(run.is_scored_leaf());
        (session, from..to)
    }

    /// Computes sibling runs in one pass: the given range of tokens of each.
    fn evaluate_pass(
        &self,
        pass: &mut [(&Run<'_>, T::Session, Range<usize>)],
        parent: Option<&Evaluated<T::Session>>,
        answers: &mut [Evaluation],
    ) -> Result<Vec<Option<Hidden>>, BackendError> {
        let mut steps: Vec<_> = pass
            .iter_mut()
            .filter(|(_, _, range)| !range.is_empty())
            .map(|(run, session, range)| Step {
                session,
                input: Input::Tokens(run.tokens.get(range.clone()).unwrap_or_default()),
            })
            .collect();
        let mut computed = self.trunk.forward(&mut steps)?.into_iter();
        let mut lasts = Vec::with_capacity(pass.len());
        let mut scored = Scored::default();
        for (run, _, range) in &*pass {
            let hidden = if range.is_empty() {
                None
            } else {
                computed.next()
            };
            let rows = Rows {
                width: self.model().config().width,
                before: parent.map(|parent| &parent.last),
                hidden: hidden.as_ref(),
                from: range.start,
            };
            for part in &run.parts {
                let tokens = run.tokens.get(part.range.clone()).unwrap_or_default();
                let answer = match part.ask {
                    Ask::Nothing => Evaluation::Nothing,
                    Ask::Next(texts) => {
                        let tokens = self.first_tokens(texts)?;
                        let row = rows.before(part.range.end..part.range.end + 1)?;
                        Evaluation::Next(self.model().logits_of(&row, 0, &tokens)?)
                    },
                    Ask::Greedy => self.greedy(&rows.before(part.range.clone())?, tokens)?,
                    Ask::Tokens => {
                        scored.push(part.index, &rows.before(part.range.clone())?, tokens);
                        continue;
                    },
                };
                if let Some(slot) = answers.get_mut(part.index) {
                    *slot = answer;
                }
            }
            lasts.push(hidden.map(|hidden| hidden.last()));
        }
        // All rows at once: the head's weights are read once.
        let rows = Hidden::new(self.model().config().width, scored.rows)?;
        let logprobs = self.model().logprobs(&rows, &scored.targets)?;
        for (index, range) in scored.nodes {
            if let (Some(slot), Some(logprobs)) = (answers.get_mut(index), logprobs.get(range)) {
                *slot = Evaluation::Tokens(logprobs.to_vec());
            }
        }
        Ok(lasts)
    }

    /// Evaluates sibling runs and all below them, depth first: only the caches on the way to the
    /// runs at work are held.
    fn visit(
        &self,
        siblings: &[usize],
        parent: Option<&Evaluated<T::Session>>,
        runs: &[Run<'_>],
        answers: &mut [Evaluation],
        cancel: &Cancel,
    ) -> Result<(), BackendError> {
        let mut left = siblings.iter().filter_map(|&i| runs.get(i)).peekable();
        while left.peek().is_some() {
            if cancel.is_cancelled() {
                return Err(BackendError::Cancelled);
            }
            let mut pass: Vec<(&Run<'_>, T::Session, Range<usize>)> = vec![];
            let mut rows = 0;
            while let Some(run) = left.peek() {
                let (session, range) = self.begin(run, parent);
                rows += range.len();
                // A run that does not fit begins anew in the next pass, and may find more
                // remembered.
                if rows > ROWS_PER_PASS && !pass.is_empty() {
                    break;
                }
                pass.push((run, session, range));
                left.next();
            }
            let lasts = self.evaluate_pass(&mut pass, parent, answers)?;
            for ((run, session, _), last) in pass.into_iter().zip(lasts) {
                if let Some(last) = last.filter(|_| !run.children.is_empty()) {
                    let evaluated = Evaluated { session, last };
                    self.visit(&run.children, Some(&evaluated), runs, answers, cancel)?;
                }
            }
        }
        Ok(())
    }

    /// Computes `tokens` and returns their hidden state, tokens × width.
    pub fn extend(&self, session: &mut T::Session, tokens: &[TokenId]) -> Result<Hidden, Error> {
        let input = Input::Tokens(tokens);
        let outputs = self.trunk.forward(&mut [Step { session, input }])?;
        outputs.into_iter().next().ok_or(Error::EmptyInput)
    }

    /// Computes `token` and the guesses after it; without the guesses where only they find no room
    /// in the cache. Returns the hidden states and the guesses among them.
    fn verify(
        &self,
        session: &mut T::Session,
        token: TokenId,
        guesses: Vec<TokenId>,
    ) -> Result<(Hidden, Vec<TokenId>), Error> {
        let mut step = vec![token];
        step.extend_from_slice(&guesses);
        match self.extend(session, &step) {
            Err(Error::CacheFull { .. }) if !guesses.is_empty() => {
                Ok((self.extend(session, &[token])?, vec![]))
            },
            computed => Ok((computed?, guesses)),
        }
    }

    /// ln p of each token, and true if each is the most probable one. `rows` has a row a token.
    fn greedy(&self, rows: &Hidden, tokens: &[TokenId]) -> Result<Evaluation, BackendError> {
        let vocabulary = self.model().config().vocab;
        let mut logprobs = Vec::with_capacity(tokens.len());
        let mut all_best = true;
        let chunks = rows.as_slice().chunks(LOGIT_ROWS * rows.width());
        for (chunk, tokens) in chunks.zip(tokens.chunks(LOGIT_ROWS)) {
            let logits = self
                .model()
                .logits(&Hidden::new(rows.width(), chunk.to_vec())?)?;
            for (row, &token) in logits.chunks_exact(vocabulary).zip(tokens) {
                let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let total: f64 = row.iter().map(|&l| f64::from(l - best).exp()).sum();
                let own = row
                    .get(token as usize)
                    .copied()
                    .unwrap_or(f32::NEG_INFINITY);
                logprobs.push((f64::from(own - best) - total.ln()) as f32);
                all_best &= own >= best;
            }
        }
        Ok(Evaluation::Greedy(logprobs, all_best))
    }
}

/// The choice of each next token.
enum Choice {
    Sampled(Box<Sampler>),
    Drawn {
        drawing: Drawing,
        /// The rows from which the tokens so far followed.
        rows: Vec<f32>,
    },
}

impl Choice {
    fn new(options: &GenerateOptions) -> Result<Self, SamplingError> {
        match &options.drawing {
            Some(drawing) => {
                drawing.validate()?;
                let (drawing, rows) = (drawing.clone(), vec![]);
                Ok(Self::Drawn { drawing, rows })
            },
            None => {
                let sampler = Sampler::new(options.sampling.clone())?;
                Ok(Self::Sampled(Box::new(sampler)))
            },
        }
    }

    /// The token that follows from `row`. `tokens` are those so far; the first `prompt` of them
    /// were not generated.
    fn token(
        &mut self,
        ends: &impl Ends,
        row: &Hidden,
        tokens: &[TokenId],
        prompt: usize,
    ) -> Result<TokenId, BackendError> {
        let logits = ends.logits(row)?;
        Ok(match self {
            Self::Sampled(sampler) => sampler.sample(&logits, tokens)?,
            Self::Drawn { drawing, rows } => {
                rows.extend_from_slice(row.as_slice());
                let position = tokens.len().saturating_sub(prompt) as u64;
                drawing.token(&logits, position)?
            },
        })
    }

    /// The computation behind the drawn tokens.
    fn computation(
        self,
        ends: &impl Ends,
        context: Vec<TokenId>,
    ) -> Result<Option<Computation>, Error> {
        match self {
            Self::Drawn { rows, .. } if !rows.is_empty() => {
                let rows = Hidden::new(ends.config().width, rows)?;
                let rows = ends.normed(&rows)?;
                Ok(Some(Computation { context, rows }))
            },
            Self::Drawn { .. } | Self::Sampled(_) => Ok(None),
        }
    }
}

/// The hidden states of the last token of a text and of guesses after it.
struct Ahead {
    rows: Hidden,
    guesses: Vec<TokenId>,
    /// The row of the last token: the number of guesses that were right.
    right: usize,
}

impl Ahead {
    fn of(rows: Hidden, guesses: Vec<TokenId>) -> Self {
        Self {
            rows,
            guesses,
            right: 0,
        }
    }

    /// The row from which the next token follows.
    fn row(&self) -> Result<Hidden, BackendError> {
        let row = self.rows.row(self.right).ok_or(BackendError::EmptyPrompt)?;
        Ok(Hidden::new(self.rows.width(), row.to_vec())?)
    }

    /// Goes on to the row of `token`, if it was the next guess.
    fn accepts(&mut self, token: TokenId) -> bool {
        let right = self.guesses.get(self.right) == Some(&token);
        self.right += usize::from(right);
        right
    }
}

/// A chain of nodes that is computed as one sequence: each but the last has one child, the next.
#[derive(Default)]
struct Run<'a> {
    tokens: Vec<TokenId>,
    parts: Vec<Part<'a>>,
    /// The runs that continue this one.
    children: Vec<usize>,
}

/// A node's part of its run's tokens.
struct Part<'a> {
    index: usize,
    ask: &'a Ask,
    range: Range<usize>,
}

impl<'a> Run<'a> {
    fn push(&mut self, index: usize, ask: &'a Ask, tokens: &[TokenId]) {
        let start = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        let range = start..self.tokens.len();
        self.parts.push(Part { index, ask, range });
    }

    fn is_scored_leaf(&self) -> bool {
        let last = self.parts.last().map(|part| part.ask);
        self.children.is_empty() && matches!(last, Some(Ask::Tokens | Ask::Greedy))
    }

    /// The first token whose hidden state is asked about; children always ask about the last.
    fn first_row(&self) -> usize {
        let asked = self.parts.iter().find_map(|part| match part.ask {
            Ask::Nothing => None,
            Ask::Tokens | Ask::Greedy => Some(part.range.start.saturating_sub(1)),
            Ask::Next(_) => Some(part.range.end - 1),
        });
        asked.unwrap_or(self.tokens.len() - 1)
    }
}

/// The hidden states that a run's pass leaves: those of the tokens from `from` on, and that of the
/// token before the run.
struct Rows<'a> {
    width: usize,
    before: Option<&'a Hidden>,
    hidden: Option<&'a Hidden>,
    from: usize,
}

impl Rows<'_> {
    /// The hidden states that predict these tokens of the run: those of the tokens before each.
    fn before(&self, tokens: Range<usize>) -> Result<Hidden, BackendError> {
        let mut data = Vec::with_capacity(tokens.len() * self.width);
        for token in tokens {
            let row = match token.checked_sub(1) {
                None => self.before.and_then(|before| before.row(0)),
                Some(token) => token
                    .checked_sub(self.from)
                    .and_then(|row| self.hidden?.row(row)),
            };
            data.extend_from_slice(row.ok_or(BackendError::EmptyPrompt)?);
        }
        Ok(Hidden::new(self.width, data)?)
    }
}

/// Tokens of several nodes whose probabilities are asked.
#[derive(Default)]
struct Scored {
    /// One row a token: the hidden state that predicts it.
    rows: Vec<f32>,
    targets: Vec<(usize, TokenId)>,
    /// Each node with its range of the targets.
    nodes: Vec<(usize, Range<usize>)>,
}

impl Scored {
    fn push(&mut self, node: usize, rows: &Hidden, tokens: &[TokenId]) {
        let first = self.targets.len();
        self.rows.extend_from_slice(rows.as_slice());
        self.targets.extend((first..).zip(tokens.iter().copied()));
        self.nodes.push((node, first..self.targets.len()));
    }
}

impl<T: Trunk> Backend for LocalBackend<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn context_length(&self) -> Option<usize> {
        Some(self.model().config().context)
    }

    fn chat(&self) -> &ChatTemplate {
        &self.chat
    }

    fn cut<'a>(&self, text: &'a str, max_tokens: usize) -> &'a str {
        // No token of a sane vocabulary is longer; keeps huge texts away from the tokenizer.
        const LONGEST_TOKEN: usize = 128;
        let mut text = floor(text, max_tokens.saturating_mul(LONGEST_TOKEN));
        loop {
            let tokens = self.tokenizer.encode_continuation(&Prompt::data(text));
            if tokens.len() <= max_tokens {
                return text;
            }
            let mut kept = vec![];
            for &token in tokens.iter().take(max_tokens) {
                self.tokenizer.token_bytes(token, &mut kept);
            }
            // A shorter text may be segmented differently, and a vocabulary may lack bytes: always
            // shrink, then check again.
            text = floor(text, kept.len().min(text.len() - 1));
        }
    }

    fn generate(
        &self,
        prompt: &Prompt,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Generation, BackendError> {
        let mut choice = Choice::new(options)?;
        if prompt.is_empty() {
            return Err(BackendError::EmptyPrompt);
        }
        let mut tokens = self.tokenizer.encode_prompt(prompt);
        let context = self.model().config().context;
        if tokens.len() > context {
            return Err(Error::ContextFull {
                context,
                needed: tokens.len(),
            }
            .into());
        }
        let started = Instant::now();
        let mut session = self.trunk.session_with_prefix(&tokens);
        let cached_tokens = session.len();
        let prompt_tokens = tokens.len();
        let new = tokens.get(cached_tokens..).unwrap_or_default();
        let mut ahead = Ahead::of(self.extend(&mut session, new)?.last(), vec![]);
        let mut guesser = Guesser::new(self.drafter.as_ref(), &self.tokenizer);
        let (mut passes, mut guessed, mut guessed_right) = (0, 0, 0);
        let mut stream = self.tokenizer.stream();
        let mut filter = StopFilter::new(&options.stop);
        let mut text = String::new();
        let mut emit = |piece: &str, text: &mut String| {
            if !piece.is_empty() {
                text.push_str(piece);
                on_text(piece);
            }
        };
        let mut prefill = None;
        let finish = loop {
            if cancel.is_cancelled() {
                break Finish::Cancelled;
            }
            if tokens.len() - prompt_tokens >= options.max_tokens {
                break Finish::MaxTokens;
            }
            let token = choice.token(self.model(), &ahead.row()?, &tokens, prompt_tokens)?;
            prefill.get_or_insert_with(|| started.elapsed());
            tokens.push(token);
            if self.tokenizer.ends_generation(token) {
                break Finish::EndOfTurn;
            }
            let (piece, stopped) = filter.push(&stream.push(token));
            emit(&piece, &mut text);
            if let Some(stop) = stopped {
                break Finish::Stop(stop.to_owned());
            }
            if tokens.len() >= context {
                break Finish::ContextFull;
            }
            if tokens.len() - prompt_tokens >= options.max_tokens || ahead.accepts(token) {
                continue;
            }
            // The guesses from here on were wrong.
            session.truncate(tokens.len() - 1);
            guesser.verified(ahead.right);
            let most = prompt_tokens
                .saturating_add(options.max_tokens)
                .min(context);
            let room = Room {
                free: self.trunk.free_rows(&session),
                // The pass's own token is none of them.
                left: most.saturating_sub(tokens.len() + 1),
            };
            let guesses = guesser.guess(&tokens, room, cancel);
            if cancel.is_cancelled() {
                break Finish::Cancelled;
            }
            let began = Instant::now();
            let (rows, guesses) = self.verify(&mut session, token, guesses)?;
            guesser.passed(rows.rows(), began.elapsed());
            passes += 1;
            guessed += guesses.len();
            guessed_right += ahead.right;
            ahead = Ahead::of(rows, guesses);
        };
        guessed_right += ahead.right;
        // What is remembered for later sequences must be what was said.
        session.truncate(session.len().min(tokens.len() - 1));
        if !matches!(finish, Finish::Stop(_)) {
            // Half a character at the end counts only if the model chose to end there.
            if finish == Finish::EndOfTurn {
                let (piece, _) = filter.push(&stream.finish());
                emit(&piece, &mut text);
            }
            emit(&filter.finish(), &mut text);
        }
        let prefill = prefill.unwrap_or_else(|| started.elapsed());
        let generated = tokens.split_off(prompt_tokens);
        Ok(Generation {
            text,
            tokens: generated,
            finish,
            prompt_tokens: Some(prompt_tokens),
            cached_tokens,
            passes,
            guessed,
            guessed_right,
            prefill,
            decode: started.elapsed() - prefill,
            computation: choice.computation(self.model(), tokens)?,
        })
    }

    fn evaluate(
        &self,
        tree: &PromptTree,
        cancel: &Cancel,
    ) -> Result<Vec<Evaluation>, BackendError> {
        let (runs, roots) = self.runs(tree)?;
        let mut answers = vec![Evaluation::Nothing; tree.nodes().len()];
        self.visit(&roots, None, &runs, &mut answers, cancel)?;
        Ok(answers)
    }
}

/// The longest beginning of `text` of at most `bytes` bytes.
fn floor(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
